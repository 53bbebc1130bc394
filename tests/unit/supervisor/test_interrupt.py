"""A Ctrl-C while something starts is not lost, wherever its exception is raised."""

from __future__ import annotations

import subprocess
import sys

import pytest

from supervisor.interrupt import STATUS

BEGIN = "import signal, time\nfrom supervisor import interrupt\n"
DESTRUCTOR = """
class Late:
    def __del__(self):
        signal.raise_signal(signal.SIGINT)

with interrupt.quiet():
    Late()
    time.sleep(60)
"""
SWALLOWED = """
with interrupt.quiet():
    try:
        signal.raise_signal(signal.SIGINT)
    except BaseException:
        pass
    interrupt.hold(signal.SIGINT)
    time.sleep(60)
"""
PLAIN = """
with interrupt.quiet():
    signal.raise_signal(signal.SIGINT)
"""


@pytest.mark.parametrize("program", [PLAIN, DESTRUCTOR, SWALLOWED])
def test_it_ends_the_process_and_says_nothing(program: str) -> None:
    argv = [sys.executable, "-c", BEGIN + program]
    ended = subprocess.run(argv, capture_output=True, text=True, timeout=30, check=False)
    assert (ended.returncode, ended.stderr) == (STATUS, "")
