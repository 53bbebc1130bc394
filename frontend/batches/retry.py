"""Which answers are not a line's last: the server was busy, or its worker fell over. Pure."""

from __future__ import annotations

import random
from typing import NamedTuple

import msgspec

from ipc.messages.errors import GaveWay

# Unavailable for now, and over capacity.
PASSING = frozenset({429, 503})
FIRST_S, LONGEST_S = 1.0, 60.0
# What made way for a client waits for the lane; the loop is left alone until that client is served.
GAVE_WAY_S = 0.25


class Outcome(NamedTuple):
    """What a line was answered."""

    status: int
    request_id: str
    body: bytes

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300

    @property
    def passes(self) -> bool:
        return self.status in PASSING

    @property
    def gave_way(self) -> bool:
        return self.passes and _code(self.body) == GaveWay.code


class _Detail(msgspec.Struct):
    code: str | None = None


class _Error(msgspec.Struct):
    error: _Detail


def _code(body: bytes) -> str | None:
    try:
        return msgspec.json.decode(body, type=_Error).error.code
    except msgspec.MsgspecError:
        return None


def wait_s(tries: int, jitter: float | None = None) -> float:
    """How long to wait once so many tries have failed; ``jitter`` is in 0 to 1."""
    if jitter is None:
        jitter = random.random()
    return float(min(FIRST_S * 2 ** min(tries - 1, 10), LONGEST_S) * (0.8 + 0.4 * jitter))
