"""What a server streams, event by event, out of bytes as they come. No sockets in here.

Servers do not always say what they send: some answer a request for a stream with one JSON object,
or label a stream as text. So the first bytes decide what it is. httpx2's reader of events goes by
the label, and puts U+FFFD in place of what is no UTF-8, by which characters would be lost silently.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from ipc.messages.errors import InternalError

# Of one event, or of an answer that is no stream; usual events have some hundred bytes.
MAX_EVENT_BYTES = 8 << 20

_BOM = b"\xef\xbb\xbf"
# A "\r" at the end may be half of "\r\n".
_LINE_END = re.compile(rb"\r\n|\n|\r(?!\Z)")


class StreamEvent(NamedTuple):
    """``name`` is ``message`` where the server gave none, and ``whole`` for an answer that is no
    stream."""

    name: str
    data: bytes


class EventReader:
    """Server-sent events as in the HTML standard, 9.2; or one JSON value, whole at the `end`.

    Its methods raise `InternalError` for an event larger than `MAX_EVENT_BYTES`.
    """

    def __init__(self) -> None:
        self._rest = b""
        self._size = 0  # of the event that is not complete yet
        self._begun = False
        self._whole: list[bytes] | None = None
        self._name = ""
        self._data: list[bytes] = []

    def feed(self, data: bytes) -> list[StreamEvent]:
        """The events that ``data`` completes."""
        self._grow(len(data))
        if not self._begun and not (data := self._opening(data)):
            return []
        if self._whole is not None:
            self._whole.append(data)
            return []
        *lines, self._rest = _LINE_END.split(self._rest + data)
        events = [event for line in lines if (event := self._line(line))]
        if events:
            self._size = len(self._rest)
        return events

    def end(self) -> list[StreamEvent]:
        """What the end of the answer completes. An event without its empty line was cut off."""
        return [] if self._whole is None else [StreamEvent("whole", b"".join(self._whole))]

    def _grow(self, size: int) -> None:
        self._size += size
        if self._size > MAX_EVENT_BYTES:
            raise InternalError("the upstream's answer has an event larger than any should be")

    def _opening(self, data: bytes) -> bytes:
        """``data`` with what was held back until it is clear how the answer begins."""
        data = self._rest + data
        text = data.removeprefix(_BOM).lstrip()
        if not text or _BOM.startswith(data):
            self._rest = data
            return b""
        self._rest, self._begun = b"", True
        if text[:1] in (b"{", b"[", b'"', b"<"):
            self._whole = []
        return text

    def _line(self, line: bytes) -> StreamEvent | None:
        if not line:
            return self._complete()
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            self._data.append(value)
        elif field == b"event":
            self._name = value.decode(errors="replace")
        elif field == b"error":  # older llama-servers: a field where the standard has an event
            self._name = "error"
            self._data.append(value)
        return None

    def _complete(self) -> StreamEvent | None:
        data = b"\n".join(self._data)
        event = StreamEvent(self._name or "message", data) if self._data else None
        self._name, self._data = "", []
        return event
