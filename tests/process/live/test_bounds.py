"""Sockets whose clients send what nobody should, as much as they can: each harms itself alone."""

from __future__ import annotations

import contextlib
import json
import socket
import struct
from collections.abc import Iterator

import psutil
import pytest
from websockets.exceptions import ConnectionClosed

from tests.process.box import SPEECH, Box, MakeBox, spec, wait_until
from tests.process.live.test_realtime import NOISE, TRANSCRIPTION, client, saying

MANUAL = {"turn_detection": None}
TEXT, PING = 1, 9
MB = 1 << 20


@pytest.fixture(scope="module")
def box(module_box: MakeBox) -> Box:
    return module_box(spec(SPEECH, slots=2), memory_mb=64).wait_ready()


@contextlib.contextmanager
def by_hand(box: Box, fields: str = "", body: bytes = b"") -> Iterator[tuple[socket.socket, bytes]]:
    """A handshake with these ``fields``, and what is answered first."""
    with socket.create_connection(("127.0.0.1", box.port), timeout=30) as raw:
        head = (
            "GET /v1/realtime HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
            "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            f"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{fields}\r\n"
        )
        raw.sendall(head.encode() + body)
        yield raw, raw.recv(1 << 16)


def frame(opcode: int, data: bytes, *, ends: bool = True) -> bytes:
    """One of a client's, by a mask of zeros."""
    length = len(data)
    size = bytes([0x80 | length]) if length < 126 else b"\xff" + struct.pack(">Q", length)
    return bytes([opcode | 0x80 * ends]) + size + bytes(4) + data


def frontend(box: Box) -> psutil.Process:
    return next(one for one in box.family() if "frontend" in one.cmdline())


@pytest.mark.parametrize(
    ("fields", "body"),
    [
        ("Content-Length: 5\r\n", b"hello"),
        ("Transfer-Encoding: chunked\r\n", b"0\r\n\r\n"),
        (f"Cookie: {'x' * 9000}\r\n", b""),
    ],
)
def test_a_handshake_that_cannot_be_taken_is_answered(box: Box, fields: str, body: bytes) -> None:
    with by_hand(box, fields, body) as (_, answer):
        assert answer.startswith(b"HTTP/1.1 400 ")
        assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"]["code"] == "invalid_value"


def test_an_event_of_a_million_values_is_refused_and_holds_nobody_up(box: Box) -> None:
    before = frontend(box).pid
    with client(box) as one:
        one.hear("session.created")
        one.socket.send("[" + "[]," * (5 << 20) + "[]]")
        assert one.hear("error")["error"]["code"] == "request_too_large"
        one.noise(NOISE)
        one.hear("input_audio_buffer.speech_started")
    assert frontend(box).pid == before


def test_pings_of_a_client_that_reads_nothing_do_not_pile_up(box: Box) -> None:
    before = frontend(box).memory_info().rss
    with by_hand(box) as (raw, _):
        raw.settimeout(3)
        with contextlib.suppress(TimeoutError, ConnectionError):
            for _ in range(96):
                raw.sendall(frame(PING, b"x" * 125) * (MB // 131))
        assert frontend(box).memory_info().rss - before < 32 * MB


def test_halves_of_messages_have_the_memory_of_all_requests_and_no_more(box: Box) -> None:
    before = frontend(box).memory_info().rss
    with contextlib.ExitStack() as opened:
        sockets = [opened.enter_context(by_hand(box))[0] for _ in range(12)]
        for raw in sockets:
            with contextlib.suppress(ConnectionError):
                raw.sendall(frame(TEXT, b"x" * (14 * MB), ends=False))
        with client(box) as one:
            one.hear("session.created")
            one.noise(NOISE)  # small ones pass
            one.hear("input_audio_buffer.speech_started")
        assert frontend(box).memory_info().rss - before < 100 * MB
    wait_until(lambda: frontend(box).memory_info().rss - before < 32 * MB)
    with client(box) as one:
        one.hear("session.created")
        one.noise("AQEB" * MB)  # given back
        one.hear("input_audio_buffer.speech_started")


def test_a_message_of_endless_small_pieces_ends_its_session_and_holds_nobody_up(box: Box) -> None:
    before = frontend(box).pid
    with by_hand(box) as (raw, _):
        raw.sendall(frame(TEXT, b"x", ends=False))
        with contextlib.suppress(ConnectionError):
            for _ in range(40):
                raw.sendall(frame(0, b"x", ends=False) * 50_000)
            while raw.recv(1 << 16):
                pass
    with client(box) as one:
        one.hear("session.created")
    assert frontend(box).pid == before


def test_turns_that_are_committed_without_waiting_are_all_heard(box: Box) -> None:
    with client(box) as one:
        one.hear("session.created")
        one.update(**saying("one", **MANUAL))
        for _ in range(200):
            one.noise(NOISE)
            one.say("input_audio_buffer.commit")
        one.hear("session.updated")
        ended = 0
        while ended < 200:
            event = one.hear()
            assert event["type"] != "error", event
            ended += event["type"] == f"{TRANSCRIPTION}.completed"


def test_a_message_that_is_too_long_ends_its_session(box: Box) -> None:
    with client(box) as one:
        one.hear("session.created")
        with contextlib.suppress(ConnectionClosed):
            one.socket.send("x" * (17 * MB))
        with pytest.raises(ConnectionClosed):
            one.hear()
