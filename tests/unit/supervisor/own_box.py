"""A box of a test's own: no settings but these."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from supervisor.config.settings import Settings


def take(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From here on the environment has no setting but where to keep what: in ``folder``."""
    monkeypatch.setattr(os, "environ", os.environ.copy())
    for name in Settings.model_fields:
        os.environ.pop(name.upper(), None)
    for name in ("RUNTIME_DIRECTORY", "CACHE_DIRECTORY", "STATE_DIRECTORY"):
        os.environ.pop(name, None)
    for name in ("XDG_RUNTIME_DIR", "XDG_STATE_HOME", "NOTIFY_SOCKET"):
        os.environ.pop(name, None)
    os.environ["EDGE_SERVE_MODELS_DIR"] = str(folder / "models")
    os.environ["EDGE_SERVE_RUN_DIR"] = str(folder / "run")
    os.environ["EDGE_SERVE_STATE_DIR"] = str(folder / "state")
