"""Ports for servers that a test starts."""

from __future__ import annotations

import socket

_KEPT: list[socket.socket] = []


def free_port() -> int:
    """One that nobody else gets before this process ends, be it another test at the same time or a
    client's end of a connection. It stays bound, which keeps no server from listening on it that
    may reuse addresses, also one that is started there again."""
    kept = socket.socket()
    kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    kept.bind(("127.0.0.1", 0))
    _KEPT.append(kept)
    port: int = kept.getsockname()[1]
    return port
