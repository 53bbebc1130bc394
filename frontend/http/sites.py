"""Where a browser says that a request comes from: a page of this server, or of another site."""

from __future__ import annotations

from starlette.types import Scope

# Sec-Fetch-Site of the page itself, and of a person who typed the address.
OWN_SITE = (b"same-origin", b"none")


def is_foreign(origin: bytes, host: bytes) -> bool:
    """Whether ``origin`` is of another name or another port than ``host`` was asked by."""
    return origin.partition(b"://")[2].lower() != host.lower()


def is_cross_site(scope: Scope) -> bool:
    """Whether a browser says that a page of another site asks: of another name or another port."""
    host = b""
    origin: bytes | None = None
    for name, value in scope["headers"]:
        if name == b"sec-fetch-site" and value not in OWN_SITE:
            return True
        if name == b"host":
            host = value
        elif name == b"origin":
            origin = value
    return origin is not None and is_foreign(origin, host)
