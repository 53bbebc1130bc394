"""The way of the commands to a running server: its address, its certificate, its API key."""

from __future__ import annotations

import ssl
from typing import TypedDict

import httpx2

from supervisor.problems import ConfigError
from supervisor.settings import Settings


class Way(TypedDict):
    """What an httpx2 client, sync or async, needs to know of the server."""

    base_url: str
    timeout: float
    headers: dict[str, str]
    verify: ssl.SSLContext | bool


def way(settings: Settings, url: str | None, timeout_s: float) -> Way:
    """The way to the server at ``url``, or to the one that these settings make.

    It sends EDGE_SERVE_API_KEY where that is set. Raises `ConfigError` for a certificate that
    cannot be read.
    """
    key = settings.edge_serve_api_key
    return Way(
        base_url=(url or settings.url).rstrip("/"),
        timeout=timeout_s,
        headers={"authorization": f"Bearer {key}"} if key else {},
        verify=_own_certificate(settings) if url is None else True,
    )


def connect(settings: Settings, url: str | None, timeout_s: float) -> httpx2.Client:
    """A client that goes that `way`. Raises as it, and `httpx2.InvalidURL` for what is no
    address."""
    return httpx2.Client(**way(settings, url, timeout_s))


def _own_certificate(settings: Settings) -> ssl.SSLContext | bool:
    """Trust in the very certificate that is served here, whatever name it is for."""
    if settings.ssl_certfile is None:
        return True
    try:
        context = ssl.create_default_context(cafile=str(settings.ssl_certfile))
    except OSError as error:
        raise ConfigError(f"SSL_CERTFILE: {settings.ssl_certfile}: {error.strerror}") from None
    context.check_hostname = False
    return context
