"""Hosts and origins that are let in, in the one form in which requests name them."""

from __future__ import annotations

import ipaddress
import re

import idna

ANY = "*"
_LABEL = r"[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?"
_NAME = re.compile(rf"{_LABEL}(\.{_LABEL})*")
_ORIGIN = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(\*\.)?(\[[^\]/]*\]|[^\s/?#@:*\[\]]+)(:.+)?")
_DEFAULT_PORTS = {"http": ":80", "https": ":443"}


def host_rule(text: str) -> str:
    """A name that requests may call this server by: in lower case, as DNS has it (IDNA), an IPv6
    address in brackets. ``.lan`` and ``*.lan`` are all names under lan, ``*`` is any.

    Raises `ValueError`.
    """
    under = text.startswith((".", "*."))
    name = _ascii(text.removeprefix("*").removeprefix(".") if under else text)
    if text == ANY:
        return ANY
    if name is None or (under and name[:1] == "["):
        raise ValueError(
            "is not a name or address; write it without port, as box.lan or .lan for all under it"
        )
    return f".{name}" if under else name


def origin_rule(text: str) -> str:
    """The origin of web pages as browsers send it (RFC 6454): lower case, no default port, no
    slash. ``https://*.example.com`` are the names under example.com, ``http://localhost:*`` has any
    port, ``*`` is every page. Raises `ValueError`."""
    if text == ANY:
        return ANY
    found = _ORIGIN.fullmatch(text.removesuffix("/"))
    name = _ascii(found[3]) if found else None
    port = found[4] or "" if found else ""
    if found is None or name is None or not re.fullmatch(r"(:(\*|\d{1,5}))?", port):
        raise ValueError(
            "is not an origin; write it as https://name:port, https://*.name for the names under it"
        )
    scheme = found[1].lower()
    return f"{scheme}://{found[2] or ''}{name}{'' if port == _DEFAULT_PORTS.get(scheme) else port}"


def _ascii(text: str) -> str | None:
    """``text`` as a request's headers have it; None if it is no name and no address."""
    try:
        return f"[{ipaddress.IPv6Address(text.removeprefix('[').removesuffix(']'))}]"
    except ValueError:
        pass
    name = text.lower().removesuffix(".")
    if not name.isascii():
        try:
            name = idna.encode(name, uts46=True).decode()
        except idna.IDNAError:
            return None
    return name if _NAME.fullmatch(name) else None
