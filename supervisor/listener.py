"""The listening socket."""

from __future__ import annotations

import errno
import os
import socket

BACKLOG = 2048
# A client that acknowledges nothing for this long loses its connection, and we its buffers.
UNREAD_TIMEOUT_MS = 30_000


class InUseError(OSError):
    """Somebody else listens there."""


def listen(host: str, port: int) -> socket.socket:
    """The socket that listens there. It is the supervisor's, so that connections made while a
    frontend is replaced wait in its backlog. Raises `OSError` that names the address."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        family, _, _, _, address = found[0]
        listener = socket.create_server(address[:2], family=family, backlog=BACKLOG)
    except (OSError, UnicodeError) as error:
        taken = isinstance(error, OSError) and error.errno == errno.EADDRINUSE
        raise (InUseError if taken else OSError)(
            f"cannot listen on {host}:{port}: {_reason(error)}; "
            "choose another with --host and --port"
        ) from None
    if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux; accepted connections inherit it
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNREAD_TIMEOUT_MS)
    return listener


def _reason(error: OSError | UnicodeError) -> str:
    if isinstance(error, UnicodeError):
        return "that is no name of a host"
    if isinstance(error, socket.gaierror):  # with numbers of its own
        return str(error.strerror)
    return os.strerror(error.errno or 0)  # bind's own text has more than the system's
