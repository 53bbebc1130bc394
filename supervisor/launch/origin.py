"""What a plan is made from, as the daemon keeps it for the next time."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path

from supervisor.config import access, pulled_catalog
from supervisor.config.settings import DOTENV, Flags, Settings
from supervisor.plan import Origin

# What the daemon has in its environment, since nothing that serves fetches.
OFFLINE = "HF_HUB_OFFLINE"


def origin_of(flags: Flags, settings: Settings, before: Collection[str]) -> Origin:
    """That of ``settings``, which came of ``flags`` and an environment that had the variables
    ``before`` until .env was read. Raises `ConfigError`."""
    # The daemon's environment has no keys, so those of the variable could not be read there.
    has_keys = "API_KEYS" in before
    return Origin(
        flags={name: value for name, value in vars(flags).items() if value is not None},
        added=sorted((os.environ.keys() | {OFFLINE}) - set(before)),
        api_keys=access.keys_of_variable(settings) if has_keys else {},
        files=[str(path) for path in files_of(settings)],
        keys_file=keys_file_of(settings),
        keys_digest=access.keys_digest(settings),
        watched=settings.edge_serve_watch,
    )


def keys_file_of(settings: Settings) -> str:
    """The file of API keys; empty: there is none."""
    return str(settings.api_keys_file.absolute()) if settings.api_keys_file else ""


def files_of(settings: Settings) -> list[Path]:
    """The files that whoever runs the server writes; some may not be there."""
    pulled = pulled_catalog.file_in(settings.edge_serve_models_dir)
    own = [Path(DOTENV), settings.edge_serve_config, settings.api_keys_file, pulled]
    return [path.absolute() for path in own if path is not None]
