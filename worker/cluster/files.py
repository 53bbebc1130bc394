"""Model files from one box of a cluster to another, as results of Ray's calls: by its token,
encrypted, by no port of ours."""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec

from ipc.cluster import Fetching, Sought
from ipc.runtime import durable

# More than one piece is on its way at a time; the object store of a box has 128 MB for them.
PIECE_BYTES = 4 << 20
PIECES_AHEAD = 3
TOLD_S = 0.5
ASK_S = 30.0
SPARE_BYTES = 64 << 20
MODELS = "EDGE_SERVE_CLUSTER_MODELS"

Tell = Callable[[Fetching], None]


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """One file of a folder, as its manifest has it."""

    size: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What of a model's manifest matters here."""

    source: str
    files: dict[str, Kept]
    variant: str = ""


class Unfit(Exception):
    """Files that are not as their box has said, or have no room here."""


def fetched(sought: Sought, into: Path, own: str, tell: Tell) -> dict[str, str]:
    """The SHA-256 of what has come into the folder, from the first box but this one that has all of
    it; nothing where none has."""
    for address, node in _others(own):
        try:
            manifest = _asked(_manifest, node, sought)
            if manifest is None or not fits(manifest, sought):
                continue
            return _all_of(manifest, address, node, sought, into, tell)
        except Exception as error:  # of many kinds, as many as there are parts that may be away
            print(f"{address}: {error}", file=sys.stderr)
            shutil.rmtree(into, ignore_errors=True)
            into.mkdir()
    return {}


def fits(manifest: Manifest, sought: Sought) -> bool:
    """Whether these are the files that are sought, and have names that stay below a folder."""
    if (manifest.source, manifest.variant) != (sought.source, sought.variant):
        return False
    digests = {name: file.sha256 for name, file in manifest.files.items()}
    alike = all(digests.get(name) == digest for name, digest in sought.digests.items())
    return bool(manifest.files) and alike and all(map(_is_below, manifest.files))


def _is_below(name: str) -> bool:
    path = PurePosixPath(name)
    return not path.is_absolute() and ".." not in path.parts


def _all_of(
    manifest: Manifest, address: str, node: str, sought: Sought, into: Path, tell: Tell
) -> dict[str, str]:
    """Raises `Unfit`, and what Ray does."""
    size = sum(file.size for file in manifest.files.values())
    free = shutil.disk_usage(into).free
    if free < size + SPARE_BYTES:
        raise Unfit(f"{size >> 20} MiB have no room in {into}, which has {free >> 20} MiB free")
    done, told_at = 0, 0.0
    for name, file in manifest.files.items():
        target = into / name
        target.parent.mkdir(parents=True, exist_ok=True)
        total, left = hashlib.sha256(), file.size
        with target.open("wb") as out:
            for piece in _streamed(node, sought.folder, name):
                total.update(piece)
                done += out.write(piece)
                left -= len(piece)
                if left < 0:
                    raise Unfit(f"{name} is longer than its {file.size} bytes")
                if time.monotonic() - told_at > TOLD_S:
                    told_at = time.monotonic()
                    tell(Fetching(done=done, size=size, peer=address))
        if total.hexdigest() != file.sha256:
            raise Unfit(f"{name} has come with other bytes than its manifest has")
    return {name: file.sha256 for name, file in manifest.files.items()}


# --- Ray ---


def _others(own: str) -> list[tuple[str, str]]:
    """The addresses and nodes of the other boxes that are there."""
    import ray

    return [
        (str(one["NodeManagerAddress"]), str(one["NodeID"]))
        for one in ray.nodes()
        if one["Alive"] and one["NodeManagerAddress"] != own
    ]


def _on(node: str, act: Any, **options: Any) -> Any:
    """``act`` as a call that is made on that node or nowhere."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    there = NodeAffinitySchedulingStrategy(node_id=node, soft=False)
    return ray.remote(act).options(num_cpus=0, max_retries=0, scheduling_strategy=there, **options)


def _asked(act: Any, node: str, *words: Any) -> Any:
    import ray

    return ray.get(_on(node, act).remote(*words), timeout=ASK_S)


def _streamed(node: str, folder: str, name: str) -> Iterator[bytes]:
    import ray

    call = _on(
        node,
        _pieces,
        num_returns="streaming",
        _generator_backpressure_num_objects=PIECES_AHEAD,
    )
    for piece in call.remote(folder, name):
        yield ray.get(piece, timeout=ASK_S)


# --- on the box that has the files ---


def _manifest(sought: Sought) -> Manifest | None:
    return durable.read_json(_place(sought.folder) / "manifest.json", Manifest)


def _pieces(folder: str, name: str) -> Iterator[bytes]:
    """A file that the folder's manifest has, and none but those."""
    manifest = durable.read_json(_place(folder) / "manifest.json", Manifest)
    if manifest is None or name not in manifest.files or not _is_below(name):
        raise Unfit(f"{folder} has no file {name}")
    with (_place(folder) / name).open("rb") as file:
        while piece := file.read(PIECE_BYTES):
            yield piece


def _place(folder: str) -> Path:
    """A folder of a model in this box's models folder, and nothing else."""
    if not folder or folder != Path(folder).name or folder.startswith("."):
        raise Unfit(f"{folder} is no model's folder")
    return Path(os.environ[MODELS]) / folder
