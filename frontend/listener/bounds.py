"""The limits of one listener's connections."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """The limits of one listener.

    ``head_bytes`` and ``fields`` are gunicorn's and nginx's orders of magnitude, and count for all
    of a request that is not body: its trailer and its chunks' sizes and extensions too.
    ``unread_s`` is the time in which a client must take ``unread_bytes`` of what waits for it.
    A connection makes room for others once it has been silent for ``silent_s``; ``spare`` ones
    beyond the cap have ``spare_s`` each to turn out to be a probe's, by its path.
    """

    probes: frozenset[str] = frozenset()
    sockets: frozenset[str] = frozenset()  # the paths that may be asked for by WebSocket

    connections: int = 1024
    lingering: int = 64
    spare: int = 16
    pipelined: int = 16
    target_bytes: int = 8 << 10
    head_bytes: int = 32 << 10
    fields: int = 100
    head_s: float = 10.0
    silent_s: float = 1.0
    spare_s: float = 1.0
    linger_s: float = 5.0
    unread_s: float = 30.0
    unread_bytes: int = 16 << 10
