"""Addresses as people write them, and as URLs want them."""

from __future__ import annotations

import ipaddress

# Listening on all of a machine's addresses; a program on it finds the server on the loopback one.
_LOOPBACK_OF = {"0.0.0.0": "127.0.0.1", "::": "::1"}


def bare(host: str) -> str:
    """``host`` as the system wants it: an IPv6 address without the brackets that URLs have.

    Raises `ValueError`.
    """
    if not host.startswith("["):
        return host
    try:
        return str(ipaddress.IPv6Address(host.removeprefix("[").removesuffix("]")))
    except ValueError:
        raise ValueError(f"{host!r} is not an IPv6 address; write one such as ::1") from None


def authority(host: str, port: int) -> str:
    """``host:port`` as a URL has it: an IPv6 address in brackets, its zone escaped (RFC 6874)."""
    name = f"[{host.replace('%', '%25')}]" if ":" in host else host
    return f"{name}:{port}"


def url(host: str, port: int, *, tls: bool) -> str:
    """Where a program on this machine finds what listens on ``host``."""
    return f"{'https' if tls else 'http'}://{reached(host, port)}"


def reached(host: str, port: int) -> str:
    """The same without a scheme."""
    return authority(_LOOPBACK_OF.get(host, host), port)
