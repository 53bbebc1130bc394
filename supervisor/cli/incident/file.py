"""The file of an incident as whoever reads it gets it: typed, and within bounds.

It may come from a stranger. The form is that which ``frontend/incidents/document.py`` writes, as
far as it is read here; a bound is what requests that a server takes can have. Pure, but for `load`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from ipc.runtime.gzipped import NotUnpacked, unpacked

MOST_BYTES = 64 << 20  # unpacked; one of 5000 requests has about 3 MiB
_MOST_S = 86_400.0  # the longest that a request lasts, or a recording
_MOST_TIME_S = 253_402_300_799  # the end of the year 9999, as far as calendars tell

Text = Annotated[str, Meta(max_length=65_536)]
Seconds = Annotated[float, Meta(ge=0, le=_MOST_S)]
At = Annotated[float, Meta(ge=-30 * _MOST_S, le=_MOST_S)]
Chars = Annotated[int, Meta(ge=0, le=64 << 20)]
Bytes = Annotated[int, Meta(ge=0, le=256 << 20)]
Tokens = Annotated[int, Meta(ge=0, le=16 << 20)]
Parts = Annotated[int, Meta(ge=0, le=65_536)]
Few = Annotated[int, Meta(ge=0, le=1024)]
Int64 = Annotated[int, Meta(ge=-(1 << 63), le=(1 << 63) - 1)]


class NoIncident(Exception):
    """It is no file of an incident, or is broken. The message says where."""


class Shape(Struct, frozen=True, kw_only=True):
    """What one request was like in numbers, as ``frontend/dispatch/estimates/shape.py`` has it."""

    kind: Text
    texts: Parts = 0
    chars: Chars = 0
    tokens: Tokens = 0
    images_bytes: Annotated[list[Bytes], Meta(max_length=64)] = []
    audio_bytes: Bytes = 0
    tools: Few = 0
    schema: bool = False
    n: Annotated[int, Meta(ge=1, le=1024)] = 1
    max_tokens: Annotated[int, Meta(ge=0, le=(1 << 31) - 1)] | None = None
    temperature: Annotated[float, Meta(ge=0, le=100)] | None = None
    top_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    top_k: Annotated[int, Meta(ge=-1, le=(1 << 31) - 1)] | None = None
    seed: Int64 | None = None
    stops: Few = 0


class Usage(Struct, frozen=True, kw_only=True):
    """Tokens, as they were counted."""

    prompt_tokens: Tokens = 0
    completion_tokens: Tokens = 0
    cached_tokens: Tokens | None = None


class Request(Struct, frozen=True, kw_only=True):
    """``at_s`` is when it came, in seconds from the incident on; other times are from there."""

    at_s: At
    model: Text | None = None
    path: Text = ""
    task: Text | None = None
    client: int | Text | None = None
    streams: bool = False
    shape: Shape | None = None
    status: Annotated[int, Meta(ge=0, le=999)] | None = None
    error: Text | None = None
    first_s: Seconds | None = None
    total_s: Seconds | None = None
    prompt_tokens: Tokens | None = None
    usage: Usage | None = None
    audio_s: Annotated[float, Meta(ge=0, le=14_400)] | None = None


class Event(Struct, frozen=True, kw_only=True):
    at_s: At
    type: str
    model: str | None = None
    facts: dict[str, msgspec.Raw] = {}


class KernelLine(Struct, frozen=True, kw_only=True):
    at_s: At
    text: str


class KernelLog(Struct, frozen=True, kw_only=True):
    """Without ``lines`` where it is not ``readable``: ``why`` says."""

    readable: bool = False
    why: str = ""
    lines: list[KernelLine] = []


class Machine(Struct, frozen=True, kw_only=True):
    kernel_log: KernelLog | None = None


class IncidentFile(Struct, frozen=True, kw_only=True):
    """``time_s`` counts from 1970 on, ``stacks`` are by process."""

    told: str
    time_s: Annotated[float, Meta(ge=0, le=_MOST_TIME_S)]
    versions: dict[str, str] = {}
    requests: list[Request] = []
    events: list[Event] = []
    stacks: dict[str, list[str]] = {}
    machine: Machine = Machine()
    missing: dict[str, str] = {}


def load(file: Path) -> bytes:
    """The bytes of a file, packed or not; one more than may be read where it has more. Raises
    `OSError`."""
    with file.open("rb") as opened:
        return opened.read(MOST_BYTES + 1)


def text(data: bytes) -> bytes:
    """The JSON in a file's bytes. Raises `NoIncident`."""
    try:
        return unpacked(data, MOST_BYTES)
    except NotUnpacked as error:
        raise NoIncident(str(error)) from None


def read(data: bytes) -> IncidentFile:
    """What a file's bytes tell. Raises `NoIncident`."""
    try:
        return msgspec.json.decode(text(data), type=IncidentFile)
    except RecursionError:
        raise NoIncident("its JSON is nested too deeply") from None
    except ValueError as error:  # of msgspec, and of bytes that are no text
        raise NoIncident(str(error)) from None
