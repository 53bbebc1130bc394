"""What a caller says of its trace, read as W3C Trace Context has it."""

from __future__ import annotations

import pytest

from frontend.traces.parent import Parent, parent_of

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
KNOWN = Parent(int(TRACE, 16), int(SPAN, 16), is_sampled=True)


@pytest.mark.parametrize(
    ("header", "parent"),
    [
        (f"00-{TRACE}-{SPAN}-01", KNOWN),
        (f"00-{TRACE}-{SPAN}-00", Parent(KNOWN.trace_id, KNOWN.span_id, is_sampled=False)),
        (f"01-{TRACE}-{SPAN}-01-later", KNOWN),
        (f"00-{TRACE}-{SPAN}-01-later", None),
        (f"ff-{TRACE}-{SPAN}-01", None),
        (f"00-{'0' * 32}-{SPAN}-01", None),
        (f"00-{TRACE}-{'0' * 16}-01", None),
        (f"00-{TRACE.upper()}-{SPAN}-01", None),
        ("nonsense", None),
        (None, None),
    ],
)
def test_a_header_is_a_parent_or_none(header: str | None, parent: Parent | None) -> None:
    assert parent_of(header) == parent
