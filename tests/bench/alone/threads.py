"""Which threads of a server work for a token, for how long, and how often they are woken."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import psutil

_ZEROMQ = "ZMQbg"  # what the library calls threads of its own


class Work(NamedTuple):
    """Of one kind of threads: processor time, and how often one was put on a processor."""

    run_ns: int = 0
    turns: int = 0

    def since(self, before: Work) -> Work:
        return Work(self.run_ns - before.run_ns, self.turns - before.turns)


def work_of(server: int) -> dict[str, Work]:
    """All threads of the server whose first process is ``server``, by process and kind."""
    runs: Counter[str] = Counter()
    turns: Counter[str] = Counter()
    first = psutil.Process(server)
    for process in (first, *first.children(recursive=True)):
        name = _name(process)
        for thread in Path(f"/proc/{process.pid}/task").iterdir():
            with suppress(OSError):  # it has ended
                kind = f"{name}, {_kind(process.pid, thread)}"
                run_ns, _, count = map(int, (thread / "schedstat").read_text().split())
                runs[kind] += run_ns
                turns[kind] += count
    return {kind: Work(run_ns, turns[kind]) for kind, run_ns in runs.items()}


def _name(process: psutil.Process) -> str:
    """The module that a process runs: ``python -P -m frontend ...``."""
    line = process.cmdline()
    return line[line.index("-m") + 1] if "-m" in line[:-1] else line[0]


def _kind(pid: int, thread: Path) -> str:
    if (thread / "comm").read_text().startswith(_ZEROMQ):
        return "ZeroMQ"
    return "main thread" if int(thread.name) == pid else "other threads"
