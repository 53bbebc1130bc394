"""`edge-serve top` in a terminal, and in a pipe."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from tests.process.box import CHAT, DEADLINE_S, EMBED, Box, MakeBox, spec, wait_until

COMMAND = [sys.executable, "-P", "-m", "supervisor.cli", "top"]
ENTERS, LEAVES = b"\x1b[?1049h", b"\x1b[?1049l"
HIDES, SHOWS = b"\x1b[?25l", b"\x1b[?25h"
_STYLES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@pytest.fixture(scope="module")
def box(module_box: MakeBox) -> Box:
    return module_box(spec(CHAT), spec(EMBED)).wait_ready()


class Terminal:
    """A program in a terminal of so many columns and lines."""

    def __init__(self, argv: list[str], columns: int, lines: int) -> None:
        self._outer, inner = pty.openpty()
        self.resize(columns, lines)
        self.before = termios.tcgetattr(inner)
        self._inner = inner
        self.said = b""
        self.program = subprocess.Popen(
            argv,
            stdin=inner,
            stdout=inner,
            stderr=inner,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
            env={**os.environ, "TERM": "xterm-256color"},
        )
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        while True:
            try:
                self.said += os.read(self._outer, 65_536)
            except OSError:
                return

    def resize(self, columns: int, lines: int) -> None:
        fcntl.ioctl(self._outer, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def press(self, keys: bytes) -> None:
        os.write(self._outer, keys)

    @property
    def frame(self) -> list[str]:
        """The lines of the last whole frame."""
        *_, last, _being_written = [b"", b"", *self.said.split(b"\x1b[H")]
        return _STYLES.sub("", last.decode()).split("\r\n")

    @property
    def modes(self) -> Any:
        return termios.tcgetattr(self._inner)

    def close(self) -> None:
        self.program.kill()
        self.program.wait()
        os.close(self._inner)
        os.close(self._outer)


@pytest.fixture
def terminal(box: Box) -> Iterator[Terminal]:
    terminal = Terminal([*COMMAND, "--url", box.url, "--interval", "0.2"], 100, 30)
    wait_until(lambda: any(CHAT in line for line in terminal.frame))
    yield terminal
    terminal.close()


def test_it_is_drawn_again_and_leaves_the_terminal_as_it_was(terminal: Terminal) -> None:
    assert terminal.said.count(ENTERS) == terminal.said.count(HIDES) == 1
    assert not terminal.modes[3] & (termios.ECHO | termios.ICANON)
    frames = terminal.said.count(b"\x1b[H")
    wait_until(lambda: terminal.said.count(b"\x1b[H") > frames + 2)
    terminal.press(b"q")
    assert terminal.program.wait(DEADLINE_S) == 0
    wait_until(lambda: LEAVES in terminal.said and SHOWS in terminal.said)
    assert terminal.modes == terminal.before


@pytest.mark.parametrize("how", ["ctrl-c", "sigterm"])
def test_however_it_is_ended(terminal: Terminal, how: str) -> None:
    if how == "ctrl-c":
        terminal.press(b"\x03")
    else:
        terminal.program.send_signal(signal.SIGTERM)
    assert terminal.program.wait(DEADLINE_S) == (130 if how == "ctrl-c" else 143)
    wait_until(lambda: LEAVES in terminal.said and SHOWS in terminal.said)
    assert terminal.modes == terminal.before
    assert b"Traceback" not in terminal.said


def test_it_fits_the_terminal_as_that_changes(terminal: Terminal) -> None:
    terminal.resize(40, 8)
    terminal.program.send_signal(signal.SIGWINCH)
    wait_until(lambda: len(terminal.frame) <= 8 and max(map(len, terminal.frame)) <= 40)
    terminal.resize(120, 40)
    terminal.program.send_signal(signal.SIGWINCH)
    wait_until(lambda: any("DEVICE" in line for line in terminal.frame))


def test_a_request_is_seen_while_it_is_worked_on(box: Box, terminal: Terminal) -> None:
    asked = {"model": CHAT, "messages": [{"role": "user", "content": "/slow 100 " + "word " * 50}]}
    with box.client.stream("POST", "/v1/chat/completions", json={**asked, "stream": True}):
        wait_until(lambda: any(line.startswith("req_") for line in terminal.frame))
    wait_until(lambda: not any(line.startswith("req_") for line in terminal.frame))


def test_a_server_that_is_started_again_is_found_again(make_box: MakeBox) -> None:
    again = make_box(spec(CHAT)).wait_ready()
    terminal = Terminal([*COMMAND, "--url", again.url, "--interval", "0.2"], 100, 30)
    try:
        wait_until(lambda: any(CHAT in line for line in terminal.frame))
        again.process.terminate()
        again.process.wait(DEADLINE_S)
        wait_until(lambda: any("no answer since" in line for line in terminal.frame))
        again.start()
        wait_until(lambda: not any("no answer since" in line for line in terminal.frame))
        assert terminal.program.poll() is None
    finally:
        terminal.close()


def test_in_a_pipe_it_is_said_once(box: Box) -> None:
    done = subprocess.run([*COMMAND, "--url", box.url], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"edge-serve {box.url}  ok, up ")
    assert any(line.split()[:2] == [CHAT, "ready"] for line in done.stdout.splitlines())
    assert "\x1b" not in done.stdout


def test_for_programs_it_is_one_document(box: Box) -> None:
    argv = [*COMMAND, "--url", box.url, "--json"]
    told = json.loads(subprocess.run(argv, capture_output=True, check=True, timeout=60).stdout)
    assert {model["name"] for model in told["models"]} == {CHAT, EMBED}
    assert (told["url"], told["requests"]) == (box.url, [])
    assert told["events"][0]["seq"] > told["events"][-1]["seq"]


def test_nobody_there() -> None:
    argv = [*COMMAND, "--url", "http://127.0.0.1:1", "--once"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (1, "")
    assert "no edge-serve answers at http://127.0.0.1:1" in done.stderr
