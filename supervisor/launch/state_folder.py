"""The folder for what this box keeps from one start to the next."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from supervisor.config.errors import ConfigError
from supervisor.config.settings import Settings
from supervisor.launch.service_folders import service_folder

_NAME = "EDGE_SERVE_STATE_DIR"


def state_dir_of(settings: Settings) -> Path | None:
    """The state folder of the server that these settings make; it may not exist. None where there
    is no place for one: nothing says where, and this user has no home.

    EDGE_SERVE_STATE_DIR or what systemd gives the service; else in the user's folder for such
    things, by the XDG base directory specification.
    """
    if named := _named(settings):
        return named
    try:
        base = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
    except RuntimeError:
        return None
    return base / "edge-serve" if base.is_absolute() else None


def make_state_dir(settings: Settings) -> tuple[Path | None, list[str]]:
    """The state folder, made if it was missing, and a warning where there can be none.

    Raises `ConfigError` where others may write it, or one that somebody has named cannot be made.
    """
    path = state_dir_of(settings)
    if path is None:
        return None, [f"nothing is kept from one start to the next; set {_NAME} to a folder for it"]
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = path.stat()
    except OSError as error:
        why = f"{_NAME}: {path} cannot be made ({error.strerror}); set another"
        if _named(settings):
            raise ConfigError(why) from None
        return None, [f"{why}, or nothing is kept from one start to the next"]
    _check(path, found)
    return path, []


def _named(settings: Settings) -> Path | None:
    if settings.edge_serve_state_dir:
        return settings.edge_serve_state_dir.resolve()
    given = service_folder("STATE")
    return given.resolve() if given else None


def _check(path: Path, found: os.stat_result) -> None:
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise ConfigError(f"{_NAME}: {path} is not a folder of this user; set another")
    if found.st_mode & 0o022:
        raise ConfigError(f"{_NAME}: {path} can be written by other users; run: chmod go-w {path}")
