"""What models take of this box's memory: as measured here, else as the catalog estimates."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from ipc.runtime import document
from supervisor.config.catalog import Model
from supervisor.config.errors import ConfigError
from supervisor.launch import file_facts
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
    return weights_digest(file_facts.of_each(model, pulled))


def expected_weights(model: Model) -> str:
    """The same of files that are not here; empty where the catalog does not tell their digests."""
    return weights_digest({name: file.sha256 for name, file in model.entry.files.items()})
