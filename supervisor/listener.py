"""The listening sockets."""

from __future__ import annotations

import errno
import os
import socket
from typing import NamedTuple

from supervisor.config.address import authority
from supervisor.config.address import url as address_url

BACKLOG = 2048
# A client that acknowledges nothing for this long loses its connection, and we its buffers.
UNREAD_TIMEOUT_MS = 30_000


class InUseError(OSError):
    """Somebody else listens at ``where``."""

    def __init__(self, told: str, where: str) -> None:
        super().__init__(told)
        self.where = where


class Listeners(NamedTuple):
    """That of all routes, and the one that has Ollama's API besides, if it is to have its own."""

    main: socket.socket
    ollama: socket.socket | None = None

    def close(self) -> None:
        for each in filter(None, self):
            each.close()


def listen_at(host: str, port: int, ollama_port: int | None) -> Listeners:
    """Raises `OSError` as `listen` does; then none is left open."""
    main = listen(host, port)
    if ollama_port is None:
        return Listeners(main)
    try:
        instead = "OLLAMA_PORT, or set OLLAMA_API=true in its place to have it on PORT"
        return Listeners(main, listen(host, ollama_port, instead))
    except OSError:
        main.close()
        raise


def listen(host: str, port: int, instead: str = "with --host and --port") -> socket.socket:
    """The socket that listens there; on ``::`` for IPv4 too, on the IPv4 address of a name that has
    one. It is the supervisor's, so that connections made while a frontend is replaced wait in its
    backlog. Raises `OSError` that names the address, and what to choose ``instead``."""
    try:
        listener = _create(host, port)
    except (OSError, UnicodeError) as error:
        where = authority(host, port)
        told = f"cannot listen on {where}: {_reason(error)}; choose another {instead}"
        if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
            raise InUseError(told, where) from None
        raise OSError(told) from None
    if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux; accepted connections inherit it
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNREAD_TIMEOUT_MS)
    return listener


def _create(host: str, port: int) -> socket.socket:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    # Not every client tries both addresses of `localhost`, and those that try one try IPv4.
    found.sort(key=lambda one: one[0] != socket.AF_INET)
    family, _, _, _, address = found[0]
    return socket.create_server(
        address,
        family=family,
        backlog=BACKLOG,
        dualstack_ipv6=host == "::" and socket.has_dualstack_ipv6(),
    )


def url(listener: socket.socket, host: str, *, tls: bool) -> str:
    """Where a program on this machine finds what listens there; port 0 has become a free one."""
    return address_url(host, listener.getsockname()[1], tls=tls)


def _reason(error: OSError | UnicodeError) -> str:
    if isinstance(error, UnicodeError):
        return "that is no name of a host"
    if isinstance(error, socket.gaierror):  # with numbers of its own
        return str(error.strerror)
    return os.strerror(error.errno or 0)  # bind's own text has more than the system's
