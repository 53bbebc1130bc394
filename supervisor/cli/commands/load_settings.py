"""What the options, the environment and .env come to."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from supervisor.cli import output

if TYPE_CHECKING:
    from supervisor.config.catalog import Catalog
    from supervisor.config.settings import Flags, Settings
    from supervisor.launch.stages import Launch


def load(flags: Flags) -> tuple[Settings, Catalog, Launch]:
    """All that a command needs which looks at models. Raises `ConfigError`."""
    from supervisor.config import settings
    from supervisor.config.dotenv_file import load_dotenv
    from supervisor.discovery.known import known
    from supervisor.host import hardware
    from supervisor.launch.stages import Launch

    output.warn(load_dotenv(Path(settings.DOTENV)))
    found = settings.load(flags)
    forced = found.model_device if flags.device is not None else None
    found, models = known(found)
    return found, models, Launch(found, hardware.detect(), forced)


def load_settings(flags: Flags) -> Settings:
    """For commands to a running server, which has said what is odd about .env. Raises
    `ConfigError`."""
    from supervisor.config import settings
    from supervisor.config.dotenv_file import load_dotenv

    load_dotenv(Path(settings.DOTENV))
    return settings.load(flags)
