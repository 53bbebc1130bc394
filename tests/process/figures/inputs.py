"""Requests that are bad in themselves: how soon each is refused, and what it costs."""

from __future__ import annotations

import io
import socket
import struct
import time
import zlib
from collections.abc import Callable, Iterator
from functools import partial

import av
import httpx2
import numpy as np
import orjson
import psutil
from PIL import Image

from ipc.messages.control import AccessConfig
from ipc.messages.errors import InvalidRequest, UndecodableMedia
from ipc.messages.keys import ApiKey
from tests.process.box import CHAT, EMBED, SPEECH, Box, MakeBox, spec, wait_until
from tests.process.figures import MIB, figure, timed
from tests.process.figures.clients import HEAD
from tests.process.http.malformed import REFUSED, get
from tests.process.http.raw_http import Raw, statuses
from worker.audio import decode as media
from worker.images import decode

DIGEST = "0" * 64


def _box(make: MakeBox, **plan: object) -> Box:
    return make(spec(CHAT), spec(EMBED), spec(SPEECH), **plan).wait_ready()


@figure("31", "kinds of malformed requests, each to its refusal", 0.25, once=True)
def malformed(make: MakeBox) -> Iterator[float]:
    box = _box(make)
    for request in REFUSED.values():
        with Raw(box.port) as raw:
            began_at = time.monotonic()
            raw.send(request)
            raw.socket.shutdown(socket.SHUT_WR)
            answer = raw.read_all()
            assert all(400 <= status < 500 for status in statuses(answer))
            yield time.monotonic() - began_at


@figure("32", "heads of a mebibyte, twenty: the frontend's memory afterwards", 1.0, "MiB")
def large_heads(make: MakeBox) -> list[float]:
    box = _box(make)

    def ask() -> None:
        with Raw(box.port) as raw:
            answer = raw.send(b"GET / HTTP/1.1\r\nX: ", b"y" * MIB, b"\r\n\r\n").read_all()
        assert statuses(answer) == [431]

    return [_growth(box, ask)]


@figure("33", "bodies of 64 MiB where 20 are allowed, twenty: the same", 20.0, "MiB")
def large_bodies(make: MakeBox) -> Iterator[float]:
    box = _box(make)
    part = b"x" * MIB
    for field, chunk in (
        (b"Content-Length: %d" % (64 * MIB), part),
        (b"Transfer-Encoding: chunked", b"100000\r\n" + part + b"\r\n"),
    ):
        yield _growth(box, partial(_send_body, box, HEAD + field + b"\r\n\r\n", chunk))


def _send_body(box: Box, head: bytes, chunk: bytes) -> None:
    with Raw(box.port) as raw:
        raw.send(head)
        for _ in range(64):
            raw.send(chunk)
        assert statuses(raw.read_until(b"}}")) == [413]


def _growth(box: Box, ask: Callable[[], None]) -> float:
    frontend = psutil.Process(box.health()["frontend"]["pid"])
    ask()
    before = frontend.memory_info().rss
    for _ in range(20):
        ask()
    return (frontend.memory_info().rss - before) / MIB


_USER = [{"role": "user", "content": "x"}]
_NESTED = b'{"model": "echo/chat", "messages": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
BROKEN = [
    _NESTED,
    b'{"a":' * 100_000,
    b'{"model": "echo/chat", "messages": [], "temperature": NaN}',
    b'{"model": "echo/chat", "messages": [{"role": "user", "content": "\\u0000"}]}',
    b'{"model": "echo/chat", "messages": [{"role": "user", "content": "\\ud800"}]}',
    b"[]",
    b"null",
    b"\xff\xfe",
]
_GRAMMAR = {"type": "json_schema", "json_schema": {"name": "x", "schema": "(" * 60_000}}
ABSURD = [
    b'{"model": "echo/chat", "messages": [{"role": "user", "content": "x"}], "%b": %b}' % pair
    for pair in (
        (b"n", b"1000000000"),
        (b"n", b"-1"),
        (b"max_tokens", b"-1"),
        (b"max_tokens", b"1" * 30),
        (b"top_logprobs", b"1000000000"),
        (b"temperature", b"1e308"),
        (b"seed", b"1e308"),
        (b"stop", orjson.dumps(["x"] * 100_000)),
        (b"stop", orjson.dumps("x" * 100_000)),
        (b"response_format", orjson.dumps(_GRAMMAR)),
        (b"logit_bias", orjson.dumps({str(number): 1 for number in range(100_000)})),
        (b"messages", orjson.dumps(_USER * 100_000)),
    )
]


