"""This server made known on the network, so that Home Assistant finds it by itself (DNS-SD)."""

from __future__ import annotations

import hashlib
import logging
import socket
from pathlib import Path
from typing import Any

from ipc.loopback import is_loopback
from ipc.zeroconf import PACKAGES, is_installed

logger = logging.getLogger(__name__)

_TYPE = "_wyoming._tcp.local."
# Where mDNS goes to (RFC 6762); nothing is sent there to find out from which address.
_MULTICAST = ("224.0.0.251", 5353)
_MACHINE_ID = Path("/etc/machine-id")
_EVERYWHERE = ("0.0.0.0", "::")


class Announcement:
    """A name that stands for a port of this machine until `end`."""

    def __init__(self, responder: Any, service: Any) -> None:
        self._responder = responder
        self._service = service

    async def end(self) -> None:
        """Take it back, so that nobody looks for it here."""
        await self._responder.async_unregister_service(self._service)
        await self._responder.async_close()


async def announced(host: str, port: int) -> Announcement | None:
    """What listens on ``host`` and ``port`` made known. None where that cannot be, which is logged:
    the server serves all the same."""
    address = _address(host)
    if not is_installed() or address is None or is_loopback(address):
        why = f"the network cannot reach {host}" if is_installed() else f"install {PACKAGES}"
        logger.warning("wyoming_not_announced", extra={"why": why})
        return None
    from zeroconf import IPVersion
    from zeroconf.asyncio import AsyncServiceInfo, AsyncZeroconf

    name = f"{machine_name(port)}.{_TYPE}"
    packed = [socket.inet_aton(address)]
    service = AsyncServiceInfo(_TYPE, name, addresses=packed, port=port)
    try:
        responder = AsyncZeroconf(interfaces=[address], ip_version=IPVersion.V4Only)
        # A frontend that was killed has left its name; it is ours.
        await responder.async_register_service(service, cooperating_responders=True)
    except OSError as error:
        logger.warning("wyoming_not_announced", extra={"why": str(error)})
        return None
    logger.info("wyoming_announced", extra={"service": name, "address": address, "port": port})
    return Announcement(responder, service)


def machine_name(port: int, machine_id: Path = _MACHINE_ID) -> str:
    """A name that stays when the machine gets other addresses or network cards: clients know a
    server by it. It tells nobody the machine's id, as machine-id(5) asks."""
    try:
        machine = machine_id.read_text().strip()
    except OSError:
        machine = ""
    digest = hashlib.sha256(f"edge-serve {machine or socket.gethostname()} {port}".encode())
    return f"edge-serve-{digest.hexdigest()[:12]}"


def _address(host: str) -> str | None:
    """The IPv4 address by which others reach ``host``; None where there is none."""
    if host not in _EVERYWHERE:
        return host if ":" not in host else None
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect(_MULTICAST)
            return str(probe.getsockname()[0])
    except OSError:
        return None
