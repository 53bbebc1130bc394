"""The way of the commands to a running server: its address, its certificate, its API key."""

from __future__ import annotations

import ssl

import httpx2

from supervisor.problems import ConfigError
from supervisor.settings import Settings


def connect(settings: Settings, url: str | None, timeout_s: float) -> httpx2.Client:
    """A client of the server at ``url``, or of the one that these settings make.

    It sends EDGE_SERVE_API_KEY where that is set. Raises `ConfigError` for a certificate that
    cannot be read, `httpx2.InvalidURL` for what is no address.
    """
    key = settings.edge_serve_api_key
    return httpx2.Client(
        base_url=(url or settings.url).rstrip("/"),
        timeout=timeout_s,
        headers={"authorization": f"Bearer {key}"} if key else {},
        verify=_own_certificate(settings) if url is None else True,
    )


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
