"""``python -m tests.process.faults.changing_daemon PLAN``: the daemon, with a way in for tests.

It reads what is to change from its standard input, a line each:
{"add": SPEC}, {"remove": NAME} or {"roll_back": NAME}.
"""

from __future__ import annotations

import asyncio
import sys

import msgspec

from ipc.messages.spec import Spec
from supervisor.__main__ import main
from supervisor.daemon import Daemon


class Change(msgspec.Struct, forbid_unknown_fields=True):
    add: Spec | None = None
    remove: str | None = None
    roll_back: str | None = None


class ChangingDaemon(Daemon):
    async def run(self) -> bool:
        asyncio.get_running_loop().add_reader(sys.stdin, self._on_line)
        return await super().run()

    def _on_line(self) -> None:
        line = sys.stdin.readline()
        if not line:
            asyncio.get_running_loop().remove_reader(sys.stdin)
            return
        change = msgspec.json.decode(line, type=Change)
        if change.add is not None:
            self.supervisor.add(change.add)
        if change.remove is not None:
            self.supervisor.remove(change.remove)
        if change.roll_back is not None:
            self.supervisor.roll_back(change.roll_back)


if __name__ == "__main__":
    sys.exit(main(ChangingDaemon))
