"""The listening sockets."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
from typing import NamedTuple, Protocol

from supervisor.config.address import authority, reached
from supervisor.config.address import url as address_url

BACKLOG = 2048
# A client that acknowledges nothing for this long loses its connection, and we its buffers.
UNREAD_TIMEOUT_MS = 30_000

_NOT_OLLAMA = "OLLAMA_PORT, or set OLLAMA_API=true in its place to have it on PORT"
_NOT_WYOMING = "WYOMING_HOST and WYOMING_PORT"


class InUseError(OSError):
    """Somebody else listens at ``where``."""

    def __init__(self, told: str, where: str) -> None:
        super().__init__(told)
        self.where = where


class Listeners(NamedTuple):
    """That of all routes, the one that has Ollama's API besides, if it is to have its own, and that
    of the Wyoming protocol, if it is wanted."""

    main: socket.socket
    ollama: socket.socket | None = None
    wyoming: socket.socket | None = None

    def close(self) -> None:
        for each in filter(None, self):
            each.close()


class Places(Protocol):
    """Where to listen, as the settings and the plan say it."""

    @property
    def host(self) -> str: ...
    @property
    def port(self) -> int: ...
    @property
    def ollama_port(self) -> int | None: ...
    @property
    def wyoming_host(self) -> str: ...
    @property
    def wyoming_port(self) -> int | None: ...


def listen_at(places: Places) -> Listeners:
    """Raises `OSError` as `listen` does; then none is left open."""
    with contextlib.ExitStack() as opened:

        def another(host: str, port: int | None, instead: str) -> socket.socket | None:
            if port is None:
                return None
            return opened.enter_context(listen(host, port, instead))

        found = Listeners(
            main=opened.enter_context(listen(places.host, places.port)),
            ollama=another(places.host, places.ollama_port, _NOT_OLLAMA),
            wyoming=another(places.wyoming_host, places.wyoming_port, _NOT_WYOMING),
        )
        opened.pop_all()
    return found


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


def tcp_url(listener: socket.socket, host: str) -> str:
    """The same of what speaks no HTTP."""
    return f"tcp://{reached(host, listener.getsockname()[1])}"


def _reason(error: OSError | UnicodeError) -> str:
    if isinstance(error, UnicodeError):
        return "that is no name of a host"
    if isinstance(error, socket.gaierror):  # with numbers of its own
        return str(error.strerror)
    return os.strerror(error.errno or 0)  # bind's own text has more than the system's
