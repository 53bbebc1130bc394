"""A file without a name: nobody else can open it, and it is gone with the process that has it."""

from __future__ import annotations

import os
import tempfile
from typing import BinaryIO

from ipc.messages.errors import Unavailable

# What is left free for others on the disk that such files are on.
KEPT_FREE_BYTES = 256 << 20
# How much is written between two looks at what is free.
LOOK_EVERY_BYTES = 16 << 20


def open_unnamed() -> BinaryIO:
    """A new one, in ``TMPDIR`` if that is set, and nowhere else then; or in /var/tmp, which is on a
    disk where /tmp is memory. Raises `Unavailable` where no folder takes it."""
    for folder in _folders():
        try:
            return tempfile.TemporaryFile(dir=folder, buffering=0)
        except OSError:
            continue
    raise Unavailable(
        "no folder takes this server's temporary files: TMPDIR has to be one that it may write to, "
        "on a disk with room"
    )


def write_all(file: BinaryIO, data: bytes, at: int) -> None:
    """Put ``data`` at the place ``at``. Raises `Unavailable` where the disk is full."""
    view, looked = memoryview(data), at // LOOK_EVERY_BYTES
    try:
        if at == 0 or (at + len(data)) // LOOK_EVERY_BYTES > looked:
            _check_room(file)
        while view:
            written = os.pwrite(file.fileno(), view, at)
            view, at = view[written:], at + written
    except OSError as error:
        raise _no_room(str(error)) from None


def _folders() -> tuple[str, ...]:
    if named := os.environ.get("TMPDIR"):
        return (named,)
    return "/var/tmp", "/tmp", tempfile.gettempdir()


def _check_room(file: BinaryIO) -> None:
    disk = os.fstatvfs(file.fileno())
    if disk.f_bavail * disk.f_frsize < KEPT_FREE_BYTES:
        raise _no_room(f"fewer than {KEPT_FREE_BYTES} bytes are free")


def _no_room(why: str) -> Unavailable:
    return Unavailable(
        f"the disk has no room for this upload ({why}); free some, or set TMPDIR to a folder on "
        "another one",
        retry_after_s=30.0,
    )
