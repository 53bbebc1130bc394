"""A mark that stands in the folder while a server runs: whoever finds that of another one knows
that it ended without being stopped."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from frontend.incidents.incident import Incident
from ipc.runtime import durable

NAME = ".running"


class RunMark:
    """Owns the mark in ``folder`` from `set` to `remove`. A new frontend of the same server finds
    its own."""

    def __init__(self, folder: Path, proc: Path = Path("/proc")) -> None:
        self._file = folder / NAME
        self._own = {"server": _server(proc), "boot": _boot(proc)}

    def set(self, now_s: float) -> Incident | None:
        """What has become of the server before, where it was not stopped. Raises `OSError`."""
        found = self._read()
        self._file.parent.mkdir(mode=0o700, exist_ok=True)
        if found == self._own:
            return None
        durable.write_file(self._file, json.dumps(self._own).encode(), 0o600)
        if found is None:
            return None
        facts = {"machine_restarted": found.get("boot") != self._own["boot"]}
        return Incident(what="server-died", time_s=now_s, facts=facts)

    def remove(self) -> None:
        """This server ends as it should."""
        self._file.unlink(missing_ok=True)

    def _read(self) -> dict[str, Any] | None:
        try:
            found = json.loads(self._file.read_bytes())
        except (OSError, ValueError):
            return None
        return found if isinstance(found, dict) else None


def _server(proc: Path) -> str:
    """The supervisor by its pid and when it started, since pids come again."""
    pid = os.getppid()
    stat = (proc / str(pid) / "stat").read_text().rpartition(")")[2].split()
    return f"{pid}.{stat[19]}"  # its field 22, see proc(5)


def _boot(proc: Path) -> str:
    return (proc / "sys" / "kernel" / "random" / "boot_id").read_text().strip()
