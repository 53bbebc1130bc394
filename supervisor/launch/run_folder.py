"""The folder for the sockets and the plan of the server that these settings make."""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path

from ipc.transport.sockets import MAX_PATH_BYTES
from supervisor.config.errors import ConfigError
from supervisor.config.settings import Settings
from supervisor.launch.service_folders import service_folder

# Room for the names of sockets in the run folder, "speech-100.1000000".
_SOCKET_NAME_BYTES = 24


def make_run_dir(settings: Settings) -> Path:
    """The private folder for sockets and the plan. Raises `ConfigError` where it is not private."""
    path = run_dir_of(settings)
    longest = MAX_PATH_BYTES - _SOCKET_NAME_BYTES
    if len(bytes(path)) > longest:
        raise ConfigError(
            f"EDGE_SERVE_RUN_DIR: {path} is {len(bytes(path))} bytes long; the system's limit for "
            f"sockets leaves {longest}: set a shorter one"
        )
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = path.lstat()
    except OSError as error:
        raise ConfigError(
            f"EDGE_SERVE_RUN_DIR: {path} cannot be made ({error.strerror}); set another"
        ) from None
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise ConfigError(f"EDGE_SERVE_RUN_DIR: {path} is not a folder of this user; set another")
    if found.st_mode & 0o077:
        raise ConfigError(
            f"EDGE_SERVE_RUN_DIR: {path} is open to other users; run: chmod 700 {path}"
        )
    return path


def run_dir_of(settings: Settings) -> Path:
    """The run folder of the server that these settings make; it may not exist.

    EDGE_SERVE_RUN_DIR or what systemd gives the service, as they are. Else a folder for each port,
    in /tmp, so that several servers need different ports only; that of the user's session
    (XDG_RUNTIME_DIR) would go with a logout.
    """
    if settings.edge_serve_run_dir:
        return settings.edge_serve_run_dir.resolve()
    if given := service_folder("RUNTIME"):
        return given.resolve()
    # Port 0 takes any free port, which is not known yet; the daemon keeps this process's pid.
    port = settings.port or f"any-{os.getpid()}"
    return Path(tempfile.gettempdir()) / f"edge-serve-{os.getuid()}-{port}"


def run_dirs_of(settings: Settings) -> list[Path]:
    """The run folders in which servers of this user may run: the one that these settings make, and
    those of other ports."""
    others = sorted(Path(tempfile.gettempdir()).glob(f"edge-serve-{os.getuid()}-*"))
    return list(dict.fromkeys([run_dir_of(settings), *filter(_is_own, others)]))


def _is_own(path: Path) -> bool:
    """Anybody may make a folder of that name in /tmp."""
    try:
        return path.lstat().st_uid == os.getuid()
    except OSError:
        return False
