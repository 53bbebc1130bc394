"""``python -I -S program_guard.py LIFELINE REPORT PROGRAM ARGUMENT…``: run a program that nothing
can orphan. Started by `worker.engines.upstream.program` alone, and as small as Python gets.

This process is the "subreaper" of the program (prctl(2)): whatever that starts, in sessions of its
own or not, becomes a child of this one when its parent dies, and nobody gets away. When the program
ends, or the pipe LIFELINE does, since the worker has, all of them are killed, and this process ends
as the program did. The pipe REPORT takes the number of the error by which it could not be started.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import sys
import time

_PR_SET_PDEATHSIG = 1  # <linux/prctl.h>
_PR_SET_CHILD_SUBREAPER = 36
_END_S = 10.0
_TURN_S = 0.01
_FORWARDED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def main() -> None:
    lifeline, report, argv = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
    prctl = ctypes.CDLL(None).prctl
    prctl(_PR_SET_CHILD_SUBREAPER, 1)
    os.set_inheritable(lifeline, False)
    woken, wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    me = os.getpid()
    program = os.fork()
    if program == 0:
        # Should anybody kill this process, the program at least goes with it.
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() == me:
            _become(argv, report)
        os._exit(1)
    os.close(report)
    for number in _FORWARDED:
        signal.signal(number, lambda given, _: os.kill(program, given))
    status = _watch(program, lifeline, woken)
    _end_all()
    _end_as(status)


def _become(argv: list[str], report: int) -> None:
    os.setpgid(0, 0)  # a program may signal its whole group
    os.set_inheritable(report, False)
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    try:
        os.execvp(argv[0], argv)
    except OSError as error:
        os.write(report, str(error.errno).encode())


def _watch(program: int, lifeline: int, woken: int) -> int:
    """The program's exit status, or that of one that was killed where nobody wants it any more."""
    while True:
        ready, _, _ = select.select([lifeline, woken], [], [])
        if lifeline in ready:
            return int(signal.SIGKILL)
        with contextlib.suppress(BlockingIOError):
            os.read(woken, 4096)
        ended = _reap()
        if program in ended:
            return ended[program]


def _reap() -> dict[int, int]:
    """Whoever has ended, with the status of each."""
    ended: dict[int, int] = {}
    with contextlib.suppress(ChildProcessError):
        while (found := os.waitpid(-1, os.WNOHANG))[0]:
            ended[found[0]] = found[1]
    return ended


def _end_all() -> None:
    """Kill every descendant: whoever has lost its parent is a child of this process by now."""
    end_at = time.monotonic() + _END_S
    while (found := _descendants()) and time.monotonic() < end_at:
        for pid in found:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        _reap()
        time.sleep(_TURN_S)


def _descendants() -> list[int]:
    parents: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):  # noqa: PTH208
        if name.isdecimal() and (parent := _parent(name)) is not None:
            parents.setdefault(parent, []).append(int(name))
    found: list[int] = []
    of = [os.getpid()]
    while of:
        children = parents.get(of.pop(), [])
        found += children
        of += children
    return found


def _parent(pid: str) -> int | None:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:  # noqa: PTH123
            return int(file.read().rpartition(b")")[2].split()[1])
    except (OSError, IndexError):
        return None


def _end_as(status: int) -> None:
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        if number not in (signal.SIGKILL, signal.SIGSTOP):
            signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
        time.sleep(1)
    os._exit(os.WEXITSTATUS(status))


if __name__ == "__main__":
    main()
