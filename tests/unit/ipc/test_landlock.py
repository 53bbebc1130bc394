"""What a process has given up, by processes that try it."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from ipc.runtime import landlock

PROGRAM = """
import os, socket, subprocess, sys
from pathlib import Path
from ipc.runtime import landlock
folder, connecting, what = Path(sys.argv[1]), sys.argv[2] == "1", sys.argv[3]
assert landlock.give_up(folder, connecting=connecting)
try:
    exec(what)
except PermissionError:
    print("refused")
else:
    print("done")
"""

pytestmark = pytest.mark.skipif(not landlock.version(), reason="this kernel has no Landlock")


def after(folder: Path, what: str, *, connecting: bool = False) -> str:
    argv = [sys.executable, "-P", "-c", PROGRAM, str(folder), str(int(connecting)), what]
    done = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=60)
    return done.stdout.strip()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "models"
    (folder / "one").mkdir(parents=True)
    (folder / "one" / "weights").write_bytes(b"w")
    (tmp_path / "beside").mkdir()
    return folder


@pytest.mark.parametrize(
    ("what", "becomes"),
    [
        ("(folder / 'one/weights').write_bytes(b'x')", "refused"),
        ("(folder / 'one/weights').unlink()", "refused"),
        ("(folder / 'one/more').mkdir()", "refused"),
        ("(folder / 'one').rename(folder.parent / 'beside/one')", "refused"),
        ("os.truncate(folder / 'one/weights', 0)", "refused"),
        ("subprocess.run(['touch', folder / 'new'], check=True)", "failed"),
        ("assert (folder / 'one/weights').read_bytes() == b'w'", "done"),
        ("(folder.parent / 'beside/file').write_bytes(b'x')", "done"),
        ("open('/dev/null', 'wb').write(b'x')", "done"),
    ],
)
def test_a_folder_is_read_and_never_changed(folder: Path, what: str, becomes: str) -> None:
    if becomes == "failed":  # a child, too
        with pytest.raises(subprocess.CalledProcessError):
            after(folder, what)
    else:
        assert after(folder, what) == becomes
    assert (folder / "one" / "weights").read_bytes() == b"w"
    assert [one.name for one in folder.iterdir()] == ["one"]


@pytest.mark.skipif(landlock.version() < 4, reason="this kernel lets everybody connect")
@pytest.mark.parametrize(("connecting", "becomes"), [(True, "refused"), (False, "done")])
def test_who_gives_up_connecting_reaches_nobody(
    folder: Path, connecting: bool, becomes: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        what = f"socket.create_connection({server.getsockname()!r}).close()"
        assert after(folder, what, connecting=connecting) == becomes
