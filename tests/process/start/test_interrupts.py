"""Ctrl-C and a closed terminal, at every moment of a start: no traceback, nobody left over."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import select
import signal
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.ports import free_port
from tests.process.box import CHAT, Box, MakeBox, lives, spec, wait_until

ROOT = Path(__file__).parents[3]
CATALOG = "serve: [own/echo]\nmodels:\n  - {name: own/echo, task: chat, engine: own.Echo}\n"
DEADLINE_S = 60.0


class Terminal:
    """A shell's terminal with one command in it."""

    def __init__(self, folder: Path, *argv: str, **env: str) -> None:
        self.said = ""
        self._end, inner = pty.openpty()
        self.process = subprocess.Popen(
            argv,
            cwd=folder,
            env={**os.environ, **env},
            stdin=inner,
            stdout=inner,
            stderr=inner,
            start_new_session=True,
            preexec_fn=_control_terminal,
        )
        os.close(inner)

    def type(self, keys: bytes) -> None:
        os.write(self._end, keys)

    def hang_up(self) -> None:
        os.close(self._end)
        self._end = -1

    def wait(self) -> int:
        """The command's status at its end, with all that it has said until then in ``said``."""
        end_at = time.monotonic() + DEADLINE_S
        while self.process.poll() is None and time.monotonic() < end_at:
            self._read(0.1)
        self._read(0.1)
        return self.process.wait(timeout=1)

    def _read(self, seconds: float) -> None:
        if self._end < 0:
            time.sleep(seconds)
            return
        with contextlib.suppress(OSError):  # as a terminal ends
            while select.select([self._end], [], [], seconds)[0]:
                self.said += os.read(self._end, 65536).decode(errors="replace")

    def close(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        if self._end >= 0:
            self.hang_up()


def _control_terminal() -> None:
    """As a shell does for what it starts in the foreground, however the tests were started."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


@pytest.fixture(scope="module")
def environment() -> None:
    """What bin/edge-serve needs is installed, so that it begins with the server itself."""
    subprocess.run(["bash", str(ROOT / "bin/venv.sh"), "requirements.txt"], check=True, timeout=600)


@pytest.fixture
def folder(tmp_path: Path, environment: None) -> Iterator[Path]:
    del environment
    (tmp_path / "own.yaml").write_text(CATALOG)
    (tmp_path / "own.py").write_text("from worker.engines.echo.engine import Echo\n")
    with tempfile.TemporaryDirectory(prefix="es-") as run_dir:
        (tmp_path / "run").symlink_to(run_dir)
        yield tmp_path


def serve(folder: Path, *command: str) -> Terminal:
    return Terminal(
        folder,
        *(command or [str(ROOT / "bin/edge-serve")]),
        *("--config", "own.yaml", "--port", str(free_port())),
        PYTHONPATH=os.pathsep.join([str(folder), str(ROOT)]),
        EDGE_SERVE_RUN_DIR=str((folder / "run").resolve()),
        EDGE_SERVE_MODELS_DIR=str(folder / "models"),
    )


def interrupted(terminal: Terminal, after_s: float) -> tuple[int, list[psutil.Process]]:
    """The status of a start that gets a Ctrl-C after so long, and whom it has left behind."""
    time.sleep(after_s)
    with contextlib.suppress(psutil.NoSuchProcess):
        family = psutil.Process(terminal.process.pid).children(recursive=True)
    terminal.type(b"\x03")
    status = terminal.wait()
    return status, [one for one in family if lives(one)]


MOMENTS = [number / 10 for number in range(16)]
MANY_MOMENTS = [number / 100 for number in range(200)]


def check(folder: Path, after_s: float) -> None:
    terminal = serve(folder)
    try:
        status, left = interrupted(terminal, after_s)
        assert "Traceback" not in terminal.said, terminal.said
        assert status in (0, 130, -signal.SIGINT), terminal.said
        wait_until(lambda: not any(lives(one) for one in left))
    finally:
        terminal.close()


@pytest.mark.parametrize("after_s", MOMENTS)
def test_ctrl_c_at_any_moment_of_a_start_leaves_no_traceback(folder: Path, after_s: float) -> None:
    check(folder, after_s)


@pytest.mark.chaos
@pytest.mark.timeout(1800)
def test_ctrl_c_at_very_many_moments(folder: Path) -> None:
    for after_s in MANY_MOMENTS:
        check(folder, after_s)


def checkout(folder: Path, requirements: str) -> None:
    """A checkout that has nothing but its scripts and what they install."""
    (folder / "bin").mkdir()
    for name in ("bin/venv.sh", "bin/edge-serve"):
        (folder / name).write_bytes((ROOT / name).read_bytes())
        (folder / name).chmod(0o755)
    (folder / "requirements.txt").write_text(requirements)


@pytest.mark.parametrize("after_s", [0.1, 0.5, 1.0])
def test_ctrl_c_while_the_environment_is_made_leaves_no_traceback(
    tmp_path: Path, after_s: float
) -> None:
    checkout(tmp_path, requirements="edge-serve-has-no-such-requirement==1\n")
    terminal = Terminal(tmp_path, str(tmp_path / "bin/edge-serve"), PYTHON=sys.executable)
    try:
        status, left = interrupted(terminal, after_s)
        assert "Traceback" not in terminal.said, terminal.said
        assert status in (130, -signal.SIGINT), terminal.said
        wait_until(lambda: not any(lives(one) for one in left))
    finally:
        terminal.close()


_TOLD = """#!/bin/sh
echo "$(ps -o pgid= -o tpgid= -p $$) $*" >>calls
"""


def test_no_python_that_installs_is_where_ctrl_c_reaches_it(tmp_path: Path) -> None:
    """Whenever it comes. The one that stays in the terminal's foreground is the command itself."""
    checkout(tmp_path, requirements="")
    python = tmp_path / ".venv/bin/python"
    (tmp_path / ".venv/lib/python3.11/site-packages").mkdir(parents=True)
    python.parent.mkdir()
    python.write_text(_TOLD)
    python.chmod(0o755)
    terminal = Terminal(tmp_path, str(tmp_path / "bin/edge-serve"))
    try:
        assert terminal.wait() == 0, terminal.said
    finally:
        terminal.close()
    calls = (tmp_path / "calls").read_text().splitlines()
    *installing, last = [call.split(maxsplit=2) for call in calls]
    assert "supervisor.cli" in last[2]
    assert any("pip install" in args for _, _, args in installing)
    assert [args for group, foreground, args in installing if group == foreground] == []


def test_without_a_terminal_sighup_has_the_files_read_again(box: Box) -> None:
    box.process.send_signal(signal.SIGHUP)
    wait_until(lambda: any("config_refused" in line for line in box.lines()))  # it has no files
    assert box.chat("still here").status_code == 200


def test_nohup_is_respected(make_box: MakeBox) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        box = make_box(spec(CHAT)).wait_ready()
    finally:
        signal.signal(signal.SIGHUP, before)
    for _ in range(3):
        box.process.send_signal(signal.SIGHUP)
        assert box.chat("still here").status_code == 200
    assert not any("stopping" in line for line in box.lines())


def test_a_terminal_that_is_closed_ends_the_server_in_order(folder: Path) -> None:
    terminal = serve(folder, sys.executable, "-P", "-m", "supervisor.cli")
    try:
        end_at = time.monotonic() + DEADLINE_S
        while "ready" not in terminal.said and time.monotonic() < end_at:
            terminal._read(0.1)
        family = psutil.Process(terminal.process.pid).children(recursive=True)
        terminal.hang_up()
        assert terminal.wait() == 0
        assert not any(lives(one) for one in family)
    finally:
        terminal.close()
