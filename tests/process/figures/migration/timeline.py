"""When the server saw what, by its log: where the time of a gap goes."""

from __future__ import annotations

import time
from datetime import datetime
from typing import NamedTuple

from tests.process.box import Box

_CHARS = len("2026-11-28 06:25:55,098")


class Timeline(NamedTuple):
    """Seconds from a kill to the next worker's start, and from its being ready to more text."""

    start_s: float
    first_s: float


def timeline(box: Box, killed_at: float, text_at: float) -> Timeline:
    """Of the last worker that died. Times are those of `time.monotonic`, as is ``text_at`` of the
    first text behind the gap."""
    offset_s = time.time() - time.monotonic()
    started_at = _last(box, " started child=") - offset_s
    ready_at = _last(box, " ready model=") - offset_s
    return Timeline(started_at - killed_at, text_at - ready_at)


def _last(box: Box, said: str) -> float:
    """When the log has this for the last time."""
    (*_, line) = (line for line in box.lines() if said in line)
    return datetime.strptime(line[:_CHARS], "%Y-%m-%d %H:%M:%S,%f").astimezone().timestamp()
