"""The way of the commands to a running server: its address, its certificate, its API key."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from typing import Any, Literal, TypedDict

import httpx2
import msgspec
from msgspec import Struct

from supervisor.config.errors import ConfigError, words
from supervisor.config.settings import Settings

# X509_V_ERR_HOSTNAME_MISMATCH and X509_V_ERR_IP_ADDRESS_MISMATCH of OpenSSL's x509_vfy.h.
_OTHER_NAME = (62, 64)


_DATA = "data: "


class Unreached(Exception):
    """No edge-serve has answered as it would. The message says why, and what to do."""


class Way(TypedDict):
    """What an httpx2 client, sync or async, needs to know of the server."""

    base_url: str
    timeout: float
    headers: dict[str, str]
    verify: ssl.SSLContext | bool


def way(settings: Settings, url: str | None, timeout_s: float) -> Way:
    """The way to the server at ``url``, with or without the /v1 that SDKs want in it, or to the one
    that these settings make.

    It sends EDGE_SERVE_API_KEY where that is set. Raises `ConfigError` for a certificate that
    cannot be read.
    """
    key = settings.edge_serve_api_key
    return Way(
        base_url=(url or settings.url).rstrip("/").removesuffix("/v1"),
        timeout=timeout_s,
        headers={"authorization": f"Bearer {key}"} if key else {},
        verify=_trust(settings, own=url is None),
    )


def connect(settings: Settings, url: str | None, timeout_s: float) -> httpx2.Client:
    """A client that goes that `way`. Raises as it, and `Unreached` for what is no address."""
    try:
        return httpx2.Client(**way(settings, url, timeout_s))
    except httpx2.InvalidURL as error:
        raise Unreached(f"no edge-serve answers at {url}: {trouble(error)}") from None


def ask(
    client: httpx2.Client,
    path: str,
    form: type[Struct],
    wish: dict[str, Any] | None = None,
    method: Literal["GET", "POST", "PATCH", "DELETE"] | None = None,
) -> dict[str, Any]:
    """What is at ``path`` of an edge-serve, or what it answers to a ``wish`` there, whatever its
    status: all of it, of which what ``form`` names is as it says. Raises `Unreached`."""
    method = method or ("GET" if wish is None else "POST")
    try:
        answer = client.request(method, path, json=wish)
    except httpx2.HTTPError as error:
        raise _unreached(client, error) from None
    return _formed(client, _checked(client, answer), form)


def events(
    client: httpx2.Client, path: str, form: type[Struct], **query: str | int
) -> Iterator[dict[str, Any]]:
    """What the server-sent events at ``path`` of an edge-serve hold, each of that ``form``, as they
    come. Raises `Unreached`."""
    for line in lines(client, path, **query):
        if line.startswith(_DATA):
            yield _formed(client, decoded(line.removeprefix(_DATA)), form)


def lines(client: httpx2.Client, path: str, **query: str | int) -> Iterator[str]:
    """The lines of a text that is at ``path`` of an edge-serve, as they come. Raises
    `Unreached`."""
    try:
        with client.stream("GET", path, params=query) as answer:
            if answer.status_code != 200:
                answer.read()
                _checked(client, answer)
                raise _no_edge_serve(client)
            yield from answer.iter_lines()
    except httpx2.HTTPError as error:
        raise _unreached(client, error) from None


def file(client: httpx2.Client, path: str, most_bytes: int) -> bytes:
    """The bytes of what is at ``path`` of an edge-serve, and little more of it than ``most_bytes``
    where it has more. Raises `Unreached`."""
    found = bytearray()
    try:
        with client.stream("GET", path) as answer:
            if answer.status_code != 200:
                answer.read()
                _checked(client, answer)
                raise _no_edge_serve(client)
            for piece in answer.iter_bytes():
                found += piece
                if len(found) > most_bytes:
                    break
    except httpx2.HTTPError as error:
        raise _unreached(client, error) from None
    return bytes(found)


def _checked(client: httpx2.Client, answer: httpx2.Response) -> Any:
    """The JSON of an answer, None where it has none. Raises `Unreached` where it is a refusal."""
    where = str(client.base_url).rstrip("/")
    found = decoded(answer.content)
    if answer.status_code == 401 and "authorization" in client.headers:
        raise Unreached(f"{where} does not know the API key in EDGE_SERVE_API_KEY")
    if answer.status_code == 401:
        raise Unreached(f"{where} wants an API key; put one into EDGE_SERVE_API_KEY")
    if isinstance(found, dict) and isinstance(found.get("error"), dict):
        raise Unreached(f"{where}: {found['error'].get('message')}")
    return found


def decoded(text: bytes | str) -> Any:
    """The value of a JSON text that anybody may have written; None where it is none."""
    try:
        return msgspec.json.decode(text)
    except (ValueError, RecursionError):
        return None


def _formed(client: httpx2.Client, found: Any, form: type[Struct]) -> dict[str, Any]:
    """It, if it is of this form. Raises `Unreached`."""
    try:
        msgspec.convert(found, form)
    except msgspec.ValidationError as error:
        raise _no_edge_serve(client, error if isinstance(found, dict) else None) from None
    known: dict[str, Any] = found
    return known


def _unreached(client: httpx2.Client, error: Exception) -> Unreached:
    where = str(client.base_url).rstrip("/")
    return Unreached(f"no edge-serve answers at {where}: {trouble(error)}")


def _no_edge_serve(client: httpx2.Client, error: Exception | None = None) -> Unreached:
    where, why = str(client.base_url).rstrip("/"), f" ({error})" if error else ""
    return Unreached(f"what answers at {where} is not edge-serve; name another with --url{why}")


def trouble(error: Exception) -> str:
    """Why a server was not reached, and what to do about it."""
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            why = cause.verify_message
            if cause.verify_code in _OTHER_NAME:
                return f"{why}; write a name that is in its certificate into --url"
            return f"its certificate is not trusted ({why}); set SSL_CERTFILE to that certificate"
        if isinstance(cause, ssl.SSLError) and cause.reason == "WRONG_VERSION_NUMBER":
            return "it does not speak https; write http:// in --url"
    if isinstance(error, httpx2.InvalidURL | httpx2.UnsupportedProtocol):
        return "that is no address; write one such as http://127.0.0.1:8000 into --url"
    if isinstance(error, httpx2.RemoteProtocolError):
        return f"{error} Where it speaks https, write https:// in --url"
    if isinstance(error, httpx2.TimeoutException):
        return "it did not answer in time; see its log"
    return f"{words(error)}; start it, or name another with --port or --url"


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _trust(settings: Settings, *, own: bool) -> ssl.SSLContext | bool:
    """Trust in the certificate of SSL_CERTFILE, too. Of the ``own`` server in nothing but that, and
    whatever name it is for."""
    if settings.ssl_certfile is None:
        return True
    file = str(settings.ssl_certfile)
    try:
        context = ssl.create_default_context(cafile=file if own else None)
        context.load_verify_locations(file)
    except OSError as error:
        why = "it holds no certificate" if isinstance(error, ssl.SSLError) else error.strerror
        raise ConfigError(f"SSL_CERTFILE: {file} cannot be read: {why}") from None
    context.check_hostname = not own
    return context
