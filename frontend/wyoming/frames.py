"""The frames of the protocol: one JSON line, then its data as JSON, then bytes.

Written out here, since the protocol's own package reads whatever length a peer announces, and
checks nothing of what is in it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, NamedTuple

import orjson

from frontend.http.values import loose_count
from ipc.messages.errors import InvalidRequest, PayloadTooLarge, ServeError

MAX_LINE_BYTES = 64 << 10
MAX_DATA_BYTES = MAX_PAYLOAD_BYTES = 1 << 20
# A describer, a list of a thousand names: far more than any event has.
MAX_VALUES = 1 << 15
MAX_TYPE_CHARS = 64
# Of the protocol: the revision of the package that it is read from.
VERSION = "1.10.2"


class Event(NamedTuple):
    """One message of either side."""

    type: str
    data: Mapping[str, Any] = {}
    payload: bytes = b""


async def read(reader: asyncio.StreamReader) -> Event | None:
    """The next event; None where the peer has ended, in the middle of one too. ``reader`` holds
    lines of up to `MAX_LINE_BYTES`. Raises `InvalidRequest` and `PayloadTooLarge` for what is no
    event: nothing that follows can be read then."""
    try:
        line = await reader.readuntil(b"\n")
        head = _object(line, "the line")
        data_bytes = _length(head, "data_length", MAX_DATA_BYTES)
        payload_bytes = _length(head, "payload_length", MAX_PAYLOAD_BYTES)
        more = await reader.readexactly(data_bytes) if data_bytes else b""
        payload = await reader.readexactly(payload_bytes) if payload_bytes else b""
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    except asyncio.LimitOverrunError:
        raise PayloadTooLarge(f"an event's line is over {MAX_LINE_BYTES} bytes") from None
    data = _given(head.get("data"))
    return Event(_type(head.get("type")), {**data, **_object(more, "the data")}, payload)


def encode(event: Event) -> bytes:
    """``event`` as it goes out."""
    head: dict[str, Any] = {"type": event.type, "version": VERSION}
    data = orjson.dumps(event.data) if event.data else b""
    if data:
        head["data_length"] = len(data)
    if event.payload:
        head["payload_length"] = len(event.payload)
    return b"".join((orjson.dumps(head), b"\n", data, event.payload))


def failure(error: ServeError) -> Event:
    """What a peer is told before its connection ends: some clients wait for ever else."""
    return Event("error", {"text": error.message, "code": error.code})


def _object(text: bytes, what: str) -> dict[str, Any]:
    if not text:
        return {}
    if loose_count(text) > MAX_VALUES:
        raise PayloadTooLarge(f"{what} of an event has more than {MAX_VALUES} values")
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError:
        raise InvalidRequest(
            f"{what} of an event must be JSON; is this port the right one?"
        ) from None
    return _given(found)


def _given(found: Any) -> dict[str, Any]:
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise InvalidRequest("an event, and its `data`, must be JSON objects")
    return found


def _length(head: Mapping[str, Any], name: str, most: int) -> int:
    found = head.get(name)
    if found is None:
        return 0
    if not isinstance(found, int) or isinstance(found, bool) or found < 0:
        raise InvalidRequest(f"`{name}` must be a number of bytes", param=name)
    if found > most:
        raise PayloadTooLarge(f"`{name}` is over {most} bytes", param=name)
    return found


def _type(found: Any) -> str:
    if not isinstance(found, str) or not 0 < len(found) <= MAX_TYPE_CHARS:
        raise InvalidRequest("`type` must be the name of an event", param="type")
    return found
