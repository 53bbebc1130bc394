"""Clients that leave, stall, or come in crowds."""

from __future__ import annotations

import contextlib
import itertools
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx2
import orjson
import psutil

from ipc.messages.control import AccessConfig
from tests.process.box import CHAT, Box, MakeBox, spec, wait_until
from tests.process.faults.load import Load
from tests.process.figures import MIB, figure, timed
from tests.process.figures.workers import NEVER, WORDS, fresh, shielded
from tests.process.http.raw_http import Raw, statuses

HEAD = (
    b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
)


def chat_request(text: str, **more: object) -> bytes:
    message = {"role": "user", "content": text}
    body = orjson.dumps({"model": CHAT, "messages": [message], **more})
    return HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body


def _free(box: Box) -> bool:
    return box.queue(CHAT)["in_flight"] == 0


def _leaves(box: Box, request: bytes, *, half: bool = False) -> float:
    with Raw(box.port) as raw:
        raw.send(request)
        wait_until(lambda: box.queue(CHAT)["in_flight"] == 1)
        if half:
            raw.socket.shutdown(socket.SHUT_WR)
        else:
            raw.socket.close()
        _, seconds = timed(lambda: wait_until(lambda: _free(box)))
        return seconds


@figure("21", "a stream without a word, to the first keep-alive", 15.5, once=True)
def silence_to_keepalive(make: MakeBox) -> list[float]:
    box = fresh(make)

    def wait(number: int) -> float:
        with Raw(box.port) as raw:
            began_at = time.monotonic()
            raw.send(chat_request(f"{NEVER} {number}", stream=True)).read_until(b": keep-alive")
            return time.monotonic() - began_at

    with ThreadPoolExecutor(4) as pool:
        return list(pool.map(wait, range(4)))


@figure("24", "a client leaves its stream, to its place free", 0.25)
def left_stream_to_free(make: MakeBox) -> list[float]:
    return [_leaves(fresh(make), chat_request(WORDS, stream=True))]


@figure("25", "a client leaves while it waits for a whole answer, to its place free", 0.25)
def left_answer_to_free(make: MakeBox) -> list[float]:
    return [_leaves(fresh(make), chat_request(WORDS))]


@figure("26", "a client leaves the queue, to its place there free", 0.25)
def left_queue_to_free(make: MakeBox) -> list[float]:
    box = fresh(make)
    with ThreadPoolExecutor(5) as pool:
        for number in range(5):
            pool.submit(shielded, box, f"{NEVER} {number}")
        wait_until(lambda: box.queue(CHAT)["in_flight"] == 5)
        with Raw(box.port) as raw:
            raw.send(chat_request("never begun"))
            wait_until(lambda: box.queue(CHAT)["depth"] == 1)
            raw.socket.close()
            _, seconds = timed(lambda: wait_until(lambda: box.queue(CHAT)["depth"] == 0))
        box.kill(CHAT)
    return [seconds]


@figure("27", "200 clients that each give up after half a second, to the next answer", 5.0)
def crowd_to_answer(make: MakeBox) -> list[float]:
    box = fresh(make)

    def give_up(number: int) -> None:
        with contextlib.suppress(httpx2.ReadTimeout):
            box.chat(f"{NEVER} {number}", timeout=0.5)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(give_up, range(200)))
    answer, seconds = timed(lambda: box.chat("after"))
    assert answer.status_code == 200
    return [seconds]


@figure("28", "a client that reads a byte a second, to its request cancelled", 62.0, once=True)
def stalled_reader_to_end(make: MakeBox) -> list[float]:
    return [_stall(make, 19_000)[0]]


@figure("28", "the same, and its worker writes 15 MB: memory of the frontend", 16.0, "MiB")
def stalled_reader_memory(make: MakeBox) -> list[float]:
    return [_stall(make, 150_000)[1]]


def _stall(make: MakeBox, words: int) -> tuple[float, float]:
    """Seconds from the first byte that is read until nothing of the request is left, and MiB."""
    box = make(spec(CHAT, max_new_tokens=1_000_000)).wait_ready()
    frontend = psutil.Process(box.health()["frontend"]["pid"])
    text = ("word" * 25 + " ") * words
    with Raw(box.port, receive_bytes=4096) as raw:
        raw.send(chat_request(text, stream=True, max_tokens=1_000_000))
        wait_until(lambda: box.queue(CHAT)["in_flight"] == 1)
        raw.socket.recv(1)
        before, began_at = frontend.memory_info().rss, time.monotonic()
        most = before
        while not any("status=499" in line for line in box.lines()):
            with contextlib.suppress(OSError):
                raw.socket.recv(1)
            most = max(most, frontend.memory_info().rss)
            time.sleep(1.0)
        return time.monotonic() - began_at, (most - before) / MIB


@figure("29", "a head that comes drop by drop, to its 408", 10.5, once=True)
def slow_head_to_408(make: MakeBox) -> list[float]:
    return _to_408(make, b"POST / HTTP/1.1\r\nX: ", b"y")


@figure("29", "a body that comes drop by drop, to its 408", 60.5, once=True)
def slow_body_to_408(make: MakeBox) -> list[float]:
    return _to_408(make, HEAD + b"Content-Length: 1000\r\n\r\n", b" ")


def _to_408(make: MakeBox, start: bytes, drop: bytes) -> list[float]:
    box = fresh(make)

    def wait(_: int) -> float:
        with Raw(box.port) as raw:
            raw.send(start)
            answer, seconds = timed(lambda: _trickled(raw, drop))
            assert statuses(answer) == [408]
            return seconds

    with ThreadPoolExecutor(4) as pool:
        return list(pool.map(wait, range(4)))


def _trickled(raw: Raw, drop: bytes) -> bytes:
    """What the server says at last to a client that sends ``drop`` four times a second."""
    raw.socket.settimeout(0.25)
    while True:
        raw.send(drop)
        with contextlib.suppress(TimeoutError):
            return raw.socket.recv(65536)


@figure("30", "a client half-closes its connection, to its place free", 0.25)
def half_closed_to_free(make: MakeBox) -> list[float]:
    return [_leaves(fresh(make), chat_request(WORDS), half=True)]


@figure("39", "a request beside a full queue, of 20 clients at once, to its 429", 0.05, once=True)
def full_queue_to_429(make: MakeBox) -> list[float]:
    box = fresh(make)
    load = Load(box.port, itertools.repeat(chat_request("x")))
    with ThreadPoolExecutor(20) as fill, contextlib.closing(load):
        for number in range(13):
            fill.submit(shielded, box, f"{NEVER} {number}")
        wait_until(lambda: box.queue(CHAT)["depth"] == 8)
        crowds = [load.run([time.monotonic()] * 20) for _ in range(11)]
        box.kill(CHAT)
        box.stop()
    answers = [answer for crowd in crowds[1:] for answer in crowd]  # the first one connects
    assert {answer.status for answer in answers} == {429}
    return [answer.seconds for answer in answers]


@figure("42", "a connection past the cap, to its 503", 0.25)
def past_the_cap(make: MakeBox) -> Iterator[float]:
    box = make(spec(CHAT), gate=AccessConfig(max_connections=3)).wait_ready()
    box.client.close()
    with Raw(box.port) as one, Raw(box.port) as two, Raw(box.port) as three:
        for raw in (one, two, three):
            raw.send(chat_request(NEVER))
        time.sleep(0.5)
        for _ in range(20):
            with Raw(box.port) as raw:
                answer, seconds = timed(lambda raw=raw: raw.read_until(b"}}"))  # type: ignore[misc]
                assert statuses(answer) == [503]
                yield seconds
