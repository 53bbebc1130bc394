"""Files and folders that are the old ones or the new ones after a crash, never half of either.

What is new is written beside its place, flushed to the disk, and moved there in one step. A lock
file has writers take turns; the system releases it however its holder ends.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import msgspec

T = TypeVar("T")

_PARTIAL, _OLD = ".partial", ".old"
_AT_FDCWD, _RENAME_EXCHANGE = -100, 2
# What renameat2(2) answers where the kernel or the file system cannot exchange two folders.
_NO_EXCHANGE = {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP}


@contextmanager
def new_folder(place: Path, resumes: str | None = None) -> Iterator[Path]:
    """A folder to fill, which takes the place of ``place`` when the block ends.

    If the block raises, ``place`` stays as it was. One writer at a time: see `held`. What an
    interrupted one has left is removed first, unless both say what they fill the folder with, and
    ``resumes`` is the same: then the later one finds it in the folder. Raises `OSError`.
    """
    partial = partial_of(place)
    _put_back(place)
    if resumes is None or _read_text(_note(place)) != resumes:
        discard(place)
    partial.mkdir(parents=True, exist_ok=True)
    try:
        if resumes is not None:
            _note(place).write_text(resumes)
        yield partial
        _flush_all(partial)
        _move(partial, place)
        flush(place.parent)
    except BaseException:
        if resumes is None:
            discard(place)
        raise
    discard(place)


def partial_of(place: Path) -> Path:
    """Where the folder lies that is to take the place of ``place``."""
    return place.with_name(place.name + _PARTIAL)


def discard(place: Path) -> None:
    """Remove what an interrupted `new_folder` has left of a folder for ``place``."""
    shutil.rmtree(partial_of(place), ignore_errors=True)
    _note(place).unlink(missing_ok=True)


def _note(place: Path) -> Path:
    """What the partial folder is being filled with, where that may be gone on with."""
    return place.with_name(f".{place.name}{_PARTIAL}")


def _read_text(path: Path) -> str | None:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError):
        return None


def is_partial(path: Path) -> bool:
    """Whether ``path`` is, by its name, what an interrupted `new_folder` has left."""
    return path.name.endswith((_PARTIAL, _OLD))


def write_file(path: Path, content: bytes, mode: int = 0o644) -> None:
    """Put ``content`` where ``path`` is, or is not yet; the umask applies to ``mode``.

    Raises `OSError`; the file is then as it was.
    """
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fresh.unlink(missing_ok=True)
    try:
        handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)
    flush(path.parent)


def read_json(path: Path, kind: type[T]) -> T | None:
    """What JSON of that ``kind`` is in the file; None where there is none, or something else."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except (OSError, ValueError, RecursionError):  # ValueError: of msgspec, and of text in UTF-8
        return None


def why_not_written(path: Path) -> str:
    """What keeps `write_file` from its place, as far as the system tells beforehand; or nothing."""
    try:
        if os.statvfs(path).f_flag & os.ST_RDONLY:
            return os.strerror(errno.EROFS)
    except OSError as error:
        return error.strerror or str(error)
    if os.access(path.parent, os.W_OK | os.X_OK):
        return ""
    return f"{path.parent}: {os.strerror(errno.EACCES)}"


def flush(path: Path) -> None:
    """Have ``path``, a file or the names in a folder, on the disk before what is done next."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def held(lock: Path, wait: Callable[[Callable[[], bool]], None]) -> Iterator[None]:
    """Hold the file ``lock`` within the block.

    ``wait`` gets a function that tries to take the lock and says whether it has; it calls that
    until it has, and raises when it gives up.
    """
    with lock.open("w") as file:
        wait(lambda: try_lock(file.fileno()))
        yield


def try_lock(handle: int) -> bool:
    """Take the lock of an open file for this process, unless another one has it."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _flush_all(folder: Path) -> None:
    for root, _, names in os.walk(folder):
        for name in names:
            flush(Path(root, name))
        flush(Path(root))


def _move(partial: Path, place: Path) -> None:
    if not place.exists():
        partial.rename(place)
        return
    try:
        _exchange(partial, place)
    except OSError as error:
        if error.errno not in _NO_EXCHANGE:
            raise
        _move_in_two_steps(partial, place)


def _exchange(one: Path, other: Path) -> None:
    """Let two folders change places in one step, by renameat2(2). Raises `OSError`."""
    try:
        renameat2 = ctypes.CDLL(None, use_errno=True).renameat2
    except AttributeError:
        raise OSError(errno.ENOSYS, "no renameat2") from None
    paths = os.fsencode(one), os.fsencode(other)
    if renameat2(_AT_FDCWD, paths[0], _AT_FDCWD, paths[1], _RENAME_EXCHANGE) != 0:
        raise OSError(ctypes.get_errno(), "cannot exchange", str(one), None, str(other))


def _move_in_two_steps(partial: Path, place: Path) -> None:
    """Where folders cannot be exchanged. A crash in between leaves the old one beside its place,
    where the next writer finds it."""
    old = place.with_name(place.name + _OLD)
    shutil.rmtree(old, ignore_errors=True)
    place.rename(old)
    partial.rename(place)
    shutil.rmtree(old, ignore_errors=True)


def _put_back(place: Path) -> None:
    old = place.with_name(place.name + _OLD)
    if old.exists() and not place.exists():
        old.rename(place)
