"""The settings as they are told: what is in force, and where it comes from."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping

from ipc.messages.configuration import DEFAULT, DOTENV, ENVIRONMENT, FLAG, Setting
from supervisor.config.settings import Flags, Settings


def told(settings: Settings, flags: Flags, added: Collection[str]) -> list[Setting]:
    """All of them, in the order of .env.example. ``added`` are the variables that .env has put into
    the environment."""
    values, defaults = (one.model_dump(mode="json") for one in (settings, _unset()))
    given, set_by = flags.variables(), _names(os.environ)
    found = []
    for name, field in Settings.model_fields.items():
        variable = name.upper()
        origin = FLAG if variable in given else _origin(set_by.get(variable), added)
        secret = not field.repr
        setting = Setting(
            name=variable,
            value=None if secret else values[name],
            default=None if secret else defaults[name],
            origin=origin,
            secret=secret,
            is_set=origin != DEFAULT,
            description=field.description or "",
        )
        found.append(setting)
    return found


def _unset() -> Settings:
    """The settings of nobody, whatever the environment has."""
    return Settings.model_construct()


def _names(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables that are set to something, by how a setting is called: in any case."""
    return {name.upper(): name for name, value in environment.items() if value}


def _origin(variable: str | None, added: Collection[str]) -> str:
    if variable is None:
        return DEFAULT
    return DOTENV if variable in added else ENVIRONMENT
