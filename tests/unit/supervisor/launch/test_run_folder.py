"""The run folder of a server: where it is, and that it is private."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from supervisor import run_dir
from supervisor.config import settings
from supervisor.config.errors import ConfigError
from supervisor.launch.run_folder import make_run_dir


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """A short one, wherever pytest has its own: a socket's path may not be long."""
    with tempfile.TemporaryDirectory(prefix="es-", dir="/tmp") as folder:
        yield Path(folder)


def test_the_run_folder_is_made_private(tmp_path: Path) -> None:
    made = make_run_dir(settings.load(settings.Flags()))
    assert made == tmp_path / "run"
    assert made.stat().st_mode & 0o777 == 0o700
    assert make_run_dir(settings.load(settings.Flags())) == made


def test_each_port_has_a_run_folder_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    del os.environ["EDGE_SERVE_RUN_DIR"]
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path))
    folders = [
        make_run_dir(settings.load(settings.Flags(port=port))).name
        for port in ("8000", "9000", "0")
    ]
    user = f"edge-serve-{os.getuid()}"
    assert folders == [f"{user}-8000", f"{user}-9000", f"{user}-any-{os.getpid()}"]


def test_who_runs_in_a_folder_is_told_while_it_does(tmp_path: Path) -> None:
    folder = run_dir.RunDir(tmp_path / "run")
    assert run_dir.owner(folder.path) is None
    folder.claim()
    assert run_dir.owner(folder.path) == os.getpid()
    folder.release()
    assert run_dir.owner(folder.path) is None
    (folder.path / "lock").write_text(f"{os.getpid()}\n")  # as a crash leaves it
    assert run_dir.owner(folder.path) is None


def test_the_run_folder_is_not_the_sessions_which_a_logout_removes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    del os.environ["EDGE_SERVE_RUN_DIR"]
    os.environ["XDG_RUNTIME_DIR"] = str(tmp_path / "session")
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path / "tmp"))
    made = tmp_path / f"tmp/edge-serve-{os.getuid()}-8000"
    assert make_run_dir(settings.load(settings.Flags())) == made


def test_the_service_brings_its_own_run_folder(tmp_path: Path) -> None:
    del os.environ["EDGE_SERVE_RUN_DIR"]
    real, link = tmp_path / "private", tmp_path / "edge-serve"
    real.mkdir(mode=0o700)
    link.symlink_to(real)  # as systemd does for a dynamic user
    os.environ["RUNTIME_DIRECTORY"] = str(link)
    assert make_run_dir(settings.load(settings.Flags())) == real


def test_a_run_folder_open_to_others_is_refused(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run").chmod(0o755)
    with pytest.raises(ConfigError, match="is open to other users; run: chmod 700"):
        make_run_dir(settings.load(settings.Flags()))


def test_a_run_folder_of_another_user_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "run").mkdir(mode=0o700)
    monkeypatch.setattr(os, "getuid", lambda: 4321)
    with pytest.raises(ConfigError, match="is not a folder of this user; set another"):
        make_run_dir(settings.load(settings.Flags()))


def test_a_link_planted_in_tmp_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    del os.environ["EDGE_SERVE_RUN_DIR"]
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path))
    (tmp_path / "mine").mkdir(mode=0o700)
    (tmp_path / f"edge-serve-{os.getuid()}-8000").symlink_to(tmp_path / "mine")
    with pytest.raises(ConfigError, match="is not a folder of this user"):
        make_run_dir(settings.load(settings.Flags()))
