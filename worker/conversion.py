"""One-time conversions of model files, kept in a cache folder.

A conversion may need what serving does not (torch, gigabytes of memory), so it runs in a process of
its own that ends with it. The result is written beside its place and moved there whole, so what is
found in the cache is complete, whenever the power went. Both commands exit with 69, EX_UNAVAILABLE,
where torch is needed and not installed: it is to be installed, and the command repeated.

    python -m worker.conversion --spec FILE             prepare the model of a JSON `Spec`
    python -m worker.conversion CONVERT SOURCE TARGET   run one conversion; its parent holds stdin
"""

from __future__ import annotations

import hashlib
import importlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

import msgspec

from ipc.engines import serving
from ipc.messages.spec import Spec
from ipc.runtime import durable, lifeline
from worker.engine import LoadError, Stage
from worker.engines import TorchMissing, is_for_want_of_torch, make

MARKER = "prepared.json"
POLL_S = 0.1
_ERROR_BYTES = 4096


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """What a conversion was made of."""

    source: str
    convert: str
    key: str


class Marker(msgspec.Struct, frozen=True, kw_only=True):
    """Written last into a conversion. ``files`` has the size of each file in bytes."""

    origin: Origin
    files: dict[str, int]


def prepared(spec: Spec, stage: Stage, convert: str, key: str) -> Path:
    """The folder under ``spec.cache`` with ``spec.path`` converted; converts now if it is missing.

    ``convert`` names a function as ``module:function``, called as ``(source, target)`` in a child
    process to fill the empty folder ``target``. ``key`` must change with whatever makes an earlier
    result stale: the library's version, the source's `stamp`. Only the newest conversion of a spec
    is kept. Any number of processes may ask at once; one converts.

    Raises `LoadError`, also when nothing is written for ``spec.load_stall_s``.
    """
    if not spec.cache:
        raise LoadError(f"model {spec.name} needs a cache folder to be converted into; set one")
    origin = Origin(source=spec.path, convert=convert, key=key)
    own = _own_prefix(spec, convert)
    digest = hashlib.sha256(msgspec.json.encode(origin)).hexdigest()[:16]
    target = Path(spec.cache) / f"{own}{digest}"
    if _is_whole(target, origin):
        return target
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        lock = target.parent / f".{own}lock"
        with durable.held(lock, lambda take: _take_turns(take, target.parent, own, spec, stage)):
            if not _is_whole(target, origin):
                _sweep(filter(durable.is_partial, target.parent.glob(f"{own}*")))
                _convert(target, origin, spec, stage)
                _sweep(set(target.parent.glob(f"{own}*")) - {target})
    except OSError as error:
        raise LoadError(
            f"cannot keep a conversion of {spec.name} in {spec.cache}: {error}", permanent=False
        ) from error
    return target


def form_of(spec: Spec) -> str:
    """What conversions by the engine of ``spec`` are like at present: see `ipc.engines.Serving`."""
    found = serving(spec.engine, spec.task)
    return found.form if found else ""


def stamp(path: Path) -> str:
    """Changes when a model file, or any file of a model folder, is replaced: sizes and times."""
    files = _files(path) if path.is_dir() else [path]
    facts = [(file.relative_to(path), file.stat()) for file in files]
    lines = "\n".join(f"{name} {stat.st_size} {stat.st_mtime_ns}" for name, stat in facts)
    return hashlib.sha256(lines.encode()).hexdigest()[:16]


def _own_prefix(spec: Spec, convert: str) -> str:
    """What the names of all conversions of this spec, and of no other, begin with."""
    readable = re.sub(r"[^A-Za-z0-9.]+", "-", spec.name).strip("-.")[:48]
    digest = hashlib.sha256(f"{spec.name}\0{convert}".encode()).hexdigest()[:8]
    return f"{readable}-{digest}-"


def _is_whole(folder: Path, origin: Origin) -> bool:
    """Whether the conversion is there and no file of it has been lost or cut short since."""
    marker = durable.read_json(folder / MARKER, Marker)
    if marker is None:
        return False
    try:
        sizes = {name: (folder / name).stat().st_size for name in marker.files}
    except (OSError, ValueError):  # ValueError: a name that no file can have
        return False
    return marker.origin == origin and marker.files == sizes


def _take_turns(take: Callable[[], bool], cache: Path, own: str, spec: Spec, stage: Stage) -> None:
    """Wait for whoever converts the same model, while that makes progress. Raises `LoadError`."""
    if not _wait(take, lambda: _written_bytes(cache, own), spec.load_stall_s, stage):
        raise LoadError(f"another conversion of {spec.name} makes no progress", permanent=False)


def _convert(target: Path, origin: Origin, spec: Spec, stage: Stage) -> None:
    """Have a child process fill the folder ``target``, which is there when it is whole."""
    stage("converting")
    with durable.new_folder(target) as part:
        _run_child(part, origin, spec, stage)
        files = {str(file.relative_to(part)): file.stat().st_size for file in _files(part)}
        (part / MARKER).write_bytes(msgspec.json.encode(Marker(origin=origin, files=files)))


