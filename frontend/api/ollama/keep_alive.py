"""``keep_alive``: for how long a model is to stay loaded, as Ollama's clients say it."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import StringConstraints, Tag

from frontend.api.fields import OneOf

_UNITS_S = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_PART = re.compile(r"([0-9.]+)(ns|us|µs|ms|s|m|h)")
# Go's durations: "5m", "1h30m", "-1s".
_DURATION = r"^[-+]?(0|(([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|ms|s|m|h))+)$"
_MAX_CHARS = 64


def _tell(given: object) -> str | None:
    if isinstance(given, str):
        return "<duration>"
    is_number = isinstance(given, int | float) and not isinstance(given, bool)
    return "<seconds>" if is_number else None


# A negative one is for ever.
KeepAlive = Annotated[
    Annotated[float, Tag("<seconds>")]
    | Annotated[
        str, StringConstraints(pattern=_DURATION, max_length=_MAX_CHARS), Tag("<duration>")
    ],
    OneOf(_tell, 'must be a number of seconds or a duration such as "5m"'),
]


def seconds_of(asked: KeepAlive | None) -> float | None:
    """``asked`` in seconds; None where it is left out.

    >>> seconds_of("1h30m")
    5400.0
    """
    if asked is None or not isinstance(asked, str):
        return asked
    seconds = sum(float(number) * _UNITS_S[unit] for number, unit in _PART.findall(asked))
    return -seconds if asked.startswith("-") else seconds
