"""Images at other addresses, fetched where the operator allows it and from named hosts only.

A server that fetches what its clients name can be sent against its own network (SSRF). So a host
must be a plain name on the allow-list; all addresses it resolves to must be public; the connection
goes to one of those very addresses, so that a second answer of the resolver cannot differ; and
redirects and proxies are not followed. Whatever goes wrong, the client reads the same: an answer
that told a closed port from a missing page would map the network for it.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import re
import socket
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Literal
from urllib.parse import SplitResult, urlsplit

from prometheus_client import CollectorRegistry, Counter, Histogram

from frontend.api.images import Remote, is_image
from ipc.messages.control import RemoteImages
from ipc.messages.errors import InvalidRequest

if TYPE_CHECKING:
    import httpx2

logger = logging.getLogger(__name__)

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolve = Callable[[str, int], Awaitable[list[Address]]]
Outcome = Literal["ok", "refused", "failed", "timeout", "too_large", "not_an_image"]

MAX_URL_CHARS = 2048
MAX_FETCHES = 16
_PORTS = {"http": 80, "https": 443}
# A name of at least two labels whose last begins with a letter: no spelling of an address does,
# neither 127.1 nor 0x7f.1 nor 2130706433 nor [::1] (WHATWG URL, "ends in a number").
_NAME = re.compile(r"(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?")
# What is routed in IPv6 today, less what carries an IPv4 address inside: Teredo and 6to4.
_IPV6 = ipaddress.IPv6Network("2000::/3")
_TUNNELS = (ipaddress.IPv6Network("2001::/32"), ipaddress.IPv6Network("2002::/16"))


class _Stopped(Exception):
    """A fetch has ended without an image; ``outcome`` is for the metrics alone."""

    def __init__(self, outcome: Outcome) -> None:
        self.outcome = outcome


class FetchMetrics:
    """How fetches went, how long they took and what they brought."""

    def __init__(self, registry: CollectorRegistry) -> None:
        name = "edge_serve_remote_image"
        self.outcomes = Counter(f"{name}s", "Fetches by outcome", ("outcome",), registry=registry)
        self.seconds = Histogram(
            f"{name}_fetch_seconds",
            "From the address to the last byte",
            registry=registry,
            buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
        )
        self.bytes = Counter(f"{name}_bytes", "Bytes received", registry=registry)


class ImageFetcher:
    """Fetches images within ``limits``. ``resolve`` and ``is_public`` are there to be tested."""

    def __init__(
        self,
        limits: RemoteImages,
        metrics: FetchMetrics,
        resolve: Resolve | None = None,
        is_public: Callable[[Address], bool] | None = None,
    ) -> None:
        self._limits = limits
        self._metrics = metrics
        self._resolve = resolve or _resolve
        self._is_public = is_public or is_public_address
        self._client: httpx2.AsyncClient | None = None

    async def fill(self, wanted: list[Remote]) -> int:
        """Fetch every image of ``wanted`` into its place; returns how many bytes that were.

        Raises `InvalidRequest`, which says nothing about what was found at an address.
        """
        if wanted and not self._limits.allowed:
            raise InvalidRequest(
                f"`{wanted[0].path}` must be a data URL: this server fetches no images from other "
                "addresses (its operator can set ALLOW_REMOTE_IMAGES and "
                "REMOTE_IMAGE_HOST_ALLOWLIST)",
                param=wanted[0].path,
            )
        fetches = (self._file(remote) for remote in wanted)
        # All are waited for, so that none goes on for a request that has failed.
        files = await asyncio.gather(*fetches, return_exceptions=True)
        for remote, file in zip(wanted, files, strict=True):
            if isinstance(file, BaseException):
                raise file
            remote.image.file.data = file
        return sum(len(remote.image.file) for remote in wanted)

    async def _file(self, remote: Remote) -> bytes:
        import httpx2  # 2 MB that most servers have no use for

        began_at = time.monotonic()
        outcome: Outcome = "failed"
        try:
            async with asyncio.timeout(self._limits.timeout_s):
                file = await self._fetch(remote.url)
            outcome = "ok"
            return file
        except _Stopped as stopped:
            outcome = stopped.outcome
        except (TimeoutError, httpx2.TimeoutException):
            outcome = "timeout"
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError):
            pass
        finally:
            self._metrics.outcomes.labels(outcome).inc()
            self._metrics.seconds.observe(time.monotonic() - began_at)
        raise InvalidRequest(
            f"the image at `{remote.path}` cannot be fetched; send it as a data URL",
            param=remote.path,
        )

    async def _fetch(self, url: str) -> bytes:
        import httpx2

        parts = self._parse(url)
        host = parts.hostname or ""
        port = parts.port or _PORTS[parts.scheme]
        addresses = await self._resolve(host, port)
        if not addresses or not all(self._is_public(address) for address in addresses):
            raise _Stopped("refused")
        # Built from parts that were checked, so that no second parser reads the URL differently.
        target = httpx2.URL(
            scheme=parts.scheme,
            host=str(addresses[0]),
            port=port,
            raw_path=_target(parts).encode(),
        )
        named = host if port == _PORTS[parts.scheme] else f"{host}:{port}"
        request = self._shared_client().build_request(
            "GET", target, headers={"Host": named}, extensions={"sni_hostname": host}
        )
        response = await self._shared_client().send(request, stream=True)
        try:
            return await self._read(response)
        finally:
            await response.aclose()

    def _parse(self, url: str) -> SplitResult:
        """The parts of ``url``, whose host is on the list."""
        if len(url) > MAX_URL_CHARS or not all("!" <= char <= "~" for char in url):
            raise _Stopped("refused")
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            raise _Stopped("refused") from None
        # Of what is before the path, so that a name to log in with is no name of a host either.
        host = parts.netloc.lower().removesuffix("" if port is None else f":{port}")
        if parts.scheme not in _PORTS or not _NAME.fullmatch(host) or not self._listed(host):
            raise _Stopped("refused")
        return parts

    def _listed(self, host: str) -> bool:
        return any(host == name or host.endswith(f".{name}") for name in self._limits.hosts)

    async def _read(self, response: httpx2.Response) -> bytes:
        limit = self._limits.max_bytes
        if response.status_code != 200 or "content-encoding" in response.headers:
            raise _Stopped("failed")
        declared = response.headers.get("content-length", "0")
        if declared.isdecimal() and int(declared) > limit:
            raise _Stopped("too_large")
        data = bytearray()
        async for piece in response.aiter_raw():
            self._metrics.bytes.inc(len(piece))
            data += piece
            if len(data) > limit:
                raise _Stopped("too_large")
        file = bytes(data)
        if not is_image(file):
            raise _Stopped("not_an_image")
        return file

    def _shared_client(self) -> httpx2.AsyncClient:
        import httpx2

        if self._client is None:
            # No connection is used twice: two names may share an address, and the second would
            # speak over a connection whose certificate was checked for the first.
            limits = httpx2.Limits(max_connections=MAX_FETCHES, max_keepalive_connections=0)
            self._client = httpx2.AsyncClient(
                headers={"Accept": "image/*", "Accept-Encoding": "identity"},
                timeout=self._limits.timeout_s,
                limits=limits,
                follow_redirects=False,
                trust_env=False,
            )
            logger.info(
                "remote_images_client",
                extra={
                    "timeout_s": self._limits.timeout_s,
                    "max_bytes": self._limits.max_bytes,
                    "max_connections": MAX_FETCHES,
                    "hosts": ", ".join(self._limits.hosts),
                },
            )
        return self._client


def is_public_address(address: Address) -> bool:
    """Whether ``address`` is of the public internet, and no other is hidden inside it."""
    if isinstance(address, ipaddress.IPv6Address) and (
        address not in _IPV6 or any(address in tunnel for tunnel in _TUNNELS)
    ):
        return False
    return address.is_global and not address.is_multicast and not address.is_reserved


async def _resolve(host: str, port: int) -> list[Address]:
    """All addresses of ``host``, by the system's resolver."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [ipaddress.ip_address(entry[4][0]) for entry in found]


def _target(parts: SplitResult) -> str:
    """The path and the query of a URL, as they were written."""
    return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
