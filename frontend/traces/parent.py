"""The trace that a request belongs to, as its caller says: W3C Trace Context, version 00."""

from __future__ import annotations

import re
from dataclasses import dataclass

_FORM = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")


@dataclass(frozen=True, slots=True)
class Parent:
    """A caller's span; ``is_sampled`` is whether the caller keeps its own."""

    trace_id: int
    span_id: int
    is_sampled: bool


def parent_of(header: str | None) -> Parent | None:
    """What a ``traceparent`` says; None for none, and for one that means nothing. As the standard
    has it, a later version is read as this one as far as it goes, and 255 is none."""
    found = _FORM.fullmatch(header or "")
    if found is None:
        return None
    version, trace_id, span_id, flags, rest = found.groups()
    if version == "ff" or (version == "00" and rest):
        return None
    parent = Parent(int(trace_id, 16), int(span_id, 16), bool(int(flags, 16) & 1))
    return parent if parent.trace_id and parent.span_id else None
