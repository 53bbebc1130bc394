"""What the options, the environment and .env come to."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from supervisor.cli import say

if TYPE_CHECKING:
    from supervisor.catalog import Catalog
    from supervisor.launch import Launch
    from supervisor.settings import Flags, Settings


def load(flags: Flags) -> tuple[Settings, Catalog, Launch]:
    """All that a command needs which looks at models. Raises `ConfigError`."""
    from supervisor import catalog, devices, settings
    from supervisor.dotenv_file import load_dotenv
    from supervisor.launch import Launch

    say.warn(load_dotenv(Path(settings.DOTENV)))
    found = settings.load(flags)
    forced = found.model_device if flags.device is not None else None
    return found, catalog.load(found.edge_serve_config), Launch(found, devices.detect(), forced)


def load_settings(flags: Flags) -> Settings:
    """For commands to a running server, which has said what is odd about .env. Raises
    `ConfigError`."""
    from supervisor import settings
    from supervisor.dotenv_file import load_dotenv

    load_dotenv(Path(settings.DOTENV))
    return settings.load(flags)
