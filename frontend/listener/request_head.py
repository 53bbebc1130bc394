"""What a request's head must be, beyond what llhttp refuses by itself.

llhttp is strict about lengths, chunks, folded lines and names. It lets through what matters only
beside another reader: two `Host` fields, control characters in values, a second spelling of a
framing field. Where two readers may differ a second request can hide (RFC 9112, 11.2), so such a
head is refused and its connection closed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from ipc.messages.errors import InvalidRequest

Headers = Sequence[tuple[bytes, bytes]]

_VERSIONS = frozenset({"1.0", "1.1"})
_CONTROLS = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
# An authority without user information: a name, an IPv4 address, or an IPv6 one in brackets.
_AUTHORITY = rb"(?:[A-Za-z0-9._~-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?"
HOST = re.compile(_AUTHORITY)
_TARGET = re.compile(rb"(?:https?://(%b))?/[!-~]*" % _AUTHORITY, re.IGNORECASE)
# Of these the first and the last are read by different programs.
_SINGLE = frozenset({b"host", b"content-type", b"authorization", b"transfer-encoding"})
_FRAMING = frozenset({b"content-length", b"transfer-encoding", b"host"})
# Gateways turn both spellings into the same variable.
_LOOKALIKES = frozenset(name.replace(b"-", b"_") for name in _FRAMING if b"-" in name)


def check(method: str, version: str, target: bytes, headers: Headers) -> None:
    """Raise `InvalidRequest` where the head of a request is ambiguous or not of HTTP/1."""
    if version not in _VERSIONS:
        raise InvalidRequest("this server speaks HTTP/1.1 and HTTP/1.0")
    found = _TARGET.fullmatch(target)
    if found is None and (method, target) != ("OPTIONS", b"*"):
        raise InvalidRequest("the request's target must be a path")
    # One search for all: this runs for each request.
    if _CONTROLS.search(b"".join([value for _, value in headers])):
        raise InvalidRequest("a header has a value with control characters")
    named: dict[bytes, bytes] = {}
    for name, value in headers:
        if name in _SINGLE and name in named:
            raise InvalidRequest(f"there must be only one `{name.decode()}` header")
        named[name] = value
    _check_framing(version, named)
    # A server has to believe the target, and most believe the field (RFC 9112, 3.2.2).
    if found and found[1] and found[1].lower() != named.get(b"host", found[1]).lower():
        raise InvalidRequest("the request's target and its `Host` header name different hosts")


def _check_framing(version: str, named: Mapping[bytes, bytes]) -> None:
    if not _LOOKALIKES.isdisjoint(named):
        raise InvalidRequest("a header that frames the request is spelt with an underscore")
    host = named.get(b"host")
    if host is None and version == "1.1":
        raise InvalidRequest("HTTP/1.1 needs a `Host` header")
    if host is not None and not HOST.fullmatch(host):
        raise InvalidRequest("the `Host` header must be a name or an address, with a port")
    coding = named.get(b"transfer-encoding")
    if coding is not None and (version == "1.0" or coding.strip().lower() != b"chunked"):
        raise InvalidRequest("the only `Transfer-Encoding` is chunked, and HTTP/1.0 has none")


def check_trailer(name: bytes, value: bytes) -> None:
    """Raise `InvalidRequest` for a trailer that would have changed how the request is read."""
    if name in _FRAMING or name in _SINGLE or _CONTROLS.search(value):
        raise InvalidRequest("a trailer has a name or a value that is not allowed")
