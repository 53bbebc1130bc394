"""Whether an address is this machine's own."""

from __future__ import annotations

import functools
import ipaddress


@functools.lru_cache(256)
def is_loopback(host: str) -> bool:
    """Whether only this machine can reach ``host``, or can have sent from it."""
    if host == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback
