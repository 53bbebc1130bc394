"""Where the state folder is, and that nobody else may write it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from supervisor.config.errors import ConfigError
from supervisor.config.settings import Flags, Settings, load
from supervisor.launch.daemon import _read_only
from supervisor.launch.memory import known
from supervisor.launch.state_folder import make_state_dir, state_dir_of
from supervisor.state.footprints import SCHEMA


def settings() -> Settings:
    return load(Flags())


def test_workers_give_up_the_models_where_these_are_the_services_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = tmp_path / "models"
    models.mkdir()
    (tmp_path / "link").symlink_to(models)
    monkeypatch.setenv("EDGE_SERVE_MODELS_DIR", str(tmp_path / "link"))
    assert _read_only(settings()) == ""
    monkeypatch.setenv("STATE_DIRECTORY", f"{tmp_path}/state:{models}")
    assert _read_only(settings()) == str(models)


# variables -> the folder
PLACES = [
    ({"EDGE_SERVE_STATE_DIR": "/own", "STATE_DIRECTORY": "/s", "XDG_STATE_HOME": "/x"}, "/own"),
    ({"STATE_DIRECTORY": "/s:/more", "XDG_STATE_HOME": "/x", "HOME": "/h"}, "/s"),
    ({"XDG_STATE_HOME": "/x", "HOME": "/h"}, "/x/edge-serve"),
    ({"HOME": "/h"}, "/h/.local/state/edge-serve"),
    ({"XDG_STATE_HOME": "relative"}, None),
]


@pytest.mark.parametrize(("environment", "expected"), PLACES)
def test_the_folder_is_the_one_that_is_named_or_the_services_or_the_users(
    environment: dict[str, str], expected: str | None
) -> None:
    del os.environ["EDGE_SERVE_STATE_DIR"]
    os.environ.update(environment)
    assert state_dir_of(settings()) == (Path(expected) if expected else None)


def test_it_is_made_private(tmp_path: Path) -> None:
    os.environ["EDGE_SERVE_STATE_DIR"] = str(tmp_path / "deep/state")
    made, warnings = make_state_dir(settings())
    assert (made, warnings) == (tmp_path / "deep/state", [])
    assert made is not None
    assert made.stat().st_mode & 0o777 == 0o700
    assert make_state_dir(settings()) == (made, [])


@pytest.mark.parametrize("mode", [0o770, 0o702])
def test_one_that_others_may_write_is_refused(mode: int, tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state").chmod(mode)
    with pytest.raises(ConfigError) as told:
        make_state_dir(settings())
    assert str(told.value) == (
        f"EDGE_SERVE_STATE_DIR: {tmp_path}/state can be written by other users; "
        f"run: chmod go-w {tmp_path}/state"
    )


def test_one_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "state").mkdir(mode=0o700)
    monkeypatch.setattr(os, "getuid", lambda: 4321)
    with pytest.raises(ConfigError, match="is not a folder of this user; set another"):
        make_state_dir(settings())


def test_one_that_is_named_and_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    os.environ["EDGE_SERVE_STATE_DIR"] = str(tmp_path / "file/state")
    with pytest.raises(ConfigError, match=r"file/state cannot be made \(Not a directory\); set"):
        make_state_dir(settings())


def test_where_the_users_own_cannot_be_made_a_start_goes_on_with_a_warning(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    del os.environ["EDGE_SERVE_STATE_DIR"]
    os.environ["XDG_STATE_HOME"] = str(tmp_path / "file")
    made, (warning,) = make_state_dir(settings())
    assert made is None
    assert "cannot be made (Not a directory); set another, or nothing is kept" in warning


def test_a_file_of_a_later_release_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / SCHEMA.name).write_text('{"version": 99, "content": 1}')
    with pytest.raises(ConfigError) as told:
        known(tmp_path)
    assert str(told.value) == (
        f"EDGE_SERVE_STATE_DIR: {tmp_path}/footprints.json has schema version 99, and this "
        "edge-serve knows 1 at most; start the release that wrote it, or move the file away"
    )


def test_a_damaged_file_is_no_reason_not_to_start(tmp_path: Path) -> None:
    (tmp_path / SCHEMA.name).write_text("{")
    assert known(tmp_path) == ()
