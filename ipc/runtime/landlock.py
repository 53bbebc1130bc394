"""What a process gives up for good, with its children: the kernel holds it to that (landlock(7)).

It needs no privilege. Linux has it from 5.13 on where the system has not left it out; programs have
to go on where it is missing.
"""

from __future__ import annotations

import ctypes
import os
import stat
import struct
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

# The same on all of Linux's architectures that Python runs on (unistd.h).
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_GET_VERSION = 1
_PATH_BENEATH = 1
_PR_SET_NO_NEW_PRIVS = 38
# Rights by the version of the interface that knows them (linux/landlock.h): what writes a file,
# and what makes and removes entries of a folder; renaming across folders came with 2, truncating
# with 3.
_WRITE_FILE, _TRUNCATE = 1 << 1, 1 << 14
_WRITES = {1: _WRITE_FILE | sum(1 << bit for bit in range(4, 13)), 2: 1 << 13, 3: _TRUNCATE}
_CONNECT_TCP, _CONNECT_FROM = 1 << 1, 4


def version() -> int:
    """That of the kernel's interface; 0 where there is none."""
    return max(0, _call(_CREATE_RULESET, None, 0, _GET_VERSION))


def give_up(folder: Path, *, connecting: bool = False) -> bool:
    """Neither this thread nor any that it starts changes anything in ``folder`` from now on, nor
    makes anything right beside it or beside the folders that it is in; nor connects to anybody by
    TCP if it gives up ``connecting``, which kernels from 6.7 on hold it to.

    Returns whether the kernel holds it to the first. Raises `OSError`."""
    known = version()
    if not known:
        return False
    writes = sum(right for since, right in _WRITES.items() if since <= known)
    net = _CONNECT_TCP if connecting and known >= _CONNECT_FROM else 0
    attributes = struct.pack("=QQ", writes, net)[: 16 if known >= _CONNECT_FROM else 8]
    rules = _checked(_CREATE_RULESET, attributes, len(attributes), 0)
    try:
        # Only what is allowed can be said: all beside the folder, and beside those it is in.
        for path in _beside(folder.resolve()):
            _allow(rules, path, writes)
        _no_new_privileges()
        _checked(_RESTRICT_SELF, rules, 0)
    finally:
        os.close(rules)
    return True


def _beside(folder: Path) -> Iterator[str]:
    """A link among them may lead into the folder, and is of no use to a rule."""
    for inner, outer in zip([folder, *folder.parents], folder.parents, strict=False):
        with suppress(OSError):  # what cannot be listed cannot be written by its names either
            found = [one.path for one in os.scandir(outer) if not one.is_symlink()]
            yield from (path for path in found if path != str(inner))


def _allow(rules: int, path: str, rights: int) -> None:
    """One that has gone meanwhile, or may not be looked at, needs no rule."""
    with suppress(OSError):
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
        try:
            if not stat.S_ISDIR(os.fstat(place).st_mode):
                rights &= _WRITE_FILE | _TRUNCATE
            _checked(_ADD_RULE, rules, _PATH_BENEATH, struct.pack("=Qi", rights, place), 0)
        finally:
            os.close(place)


def _no_new_privileges() -> None:
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "PR_SET_NO_NEW_PRIVS")


def _checked(number: int, *arguments: int | bytes | None) -> int:
    found = _call(number, *arguments)
    if found < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return found


def _call(number: int, *arguments: int | bytes | None) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    if not hasattr(libc, "syscall"):
        return -1
    wide = [ctypes.c_long(one) if isinstance(one, int) else one for one in arguments]
    found: int = libc.syscall(ctypes.c_long(number), *wide)
    return found
