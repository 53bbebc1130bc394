"""Who may ask: hosts and keys, checked before anything else of a request is looked at.

Everything is refused but what is named here, so a route that is added later is guarded too. The
path is the one that routes are chosen by, ``scope["path"]``: one built from the `Host` header can
be made to look harmless.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Container, Iterable, Mapping
from typing import Protocol

from starlette.types import ASGIApp, Receive, Scope, Send

from frontend.dispatch.terms import priority_of
from frontend.http.errors import error_response, shown
from frontend.http.request_context import Client, RequestContext
from frontend.http.sessions import Sessions
from frontend.http.socket import KEY_PROTOCOL
from ipc.messages.control import AccessConfig
from ipc.messages.errors import HostNotAllowed, InvalidApiKey, ServeError
from ipc.messages.keys import ApiKey

_KEY_PROTOCOL = KEY_PROTOCOL.encode("ascii")


class Guard(Protocol):
    """One rule about who may ask."""

    def check(self, scope: Scope) -> None:
        """Raise the `ServeError` of a request that may not come in."""


class Hosts:
    """Lets in requests that call this server by one of ``hosts``; ``.lan`` is any name under lan.

    Without a key this is what keeps web pages out: a page whose own name is made to resolve to
    this machine may talk to it as to its own site, but its requests carry that name.
    """

    def __init__(self, hosts: Iterable[str]) -> None:
        names = [host.lower() for host in hosts]
        self._hosts = frozenset(name for name in names if name[0] != ".")
        self._domains = tuple(name for name in names if name[0] == ".")

    def check(self, scope: Scope) -> None:
        host = host_name(scope)
        if host not in self._hosts and not _is_under(host, self._domains):
            what = f"Host {shown(host)} is not allowed" if host else "a request must name its host"
            raise HostNotAllowed(f"{what}; add it to TRUSTED_HOSTS.")


class Keys:
    """Lets in requests with one of ``keys``, given by their names, and those of somebody who has
    logged in with one of them."""

    def __init__(self, keys: dict[str, ApiKey], sessions: Sessions) -> None:
        self._keys = keys
        self._sessions = sessions

    def check(self, scope: Scope) -> None:
        presented = [key for key in _presented(scope) if key]
        name = next(filter(None, [name_of(self._keys, key) for key in presented]), None)
        context = RequestContext.of(scope)
        if name is None and not presented:
            name = self._sessions.key_of(scope)
            context.by_cookie = name is not None
        if name is None:
            what = "this API key is unknown" if presented else "an API key is missing"
            raise InvalidApiKey(f"{what}; send one of this server's as `Authorization: Bearer KEY`")
        key = self._keys[name]
        context.key = name
        context.client = Client(
            name, key.weight, priority_of(key.priority), admin=key.role == "admin"
        )


def name_of(keys: Mapping[str, ApiKey], secret: bytes) -> str | None:
    """The name of the key whose secret this is. Compares with each, whichever fits."""
    found, digest = None, hashlib.sha256(secret).hexdigest()
    for name, key in keys.items():
        if hmac.compare_digest(digest, key.digest):
            found = name
    return found


class Guarded:
    """``app``, for those whom ``guard`` lets in, and its ``open_paths`` for everybody."""

    def __init__(self, app: ASGIApp, guard: Guard, open_paths: Container[str]) -> None:
        self._app = app
        self._guard = guard
        self._open = open_paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] not in self._open:
            try:
                self._guard.check(scope)
            except ServeError as error:
                context = RequestContext.of(scope)
                context.error = error.code
                await error_response(error, context)(scope, receive, send)
                return
        await self._app(scope, receive, send)


def host_guards(gate: AccessConfig) -> list[Guard]:
    return [Hosts(gate.hosts)] if gate.hosts else []


def key_guards(gate: AccessConfig, sessions: Sessions) -> list[Guard]:
    return [Keys(gate.api_keys, sessions)] if gate.api_keys else []


def host_name(scope: Scope) -> str:
    """The name in the `Host` header, without the port and the dot that may end it; empty where
    there is none."""
    for name, value in scope["headers"]:
        if name == b"host":
            host: str = value.decode("latin-1").lower()
            if host[:1] == "[":
                return host.partition("]")[0] + "]"
            return host.partition(":")[0].removesuffix(".")
    return ""


def _is_under(name: str, domains: tuple[str, ...]) -> bool:
    return name.endswith(domains) and name[0] != "."


def _presented(scope: Scope) -> Iterable[bytes]:
    for name, value in scope["headers"]:
        if name == b"authorization":
            scheme, _, key = value.partition(b" ")
            if scheme.lower() == b"bearer":
                yield key.strip()
        elif name == b"x-api-key":
            yield value
        elif name == b"sec-websocket-protocol":
            for offered in value.split(b","):
                if offered.strip().startswith(_KEY_PROTOCOL):
                    yield offered.strip().removeprefix(_KEY_PROTOCOL)
