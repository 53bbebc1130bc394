"""What operators are told of the configuration: each value, and who has said so."""

from __future__ import annotations

from typing import Any

import msgspec

# Who says what a setting is, the later before the earlier.
DEFAULT, DOTENV, ENVIRONMENT, FLAG = "default", ".env", "environment", "flag"
# Who says what a value of a model is, beside a setting, by its name: its entry in a catalog; or
# nobody, so that it follows from this box and the model's files.
ENTRY, AUTO = "entry", "auto"


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    """One setting as it is in force, by its variable. A ``secret`` is never told, only whether one
    ``is_set``. ``restart``: it has been given another value since, which a restart takes over."""

    name: str
    value: Any = None
    default: Any = None
    origin: str = DEFAULT
    secret: bool = False
    is_set: bool = False
    restart: bool = False
    description: str = ""


class Value(msgspec.Struct, frozen=True, kw_only=True):
    """What is in force for a model. ``origin`` is as above; ``file`` has the entry that says so."""

    value: Any = None
    origin: str = DEFAULT
    file: str = ""
