"""The kinds of values that settings and catalog entries have, each with what it may be."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_settings import NoDecode

from ipc.options import WEEK_S
from supervisor.config.engines import parse_device

MINUTE_MS = 60_000


def _number(value: Any) -> Any:
    """Refuses what Python takes for a number and others take for another one."""
    if isinstance(value, bool):
        raise ValueError(f"{str(value).lower()} is not a number; write one")
    if isinstance(value, str):
        value = value.strip()
        plain = re.sub(r"(?<![\d.])0+(?=\d)", "", value.replace("_", ""))
        if plain != value and re.fullmatch(r"[-+]?[\d_]+(\.[\d_]+)?", value):
            raise ValueError(f"{value!r} is not a plain number; write it as {plain}")
    return value


def _split(value: Any) -> Any:
    """The parts between commas. Commas and spaces alone are a slip: nobody means nothing so."""
    if not isinstance(value, str):
        return value
    parts = [part.strip() for part in value.split(",") if part.strip()]
    if value and not parts:
        raise ValueError("has commas or spaces only; write a name, or leave it out")
    return parts


def lower(value: Any) -> Any:
    return value.strip().lower() if isinstance(value, str) else value


def _stripped(value: Any) -> Any:
    return value.strip() if isinstance(value, str) else value


def expanded(path: Path) -> Path:
    """``path`` with its ``~`` resolved. Raises `ValueError`."""
    try:
        return path.expanduser()
    except RuntimeError:
        raise ValueError(f"{path}: there is no such user; write the path in full") from None


def _absolute(path: Path) -> Path:
    return expanded(path).absolute()


Number = BeforeValidator(_number)
Count = Annotated[int, Field(ge=1), Number]
CountOrZero = Annotated[int, Field(ge=0), Number]
Port = Annotated[int, Field(ge=0, le=65535), Number]
OptionalPort = Annotated[int | None, Field(ge=0, le=65535), Number]
OptionalCount = Annotated[int | None, Field(ge=1), Number]
OptionalCountOrZero = Annotated[int | None, Field(ge=0), Number]
Megabytes = CountOrZero
Seconds = Annotated[float, Field(gt=0, le=WEEK_S, allow_inf_nan=False), Number]
OptionalSeconds = Annotated[float | None, Field(gt=0, le=WEEK_S, allow_inf_nan=False), Number]
SecondsOrZero = Annotated[float, Field(ge=0, le=WEEK_S, allow_inf_nan=False), Number]
OptionalSecondsOrZero = Annotated[float | None, Field(ge=0, le=WEEK_S, allow_inf_nan=False), Number]
Milliseconds = Annotated[float, Field(ge=0, le=MINUTE_MS, allow_inf_nan=False), Number]
OptionalMilliseconds = Annotated[
    float | None, Field(ge=0, le=MINUTE_MS, allow_inf_nan=False), Number
]
Device = Annotated[str, BeforeValidator(lower), AfterValidator(parse_device)]
Names = Annotated[list[str], NoDecode, BeforeValidator(_split)]
Text = Annotated[str, Field(min_length=1), BeforeValidator(_stripped)]
Folder = Annotated[Path, BeforeValidator(_stripped), AfterValidator(_absolute)]