@figure("34", "JSON that is deep, broken or none, to its 400", 0.05)
def broken_json(make: MakeBox) -> Iterator[float]:
    yield from _refusals(_box(make), BROKEN)


@figure("35, 36", "absurd counts, endless lists, grammars, to their 400", 0.25)
def absurd(make: MakeBox) -> Iterator[float]:
    yield from _refusals(_box(make), ABSURD)


def _refusals(box: Box, bodies: list[bytes]) -> Iterator[float]:
    with httpx2.Client(base_url=box.url, timeout=60) as client:
        assert client.get("/livez").status_code == 200
        for body in bodies:
            answer, seconds = timed(
                lambda body=body: client.post(  # type: ignore[misc]
                    "/v1/chat/completions",
                    content=body,
                    headers={"content-type": "application/json"},
                )
            )
            assert answer.status_code == 400, (body[:80], answer.text[:200])
            yield seconds


@figure("37", "images of a claimed 2.5 billion pixels, JPEG 2000, 2,000 frames, to their end", 0.05)
def image_bombs(_: MakeBox) -> Iterator[float]:
    """Of an animation only the first frame is read."""
    for data in (_png(50_000, 50_000), _png((1 << 31) - 1, (1 << 31) - 1), _jpeg_2000()):
        yield _refused_s(partial(decode, data), UndecodableMedia)
    frames = _frames(2000)
    image, seconds = timed(lambda: decode(frames))
    assert image.size == (64, 64)
    yield seconds


def _refused_s(read: Callable[[], object], error: type[InvalidRequest]) -> float:
    began_at = time.monotonic()
    try:
        read()
    except error:
        return time.monotonic() - began_at
    raise AssertionError("it was read")


def _jpeg_2000() -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (64, 64)).save(out, "JPEG2000")
    return out.getvalue()


def _png(width: int, height: int) -> bytes:
    """A file that promises so many pixels and holds none."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", b""), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    )


def _frames(count: int) -> bytes:
    out = io.BytesIO()
    images = [Image.new("P", (64, 64), number % 250) for number in range(count)]
    images[0].save(out, "GIF", save_all=True, append_images=images[1:], duration=10)
    return out.getvalue()


@figure("38", "a FLAC file of an hour where a minute may come, to its refusal", 1.0)
def audio_bomb(_: MakeBox) -> list[float]:
    return [_refused_s(partial(media.decode, _silence(3600), max_s=60.0), InvalidRequest)]


def _silence(seconds: int) -> bytes:
    out = io.BytesIO()
    with av.open(out, "w", format="flac") as target:
        stream = target.add_stream("flac", rate=16_000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 16_000), np.int16), "s16", "mono")
        frame.rate = 16_000
        for _ in range(seconds):
            target.mux(stream.encode(frame))
        target.mux(stream.encode(None))
    return out.getvalue()


@figure("47", "every route without a key, to its 401", 0.05)
def without_a_key(make: MakeBox) -> Iterator[float]:
    box = make(spec(CHAT), gate=AccessConfig(api_keys={"ann": ApiKey(digest=DIGEST)}))
    wait_until(lambda: box.ask("/livez") == 200)
    with Raw(box.port) as raw:
        for target in (b"/v1/models", b"/health", b"/metrics", b"//v1", b"/x/livez", b"/%6civez/"):
            answer, seconds = timed(
                lambda target=target: raw.send(get(target=target)).read_until(b"}}")  # type: ignore[misc]
            )
            assert statuses(answer) == [401]
            yield seconds
