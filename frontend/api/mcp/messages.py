"""JSON-RPC as the Model Context Protocol has it over HTTP: one message in each POST. Pure.

Revisions up to 2025-11-25 begin with a handshake; from 2026-07-28 on every request says all that
there is to know of its client. Both are the same calls of the same tools.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeGuard

from frontend.http.body import NotAnObject, NotJson
from ipc.messages.errors import ServeError
from ipc.program import NAME, program_version

HANDSHAKE = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")
MODERN = ("2026-07-28",)
# Of a client that names none, as the revision after it says.
_UNNAMED = "2025-03-26"
VERSION_HEADER, METHOD_HEADER, NAME_HEADER = "mcp-protocol-version", "mcp-method", "mcp-name"
SESSION_HEADER = "mcp-session-id"
_KEY = "io.modelcontextprotocol/"

PARSE_ERROR = -32700
INVALID_REQUEST, METHOD_NOT_FOUND, INVALID_PARAMS, INTERNAL = -32600, -32601, -32602, -32603
SERVER_ERROR, CANCELLED = -32000, -32800
HEADER_MISMATCH, UNSUPPORTED_VERSION = -32020, -32022
_STATUS = {
    INVALID_REQUEST: 400,
    METHOD_NOT_FOUND: 404,
    INVALID_PARAMS: 400,
    HEADER_MISMATCH: 400,
    UNSUPPORTED_VERSION: 400,
}
_BASE64 = re.compile(r"=\?base64\?(.*)\?=")

Id = int | str
Reply = dict[str, Any]


class RpcError(Exception):
    """A failure in the words of the protocol."""

    def __init__(self, code: int, message: str, data: Any = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.data = data

    @classmethod
    def of(cls, error: ServeError) -> RpcError:
        """``error`` with its code beside it, as no number says it."""
        if isinstance(error, NotJson):
            code = PARSE_ERROR
        elif isinstance(error, NotAnObject):  # lists of messages were of one revision alone
            code = INVALID_REQUEST
        else:
            code = INVALID_PARAMS if error.status == 400 else SERVER_ERROR
        return cls(code, error.message, {"code": error.code})


@dataclass(frozen=True, slots=True)
class Call:
    """One message. Without an ``id`` it is a notification, which nobody answers."""

    id: Id | None
    method: str
    params: Mapping[str, Any]
    version: str

    @property
    def is_modern(self) -> bool:
        return self.version in MODERN

    @property
    def progress_token(self) -> Id | None:
        """Under which its client wants to be told that it goes on."""
        token = _mapping(self.params.get("_meta")).get("progressToken")
        return token if is_id(token) else None

    def reply(self, result: Reply) -> Reply:
        """Its answer."""
        if self.is_modern:
            told = {_KEY + "serverInfo": SERVER_INFO}
            meta = {**_mapping(result.get("_meta")), **told}
            result = {"resultType": "complete", **result, "_meta": meta}
        return {"jsonrpc": "2.0", "id": self.id, "result": result}

    def refusal(self, error: RpcError) -> tuple[int, Reply]:
        """The status and the body of its failure."""
        status = _STATUS.get(error.code, 200) if self.is_modern else 200
        return status, failure(error, self.id)

    def progress(self, seconds: float) -> Reply | None:
        """That it has been at work for so long, where its client wants to know."""
        if (token := self.progress_token) is None:
            return None
        params = {"progressToken": token, "progress": round(seconds, 1)}
        return {"jsonrpc": "2.0", "method": "notifications/progress", "params": params}


SERVER_INFO = {"name": NAME, "title": NAME, "version": program_version()}


def read(data: Mapping[str, Any], headers: Mapping[str, str]) -> Call:
    """The message in ``data``. Raises `RpcError`, whose status is 400, for what is none."""
    message_id, method = data.get("id"), data.get("method")
    params = data.get("params", {})
    if data.get("jsonrpc") != "2.0" or not isinstance(method, str):
        raise RpcError(INVALID_REQUEST, 'send one JSON-RPC request: {"jsonrpc": "2.0", …}')
    if "id" in data and not is_id(message_id):
        raise RpcError(INVALID_REQUEST, "`id` must be a string or an integer")
    if not isinstance(params, dict):
        raise RpcError(INVALID_REQUEST, "`params` must be an object")
    version = headers.get(VERSION_HEADER, _UNNAMED)
    call = Call(message_id, method, params, version)
    if version not in (*HANDSHAKE, *MODERN):
        raise unsupported(version)
    if call.is_modern and message_id is not None:
        _check_modern(call, headers)
    return call


def failure(error: RpcError, message_id: Id | None = None) -> Reply:
    """The body of an answer that says ``error``."""
    told = {"code": error.code, "message": error.message}
    if error.data is not None:
        told["data"] = error.data
    return {"jsonrpc": "2.0", "id": message_id, "error": told}


def error_form(error: ServeError, _request_id: str) -> Reply:
    """``error`` where no message is known that it could be the answer to."""
    return failure(RpcError.of(error))


def unsupported(version: str) -> RpcError:
    """A revision that this server does not speak."""
    return RpcError(
        UNSUPPORTED_VERSION,
        "unsupported protocol version",
        {"supported": [*HANDSHAKE, *MODERN], "requested": version},
    )


def is_id(value: object) -> TypeGuard[Id]:
    """To Python true is a number."""
    return isinstance(value, int | str) and not isinstance(value, bool)


def _check_modern(call: Call, headers: Mapping[str, str]) -> None:
    """What stands in a request and in its headers must be the same: proxies read the latter."""
    meta = _mapping(call.params.get("_meta"))
    for key in (_KEY + "protocolVersion", _KEY + "clientCapabilities"):
        if key not in meta:
            raise RpcError(INVALID_PARAMS, f"params._meta has no {key}")
    if meta[_KEY + "protocolVersion"] != call.version:
        raise RpcError(HEADER_MISMATCH, f"{VERSION_HEADER} is not that of params._meta")
    if headers.get(METHOD_HEADER) != call.method:
        raise RpcError(HEADER_MISMATCH, f"{METHOD_HEADER} is not the method of the body")
    if call.method == "tools/call":
        name = call.params.get("name")
        if name is not None and _plain(headers.get(NAME_HEADER, "")) != name:
            raise RpcError(HEADER_MISMATCH, f"{NAME_HEADER} is not the name of the body")


def _plain(value: str) -> str | None:
    """The text of a header that may be wrapped, since headers have no umlauts."""
    found = _BASE64.fullmatch(value)
    if found is None:
        return value
    try:
        return base64.b64decode(found[1], validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return None


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
