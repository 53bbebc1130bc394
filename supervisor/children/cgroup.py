"""A cgroup for each worker, where systemd has delegated the service's own (``Delegate=memory``).

    <the service's cgroup>          no process of its own, or the kernel would not let it share out
        supervisor/                 this process and the frontend
        chat-1.3/                   one worker with everything that it has started

A cell holds its worker to a hard memory limit, names those whom the kernel killed for memory, and
ends everything in it at once, also what has made a session of its own. File operations only, on a
folder that is given, see cgroups(7) and the kernel's cgroup-v2 document for the files' meanings.
"""

from __future__ import annotations

import contextlib
import logging
import os
from pathlib import Path

from supervisor.children.oom import count

logger = logging.getLogger(__name__)

MOUNT = Path("/sys/fs/cgroup")
OWN = "supervisor"


def own_folder(mount: Path = MOUNT, table: Path = Path("/proc/self/cgroup")) -> Path | None:
    """The cgroup that this process is in; None where the machine has no cgroup v2."""
    with contextlib.suppress(OSError):
        for line in table.read_text().splitlines():
            if line.startswith("0::/"):
                return mount / line.removeprefix("0::/")
    return None


def delegated(folder: Path) -> bool:
    """Whether ``folder`` and what is below it are this service's to arrange: systemd has marked it,
    or given it to an unprivileged user. Root may write everywhere, which proves nothing."""
    with contextlib.suppress(OSError):
        if os.getxattr(folder, "user.delegate") == b"1":
            return True
    try:
        owner = folder.stat().st_uid
    except OSError:
        return False
    return owner == os.getuid() != 0


class Tree:
    """The service's cgroup, shared out among its workers."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @classmethod
    def claim(cls, folder: Path | None) -> Tree | None:
        """Move this process into a leaf of ``folder`` and have memory accounted below it. None
        where it is not ours to arrange, or has no memory controller."""
        if folder is None or not delegated(folder):
            return None
        tree = cls(folder)
        try:
            if "memory" not in (folder / "cgroup.controllers").read_text().split():
                return None
            tree._sweep()
            (folder / OWN).mkdir(exist_ok=True)
            _write(folder / OWN / "cgroup.procs", os.getpid())
            _write(folder / "cgroup.subtree_control", "+memory")
        except OSError as error:
            logger.warning("no_cgroups", extra={"why": str(error)})
            return None
        return tree

    def cell(self, name: str, pid: int) -> Cell | None:
        """A new cgroup with the process ``pid``, which has started nothing yet; None where it
        cannot be made."""
        cell = Cell(self._folder / name)
        try:
            cell.folder.mkdir(exist_ok=True)
            _write(cell.folder / "memory.oom.group", 1)
            _write(cell.folder / "cgroup.procs", pid)
        except OSError as error:
            logger.warning("no_cgroup", extra={"child": name, "why": str(error)})
            cell.remove()
            return None
        return cell

    def _sweep(self) -> None:
        """Remove the cells of a supervisor that was killed; the kernel has emptied them."""
        for folder in self._folder.iterdir():
            if folder.is_dir() and folder.name != OWN:
                Cell(folder).end()


class Cell:
    """One worker's cgroup."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def limit(self, memory_mb: float) -> None:
        """Let the kernel kill everything in it rather than let it have more than this."""
        with contextlib.suppress(OSError):
            _write(self.folder / "memory.max", int(memory_mb * 2**20))

    def oom_kills(self) -> int:
        """How many of its processes the kernel has killed for memory."""
        return count(self.folder / "memory.events")

    def came_to_limit(self) -> bool:
        """Whether it was its own limit that it came to, not that of all together."""
        return count(self.folder / "memory.events", "oom") > 0

    def account(self) -> dict[str, int]:
        """What the kernel tells of its memory: the limit, what it had now and at most, in bytes,
        and the counts of memory.events. What it does not tell is left out."""
        found: dict[str, int] = {}
        for name in ("memory.max", "memory.current", "memory.peak"):
            with contextlib.suppress(OSError, ValueError):  # a limit of "max" is none
                found[name] = int((self.folder / name).read_text())
        with contextlib.suppress(OSError, ValueError):
            for line in (self.folder / "memory.events").read_text().splitlines():
                name, times = line.split()
                found[f"memory.events.{name}"] = int(times)
        return found

    def end(self) -> bool:
        """Kill all that is left in it, and remove it. False: not empty yet, to be called again."""
        with contextlib.suppress(OSError):
            _write(self.folder / "cgroup.kill", 1)  # Linux 5.14
        return self.remove()

    def remove(self) -> bool:
        """Whether it is gone, which takes that nothing is in it."""
        try:
            self.folder.rmdir()
        except FileNotFoundError:
            return True
        except OSError:
            return False
        return True


def _write(file: Path, value: object) -> None:
    # The file exists; a plain open would create one where the kernel has none, which it refuses.
    with file.open("r+") as handle:
        handle.write(f"{value}\n")
