"""What models take of this box's memory: as measured here, else as the catalog estimates."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from ipc.runtime import document
from supervisor.config.catalog import LocalPath, Model
from supervisor.config.errors import ConfigError
from supervisor.models.store import Manifest
from supervisor.state import footprints
from supervisor.state.footprints import Footprints, Subject, find
from supervisor.state.weights import weights_digest


class Memory(NamedTuple):
    """The MB of one worker; None if nobody knows."""

    mb: int | None
    measured: bool = False


def known(state_dir: Path | None) -> Footprints:
    """What has been measured on this box. Raises `ConfigError` where a later release wrote it."""
    if state_dir is None:
        return ()
    try:
        return document.read(state_dir, footprints.SCHEMA) or ()
    except document.NewerSchema as error:
        raise ConfigError(f"EDGE_SERVE_STATE_DIR: {error}") from None
    except document.Damaged:
        return ()  # the daemon moves it aside and says so


def measured_mb(measured: Footprints, subject: Subject) -> int | None:
    """What a worker was measured to take. None also on GPUs, whose memory is not what was."""
    found = find(measured, subject) if subject.device == "cpu" else None
    return found.private_mb if found else None


def weights(model: Model, pulled: Manifest | None) -> str:
    """What tells the model's files from others, see `weights_digest`; empty if there are none."""
    if isinstance(model.source, LocalPath):
        return weights_digest(_stamps(model.source.path))
    if pulled is None:
        return expected_weights(model)
    return weights_digest({name: file.sha256 for name, file in pulled.files.items()})


def expected_weights(model: Model) -> str:
    """The same of files that are not here; empty where the catalog does not tell their digests."""
    return weights_digest({name: file.sha256 for name, file in model.entry.files.items()})


def _stamps(path: Path) -> Mapping[str, str]:
    files = path.rglob("*") if path.is_dir() else [path]
    found = [(file, file.stat()) for file in files if file.is_file()]
    return {
        file.relative_to(path).as_posix(): f"{stat.st_size} {stat.st_mtime_ns}"
        for file, stat in found
    }