def _run_child(part: Path, origin: Origin, spec: Spec, stage: Stage) -> None:
    argv = [
        sys.executable,
        "-P",
        "-m",
        "worker.conversion",
        origin.convert,
        origin.source,
        str(part),
    ]
    with tempfile.TemporaryFile() as errors:
        # Its own group, since the lifeline of a child kills the whole group it is in.
        child = subprocess.Popen(
            argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            process_group=0,
        )
        with child:
            try:
                ended = _wait(
                    lambda: child.poll() is not None,
                    lambda: _written_bytes(part, ""),
                    spec.load_stall_s,
                    stage,
                )
            finally:
                if child.poll() is None:
                    os.killpg(child.pid, signal.SIGKILL)
        if not ended:
            raise LoadError(
                f"converting {origin.source} wrote nothing for {spec.load_stall_s:g} s; "
                "raise load_stall_s if the model is very large",
                permanent=False,
            )
        if child.returncode:
            raise _failure(spec, child.returncode, _last_line(errors.fileno()))


def _failure(spec: Spec, returncode: int, line: str) -> LoadError:
    source = spec.path
    if returncode == os.EX_UNAVAILABLE:
        reason = f"converting {source} needs torch: {line}; run: edge-serve pull {spec.name}"
        return TorchMissing(reason)
    if returncode < 0:
        why = f"killed by signal {-returncode}; is there enough memory?"
        return LoadError(f"cannot convert {source}: {why}", permanent=False)
    return LoadError(f"cannot convert {source}: {line}", permanent=returncode != os.EX_TEMPFAIL)


def _wait(
    done: Callable[[], bool], written: Callable[[], int], stall_s: float, stage: Stage
) -> bool:
    """Wait for ``done`` while ``written`` bytes grow; False once they stood still for too long."""
    seen, since = written(), time.monotonic()
    while not done():
        time.sleep(POLL_S)
        now = written()
        if now != seen:
            seen, since = now, time.monotonic()
            stage(f"converting: {now >> 20} MiB written")
        elif time.monotonic() - since > stall_s:
            return False
    return True


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _written_bytes(folder: Path, prefix: str) -> int:
    """Bytes in the conversions under ``folder`` whose names begin with ``prefix``."""
    total = 0
    for top in folder.glob(f"{prefix}*"):
        # os.walk, unlike rglob, takes it calmly when what it walks is moved or removed just now.
        for root, _, names in os.walk(top):
            for name in names:
                with suppress(OSError):
                    total += os.lstat(os.path.join(root, name)).st_size  # noqa: PTH118
    return total


def _sweep(folders: Iterable[Path]) -> None:
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


def _last_line(fd: int) -> str:
    size = os.fstat(fd).st_size
    tail = os.pread(fd, _ERROR_BYTES, max(0, size - _ERROR_BYTES)).decode(errors="replace")
    lines = [line.strip() for line in tail.splitlines() if line.strip()]
    return lines[-1] if lines else "it gave no reason"


def _one_line(error: BaseException) -> str:
    """An error for people: its message on one line, named by its type unless written for them."""
    text = " ".join(str(error).split())
    return text if isinstance(error, LoadError) else f"{type(error).__name__}: {text}"


def _run_conversion(convert: str, source: Path, target: Path) -> int:
    """The child's whole life. Exits 0, 1 (a permanent failure), 69 or 75 (one that may pass)."""
    lifeline.hold(os.getppid(), sys.stdin.fileno())
    module, _, function = convert.partition(":")
    try:
        getattr(importlib.import_module(module), function)(source, target)
    except Exception as error:
        print(_one_line(error), file=sys.stderr)
        if is_for_want_of_torch(error):
            return os.EX_UNAVAILABLE
        passing = isinstance(error, (OSError, MemoryError))
        permanent = error.permanent if isinstance(error, LoadError) else not passing
        return 1 if permanent else os.EX_TEMPFAIL
    return 0


def _prepare_spec(file: Path) -> int:
    """Let the engine of the spec in ``file`` prepare its model. Exits 0, 1 or 69."""
    try:
        spec = msgspec.json.decode(file.read_bytes(), type=Spec)
        engine = make(spec)
        if hasattr(engine, "prepare"):  # a user's own may leave it out
            engine.prepare(spec, lambda stage: print(stage, flush=True))
    except (LoadError, OSError, msgspec.MsgspecError) as error:
        print(_one_line(error), file=sys.stderr)
        return os.EX_UNAVAILABLE if isinstance(error, TorchMissing) else 1
    return 0


def main(arguments: list[str]) -> int:
    match arguments:
        case ["--spec", file]:
            return _prepare_spec(Path(file))
        case [convert, source, target]:
            return _run_conversion(convert, Path(source), Path(target))
    print("usage: python -m worker.conversion --spec FILE | CONVERT SOURCE TARGET", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
