"""The box of the tests itself, where a wrong step would reach whoever runs them."""

from __future__ import annotations

import signal
import subprocess
from typing import Any

from tests.process.box import CHAT, Box


class BetweenWorkers(Box):
    """Has no process for its model at first, which /health calls pid 0."""

    def __init__(self, pid: int) -> None:
        self._found = [{"pid": 0, "generation": 1}] * 2 + [{"pid": pid, "generation": 2}]

    def replica(self, _model: str) -> dict[str, Any]:
        return self._found.pop(0)


def test_a_signal_is_for_a_worker_and_never_for_the_group_of_the_tests() -> None:
    worker = subprocess.Popen(["sleep", "60"])
    assert BetweenWorkers(worker.pid).kill(CHAT) == 2
    assert worker.wait(timeout=60) == -signal.SIGKILL
