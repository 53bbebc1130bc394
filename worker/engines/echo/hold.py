"""What waits for a file, so that a test says when it goes on, however busy the machine is."""

from __future__ import annotations

import time
from pathlib import Path
from typing import NamedTuple

LOOK_S = 0.02


class Hold(NamedTuple):
    """An answer that stops ``after`` so many tokens until ``file`` is there."""

    after: int
    file: Path
    look_s: float = LOOK_S

    @classmethod
    def of(cls, argument: str) -> Hold:
        """From ``AFTER:FILE``."""
        after, _, file = argument.partition(":")
        return cls(int(after), Path(file))

    def holds(self, sent: int) -> bool:
        return sent >= self.after and not self.file.exists()


def wait_for(file: Path) -> None:
    while not file.exists():
        time.sleep(LOOK_S)
