"""What the files of a model are, as far as engine and device depend on it."""

from __future__ import annotations

import json
from pathlib import Path

from ipc.facts.gguf import read_header
from supervisor.config.engines import openvino_reads
from supervisor.config.spec import Files


def look(path: Path, cache: Path, pulled_at: int | None) -> Files:
    """What is in ``path``, a folder or the one file to load, which may not be there yet.

    ``cache`` is the folder for its conversion. ``pulled_at`` is in seconds since 1970; None for a
    model that is not the store's, which the time of its own file or folder dates.
    """
    return Files(
        path=str(path),
        cache=str(cache),
        converted=any(path.glob("openvino_*model.xml")) or _openvino_reads(path),
        gguf=path.suffix == ".gguf",
        checkpoint=any(path.glob("*.safetensors")),
        vision=has_vision(path / "config.json"),
        created=_changed_at(path) if pulled_at is None else pulled_at,
    )


def _changed_at(path: Path) -> int:
    return int(path.stat().st_mtime) if path.exists() else 0


def _openvino_reads(path: Path) -> bool:
    """Whether this is a GGUF file for OpenVINO. One that is not here yet, or is none inside, is
    taken for it: its engine reports the real problem later."""
    if path.suffix != ".gguf":
        return False
    try:
        return openvino_reads(read_header(path))
    except (OSError, ValueError):
        return True


def has_vision(config: Path) -> bool:
    """Whether a checkpoint of transformers has weights for images, as its config.json says."""
    try:
        found = json.loads(config.read_bytes())
    except (OSError, ValueError):  # no checkpoint, or one that its engine will refuse
        return False
    return isinstance(found, dict) and "vision_config" in found
