"""Frames as they come and go, and what is none."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from frontend.wyoming import frames
from frontend.wyoming.frames import MAX_DATA_BYTES, MAX_LINE_BYTES, MAX_PAYLOAD_BYTES, Event
from ipc.messages.errors import InvalidRequest, PayloadTooLarge


def read_all(sent: bytes) -> list[Event]:
    """What is read of it, up to its end."""

    async def run() -> list[Event]:
        reader = asyncio.StreamReader(limit=MAX_LINE_BYTES)
        reader.feed_data(sent)
        reader.feed_eof()
        found = []
        while (event := await frames.read(reader)) is not None:
            found.append(event)
        return found

    return asyncio.run(run())


def line(**head: Any) -> bytes:
    return json.dumps(head).encode() + b"\n"


def test_what_goes_out_is_read_again() -> None:
    events = [
        Event("describe"),
        Event("transcript", {"text": "Grüße\n", "context": {"id": None}}),
        Event("audio-chunk", {"rate": 16_000}, b"\x00\x01\n{}\n"),
        Event("audio-stop"),
    ]
    assert read_all(b"".join(map(frames.encode, events))) == events


def test_data_may_stand_in_the_line_and_behind_it() -> None:
    data = b'{"text": "behind", "more": 1}'
    head = line(type="ping", data={"text": "in it", "id": 7}, data_length=len(data), version="1")
    assert read_all(head + data) == [Event("ping", {"text": "behind", "more": 1, "id": 7})]
    assert read_all(line(type="ping", data=None, payload_length=None)) == [Event("ping")]


@pytest.mark.parametrize(
    "sent", [b"", b'{"type": "pi', line(type="ping", data_length=9) + b'{"tex', b"no line"]
)
def test_a_client_that_ends_has_left(sent: bytes) -> None:
    assert read_all(frames.encode(Event("ping")) + sent) == [Event("ping")]


@pytest.mark.parametrize(
    "sent",
    [
        b"\n",
        b"GET / HTTP/1.1\r\n",
        b"[]\n",
        b"nul\n",
        line(data={}),
        line(type=""),
        line(type=7),
        line(type="x" * 65),
        line(type="ping", data=[]),
        line(type="ping", data_length=-1),
        line(type="ping", data_length=True),
        line(type="ping", data_length="5"),
        line(type="ping", payload_length=1.5),
        line(type="ping", data_length=2) + b"[]",
        line(type="ping", data_length=2) + b"{]",
        b'{"type": "ping", "data": NaN}\n',
        b"\xff\xfe{}\n",
    ],
)
def test_what_is_no_event_is_told(sent: bytes) -> None:
    with pytest.raises(InvalidRequest):
        read_all(sent)


@pytest.mark.parametrize(
    "sent",
    [
        b"x" * (MAX_LINE_BYTES + 1),
        b'{"type": "' + b"x" * MAX_LINE_BYTES + b'"}\n',
        line(type="ping", data_length=MAX_DATA_BYTES + 1),
        line(type="audio-chunk", payload_length=MAX_PAYLOAD_BYTES + 1),
        line(type="audio-chunk", payload_length=1 << 60),
        line(type="ping", data_length=70_000) + b"[" + b"[]," * 23_333,
    ],
)
def test_what_would_take_memory_is_refused_before_it_has_come(sent: bytes) -> None:
    with pytest.raises(PayloadTooLarge):
        read_all(sent)


def check(sent: bytes) -> None:
    """It is read without a failure of ours."""
    with contextlib.suppress(InvalidRequest, PayloadTooLarge):
        read_all(sent)


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_are_events_or_an_error(sent: bytes) -> None:
    check(sent)


_LENGTHS = st.one_of(st.none(), st.integers(-2, 40), st.booleans(), st.text(max_size=3))
_HEADS = st.fixed_dictionaries(
    {"type": st.one_of(st.text(max_size=9), st.none(), st.integers())},
    optional={"data": st.recursive(st.none() | st.text(max_size=4), st.lists, max_leaves=5)}
    | dict.fromkeys(("data_length", "payload_length"), _LENGTHS),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(_HEADS, st.binary(max_size=40)), max_size=4))
def test_any_heads_are_events_or_an_error(sent: list[tuple[dict[str, Any], bytes]]) -> None:
    check(b"".join(line(**head) + rest for head, rest in sent))
