"""What has happened to a server, a line for each."""

from __future__ import annotations

from collections.abc import Mapping
from time import localtime, strftime
from typing import Any

_KNOWN = ("seq", "time", "type", "model")


def event_line(event: Mapping[str, Any], clock: str = "%Y-%m-%d %H:%M:%S") -> str:
    """An event for people: when, what, of which model, and the rest of what is known."""
    facts = [f"{key}={value}" for key, value in event.items() if key not in _KNOWN]
    at = strftime(clock, localtime(event["time"]))
    return " ".join([at, event["type"], *filter(None, [event.get("model")]), *facts])
