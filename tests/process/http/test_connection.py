"""One listener with short limits: slow, greedy and confused clients, over real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send
from uvicorn.server import ServerState

from frontend.dispatch.budget import Budget
from frontend.listener.bounds import Bounds
from frontend.listener.connection import protocol
from frontend.routes import PROBES
from tests.process.http.raw_http import Raw, statuses

GET = b"GET /hello HTTP/1.1\r\nHost: x\r\n\r\n"
HEAD = b"POST /hello HTTP/1.1\r\nHost: x\r\n"
MIB = 1 << 20


class App:
    """Tells which requests it was asked. ``/big`` is 8 MiB, ``/parts`` of no declared length,
    ``/empty`` and ``/broken`` have a head only, ``/wait`` waits for ``go``, ``/stay`` until its
    client leaves; ``/deaf`` and ``/deaf-keep`` answer unread, as where a key is missing."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, bytes]] = []
        self.left = 0
        self.slow_probes = False
        self.go = threading.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"]
        body = b""
        while not path.startswith("/deaf"):
            message = await receive()
            if message["type"] == "http.disconnect":
                self.left += 1
                return
            body += message["body"]
            if not message["more_body"]:
                break
        if path != "/deaf-keep":
            self.asked.append((path, body))
        if path == "/stay":
            await receive()
            self.left += 1
            return
        if path == "/wait" or (path == "/livez" and self.slow_probes):
            await asyncio.to_thread(self.go.wait)
        await self._answer(path, send)

    async def _answer(self, path: str, send: Send) -> None:
        answer = bytes(8 * MIB) if path == "/big" else b"hello"
        headers = [] if path == "/parts" else [(b"content-length", b"%d" % len(answer))]
        if path == "/deaf":
            headers.append((b"connection", b"close"))
        if path == "/empty":
            await send({"type": "http.response.start", "status": 204})
            await send({"type": "http.response.body"})
            return
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        if path == "/parts":
            for part in (b"hel", b"", b"lo"):
                await send({"type": "http.response.body", "body": part, "more_body": True})
            await send({"type": "http.response.body"})
        elif path != "/broken":
            await send({"type": "http.response.body", "body": answer})


class Listener:
    def __init__(self, bounds: Bounds, idle_s: int) -> None:
        self.app = App()
        config = uvicorn.Config(
            self.app,
            http=protocol(bounds, Budget(1 << 30)),
            ws="none",
            lifespan="off",
            log_config=None,
            timeout_keep_alive=idle_s,
        )
        self.server = uvicorn.Server(config)
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self._thread = threading.Thread(
            target=self.server.run, kwargs={"sockets": [self._socket]}, daemon=True
        )
        self._thread.start()

    @property
    def open(self) -> int:
        return len(self.server.server_state.connections)

    @property
    def deaf(self) -> int:
        """Connections of which nothing more is read."""
        return sum(vars(each)["_deaf"] for each in self.server.server_state.connections)

    def stop(self) -> None:
        self.app.go.set()
        self.server.should_exit = self.server.force_exit = True
        self._thread.join(10)
        self._socket.close()


Listen = Callable[..., Listener]


@pytest.fixture
def listen(monkeypatch: pytest.MonkeyPatch) -> Iterator[Listen]:
    monkeypatch.setattr(uvicorn.Server, "capture_signals", lambda _: contextlib.nullcontext())
    started = []

    def start(idle_s: int = 75, **bounds: Any) -> Listener:
        started.append(Listener(Bounds(probes=PROBES, **bounds), idle_s))
        return started[-1]

    yield start
    for listener in started:
        listener.stop()


def wait_until(what: Callable[[], object]) -> None:
    end_at = time.monotonic() + 60
    while not what():
        assert time.monotonic() < end_at, "not in time"
        time.sleep(0.01)


# --- what is well-formed is served ---


def test_two_requests_at_once_are_answered_in_their_order(listen: Listen) -> None:
    listener = listen()
    with Raw(listener.port) as raw:
        raw.send(GET, HEAD, b"Content-Length: 2\r\nConnection: close\r\n\r\nhi")
        assert statuses(raw.read_all()) == [200, 200]
    assert listener.app.asked == [("/hello", b""), ("/hello", b"hi")]


def test_a_head_that_nothing_follows_is_sent_all_the_same(listen: Listen) -> None:
    listener = listen()
    with Raw(listener.port) as raw:
        for ask in (b"HEAD /hello", b"GET /empty", b"HEAD /hello", b"GET /broken"):
            raw.send(ask, b" HTTP/1.1\r\nHost: x\r\n\r\n")
            status = 204 if b"empty" in ask else 200
            assert statuses(raw.read_until(b"\r\n\r\n")) == [status], ask
        assert raw.read_all() == b""


def test_a_client_that_waits_for_a_go_ahead_gets_it(listen: Listen) -> None:
    with Raw(listen().port) as raw:
        raw.send(HEAD, b"Content-Length: 2\r\nExpect: 100-continue\r\n\r\n")
        assert statuses(raw.read_until(b"\r\n\r\n")) == [100]
        assert raw.send(b"hi").read_until(b"hello").endswith(b"hello")


@pytest.mark.parametrize(
    ("version", "framing", "body"),
    [
        (b"HTTP/1.1", b"transfer-encoding: chunked", b"3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n"),
        (b"HTTP/1.0", b"connection: close", b"hello"),
    ],
)
def test_only_who_knows_chunks_gets_them(
    listen: Listen, version: bytes, framing: bytes, body: bytes
) -> None:
    with Raw(listen().port) as raw:
        raw.send(b"GET /parts ", version, b"\r\nHost: x\r\nConnection: close\r\n\r\n")
        head, _, rest = raw.read_all().partition(b"\r\n\r\n")
    assert statuses(head) == [200]
    assert framing in head
    assert (b"transfer-encoding" in head) == (version == b"HTTP/1.1")
    assert rest == body


@pytest.mark.parametrize("path", [b"/hello", b"/big", b"/empty"])
def test_http_1_0_knows_lengths_and_ends(listen: Listen, path: bytes) -> None:
    with Raw(listen().port) as raw:
        head, _, rest = (
            raw.send(b"GET ", path, b" HTTP/1.0\r\n\r\n").read_all().partition(b"\r\n\r\n")
        )
    assert (b"content-length: %d" % len(rest) in head) == (path != b"/empty")
    assert b"connection: close" in head


def test_http_1_0_gets_no_interim_answer(listen: Listen) -> None:
    with Raw(listen().port) as raw:
        raw.send(b"POST /hello HTTP/1.0\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\nhi")
        assert statuses(raw.read_all()) == [200]


@pytest.mark.parametrize("chunk_bytes", [None, 7, 1000, 300_000])
def test_a_large_body_arrives_whole(listen: Listen, chunk_bytes: int | None) -> None:
    """It comes faster than it is taken."""
    listener = listen()
    body = random.Random(7).randbytes(4 * MIB if chunk_bytes != 7 else MIB // 4)
    with Raw(listener.port) as raw:
        if chunk_bytes is None:
            raw.send(HEAD, b"Content-Length: %d\r\n\r\n" % len(body), body)
        else:
            parts = (body[at : at + chunk_bytes] for at in range(0, len(body), chunk_bytes))
            chunks = (b"%x\r\n%b\r\n" % (len(part), part) for part in parts)
            raw.send(HEAD, b"Transfer-Encoding: chunked\r\n\r\n", *chunks, b"0\r\n\r\n")
        assert statuses(raw.read_until(b"hello")) == [200]
    assert listener.app.asked == [("/hello", body)]


def test_a_large_body_does_not_count_for_the_head_behind_it(listen: Listen) -> None:
    listener = listen()
    with Raw(listener.port) as raw:
        raw.send(HEAD, b"Content-Length: 60000\r\n\r\n", bytes(60000), GET[:20])
        assert statuses(raw.read_until(b"hello")) == [200]
        assert statuses(raw.send(GET[20:]).read_until(b"hello")) == [200]


def test_an_offer_of_another_protocol_is_declined_and_its_request_served(listen: Listen) -> None:
    """Java's HTTP client offers HTTP/2 with each request."""
    listener = listen()
    offer = (
        b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQ\r\n"
    )
    with Raw(listener.port) as raw:
        raw.send(HEAD, offer, b"Content-Length: 4\r\n\r\nbo")
        raw.send(b"dy", GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        assert statuses(raw.read_all()) == [200, 200]
    assert listener.app.asked == [("/hello", b"body"), ("/hello", b"")]


# --- what never ends, ends ---


def test_a_slow_head_is_answered_408_and_closed(listen: Listen) -> None:
    listener = listen(head_s=0.3, linger_s=0.2)
    with Raw(listener.port) as raw:
        answer = raw.trickle(b"GET / HTTP/1.1\r\nX: " + b"y" * 2000)
    assert statuses(answer) == [408]
    assert b'"request_timeout"' in answer
    assert listener.app.asked == []


def test_a_slow_head_of_a_second_request_is_too(listen: Listen) -> None:
    listener = listen(head_s=0.3, linger_s=0.2)
    with Raw(listener.port) as raw:
        raw.send(GET)
        assert statuses(raw.read_until(b"hello")) == [200]
        assert statuses(raw.trickle(b"GET / HTTP/1.1\r\nX: " + b"y" * 2000)) == [408]


def test_empty_lines_do_not_keep_a_connection_open(listen: Listen) -> None:
    listener = listen(head_s=0.3, linger_s=0.2)
    with Raw(listener.port) as raw:
        raw.trickle(b"\r\n" * 1000)
    assert listener.app.asked == []


def test_a_connection_that_never_asks_is_closed_without_a_word(listen: Listen) -> None:
    with Raw(listen(head_s=0.1).port) as raw:
        assert raw.read_all() == b""


def test_an_idle_connection_is_closed(listen: Listen) -> None:
    with Raw(listen(idle_s=1).port) as raw:
        assert statuses(raw.send(GET).read_all()) == [200]


def test_a_body_that_nobody_wants_may_not_go_on_for_ever(listen: Listen) -> None:
    listener = listen(linger_s=0.3)
    with Raw(listener.port) as raw:
        raw.send(b"POST /deaf HTTP/1.1\r\nHost: x\r\nContent-Length: 99999\r\n\r\n")
        assert statuses(raw.trickle(b"z" * 2000)) == [200]
    wait_until(lambda: listener.open == 0)


def test_an_answer_before_the_end_of_the_body_reaches_a_client_that_reads_last(
    listen: Listen,
) -> None:
    """Closed at once, the connection would be reset and the answer lost."""
    with Raw(listen().port) as raw:
        raw.send(b"POST /deaf HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % (8 * MIB))
        for _ in range(8):
            raw.send(bytes(MIB))
        assert statuses(raw.read_all()) == [200]


def test_a_client_that_reads_a_byte_a_second_is_cut_off(listen: Listen) -> None:
    listener = listen(unread_s=0.3)
    with Raw(listener.port, receive_bytes=4096) as raw:
        raw.send(b"GET /big HTTP/1.1\r\nHost: x\r\n\r\n")
        raw.socket.recv(1)
        wait_until(lambda: listener.app.asked and listener.open == 0)


def test_a_client_that_reads_slowly_but_steadily_gets_everything(listen: Listen) -> None:
    """In more time altogether than it may take between two looks at it."""
    unread_s = 1.0
    listener = listen(unread_s=unread_s, unread_bytes=1)
    with Raw(listener.port, receive_bytes=65536) as raw:
        began_at = time.monotonic()
        raw.send(b"GET /big HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        total = 0
        while got := raw.socket.recv(1 << 17):
            total += len(got)
            # Fast only once that time has passed twice.
            time.sleep(0.05 if time.monotonic() < began_at + 2 * unread_s else 0)
    assert total > 8 * MIB


# --- what is too much ---


@pytest.mark.parametrize(
    ("head", "status"),
    [
        pytest.param(b"X: " + b"y" * MIB + b"\r\n\r\n", 431, id="a header of 1 MiB"),
        pytest.param(b"X: " + b"y" * 200_000, 431, id="a header that does not end"),
        pytest.param(b"X: 1\r\n" * 101 + b"\r\n", 431, id="101 headers"),
        pytest.param((b"X: " + b"y" * 8000 + b"\r\n") * 5 + b"\r\n", 431, id="40 KB in 5"),
    ],
)
def test_a_head_past_the_limits_is_refused(listen: Listen, head: bytes, status: int) -> None:
    listener = listen(linger_s=0.5)
    with Raw(listener.port) as raw:
        answer = raw.send(HEAD, head).read_all()
    assert statuses(answer) == [status]
    assert b'"headers_too_large"' in answer
    assert listener.app.asked == []


CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"
ENDLESS = {
    "a trailer's value": (b"0\r\nX: ", b"y" * 1000),
    "a trailer's name": (b"0\r\n", b"y" * 1000),
    "trailers": (b"0\r\n", b"X: 1\r\n" * 50),
    "a chunk's extension": (b"1", b";a=" + b"y" * 1000),
    "a chunk's size": (b"", b"0" * 1000),
    "small chunks with extensions": (b"", b"1;a=" + b"y" * 1000 + b"\r\nz\r\n"),
}


@pytest.mark.parametrize("path", [b"/hello", b"/deaf-keep"], ids=["read", "refused unread"])
@pytest.mark.parametrize(("start", "part"), ENDLESS.values(), ids=ENDLESS.keys())
def test_what_never_ends_beside_a_body_counts_for_the_head(
    listen: Listen, start: bytes, part: bytes, path: bytes
) -> None:
    """The parser keeps a field until it is whole, and copies it at each part that comes."""
    listener = listen(linger_s=20)
    with Raw(listener.port) as raw:
        raw.send(HEAD.replace(b"/hello", path), CHUNKED, start)
        if path == b"/deaf-keep":
            assert statuses(raw.read_until(b"hello")) == [200]
        for _ in range(40):  # 40 KB where 32 are allowed
            raw.send(part)
        answer = raw.read_until(b"}}")
        assert statuses(answer) == ([431] if path == b"/hello" else [])
        wait_until(lambda: listener.deaf == 1)
    assert listener.app.asked == []


def test_a_body_in_tiny_chunks_is_read_to_its_end(listen: Listen) -> None:
    listener = listen()
    with Raw(listener.port) as raw:
        raw.send(HEAD, b"Transfer-Encoding: chunked\r\n\r\n")
        for _ in range(10):
            raw.send(b"1\r\nx\r\n" * 2000)
        assert statuses(raw.send(b"0\r\n\r\n").read_until(b"hello")) == [200]
    assert listener.app.asked == [("/hello", b"x" * 20_000)]


class Transport:
    """Notes how it is read, and forgets what is written."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.resumed = asyncio.Event()

    def get_extra_info(self, _: str) -> None:
        return None

    def is_closing(self) -> bool:
        return False

    def pause_reading(self) -> None:
        self.calls.append("pause")

    def resume_reading(self) -> None:
        self.calls.append("resume")
        self.resumed.set()

    def write(self, _: bytes) -> None: ...

    def writelines(self, _: Iterable[bytes]) -> None: ...

    def get_write_buffer_size(self) -> int:
        return 0

    def close(self) -> None: ...


def test_who_sends_much_takes_turns_and_its_chunks_are_handed_on_together() -> None:
    """Else its loop would read on from the same connection, a call for each byte of a body."""
    messages: list[Any] = []
    read = asyncio.Event()

    async def app(_scope: Scope, receive: Receive, _send: Send) -> None:
        messages.append(message := await receive())
        while message["more_body"]:
            messages.append(message := await receive())
        read.set()

    async def scene() -> list[str]:
        config = uvicorn.Config(app, ws="none", lifespan="off", log_config=None)
        connection: Any = protocol(Bounds(), Budget(1 << 30))
        made = connection(config=config, server_state=ServerState(), app_state={})
        transport = Transport()
        made.connection_made(transport)
        made.data_received(HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * 40_000)
        assert transport.calls == ["pause"]
        made.flow.pause_reading()
        made.flow.resume_reading()  # the application would have it read on, past what waits
        assert transport.calls == ["pause", "pause"]
        made.data_received(b"1\r\ny\r\n0\r\n\r\n")
        await transport.resumed.wait()
        await read.wait()
        return transport.calls

    assert asyncio.run(scene()) == ["pause", "pause", "resume"]
    assert b"".join(message["body"] for message in messages) == b"x" * 40_000 + b"y"
    assert 2 <= len(messages) <= 5  # of 64 KiB, or what came of two before it was read


def test_a_long_target_is_refused(listen: Listen) -> None:
    with Raw(listen(linger_s=0.5).port) as raw:
        assert statuses(raw.send(b"GET /", b"y" * 9000, b" HTTP/1.1\r\n\r\n").read_all()) == [414]


def test_a_large_head_within_the_limits_is_fine(listen: Listen) -> None:
    listener = listen()
    with Raw(listener.port) as raw:
        raw.send(HEAD, (b"X: " + b"y" * 6000 + b"\r\n") * 5, b"Connection: close\r\n\r\n")
        assert statuses(raw.read_all()) == [200]


def test_requests_sent_ahead_are_answered_in_their_order(listen: Listen) -> None:
    listener = listen()
    with Raw(listener.port) as raw:
        raw.send(GET.replace(b"hello", b"wait"))
        wait_until(lambda: listener.app.asked)
        raw.send(GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        listener.app.go.set()
        assert statuses(raw.read_all()) == [200, 200]
    assert listener.app.asked == [("/wait", b""), ("/hello", b"")]


def test_too_many_requests_ahead_end_the_connection_after_those_that_fit(listen: Listen) -> None:
    listener = listen(pipelined=3)
    with Raw(listener.port) as raw:
        raw.send(GET.replace(b"hello", b"wait"), GET * 10)
        wait_until(lambda: listener.app.asked)
        listener.app.go.set()
        assert statuses(raw.read_all()) == [200] * 4


def test_past_the_cap_connections_are_refused_and_open_ones_go_on(listen: Listen) -> None:
    listener = listen(connections=2)
    wait = GET.replace(b"hello", b"wait").replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    with Raw(listener.port) as one, Raw(listener.port) as two:
        one.send(wait)
        two.send(wait)
        wait_until(lambda: len(listener.app.asked) == 2)
        with Raw(listener.port) as third:
            answer = third.send(GET).read_all()
        assert statuses(answer) == [503]
        assert b"retry-after: 1" in answer
        listener.app.go.set()
        assert statuses(one.read_all()) == statuses(two.read_all()) == [200]
    wait_until(lambda: listener.open == 0)
    with Raw(listener.port) as again:
        assert statuses(again.send(GET).read_until(b"hello")) == [200]


def test_an_idle_connection_makes_room_for_a_new_one(listen: Listen) -> None:
    listener = listen(connections=1)
    with Raw(listener.port) as idle:
        assert statuses(idle.send(GET).read_until(b"hello")) == [200]
        with Raw(listener.port) as new:
            assert statuses(new.send(GET).read_until(b"hello")) == [200]
        assert idle.read_all() == b""


def test_the_connection_that_has_asked_for_nothing_longest_makes_room(listen: Listen) -> None:
    listener = listen(connections=3, silent_s=0)
    with Raw(listener.port) as silent, Raw(listener.port) as slow, Raw(listener.port) as asking:
        wait_until(lambda: listener.open == 3)
        slow.send(GET[:20])
        asking.send(GET.replace(b"hello", b"wait"))
        wait_until(lambda: listener.app.asked)
        with Raw(listener.port) as one, Raw(listener.port) as two:
            assert statuses(one.send(GET).read_until(b"hello")) == [200]
            assert silent.read_all() == b""
            assert statuses(two.send(GET).read_until(b"hello")) == [200]
            assert statuses(slow.read_until(b"}}")) == [503]
            listener.app.go.set()
            assert statuses(asking.read_until(b"hello")) == [200]


def test_who_has_just_come_is_given_time_to_ask(listen: Listen) -> None:
    listener = listen(connections=1, silent_s=20)
    with Raw(listener.port) as one, Raw(listener.port) as two:
        assert statuses(two.send(GET).read_all()) == [503]
        assert statuses(one.send(GET).read_until(b"hello")) == [200]


def test_a_connection_whose_client_takes_no_answer_is_not_forgotten(listen: Listen) -> None:
    """Its answer would wait on without a place that counts."""
    listener = listen(connections=1)
    with Raw(listener.port, receive_bytes=4096) as lazy:
        lazy.send(b"GET /big HTTP/1.1\r\nHost: x\r\n\r\n")
        wait_until(lambda: listener.app.asked)
        with Raw(listener.port) as new:
            assert statuses(new.send(GET).read_all()) == [503]
        assert listener.open == 1


@pytest.fixture
def crowd(listen: Listen) -> Iterator[Listener]:
    """A listener without room: both of its connections are being answered."""
    listener = listen(connections=2, spare=4, spare_s=20)
    with Raw(listener.port) as one, Raw(listener.port) as two:
        for raw in (one, two):
            raw.send(GET.replace(b"hello", b"wait"))
        wait_until(lambda: len(listener.app.asked) == 2)
        yield listener


@pytest.mark.parametrize("path", [b"/livez", b"/readyz", b"/health"])
def test_a_probe_is_answered_where_there_is_no_room(crowd: Listener, path: bytes) -> None:
    silent = [Raw(crowd.port) for _ in range(20)]
    with Raw(crowd.port) as raw:
        assert statuses(raw.send(GET.replace(b"/hello", path)).read_all()) == [200]
    gone = [statuses(raw.read_until(b"}}")) for raw in silent[:17]]
    assert gone == [[503]] * 17  # the last four wait for somebody who comes after them
    for raw in silent:
        raw.socket.close()


@pytest.mark.parametrize("path", [b"/hello", b"/livezz", b"/livez?x", b"/wait"])
def test_nobody_else_is(crowd: Listener, path: bytes) -> None:
    with Raw(crowd.port) as raw:
        answer = raw.send(GET.replace(b"/hello", path)).read_all()
    assert statuses(answer) == [503]
    assert b"retry-after: 1" in answer
    assert len(crowd.app.asked) == 2


def test_probes_that_are_slow_themselves_are_no_more_than_the_places(crowd: Listener) -> None:
    crowd.app.slow_probes = True
    asked = [Raw(crowd.port).send(GET.replace(b"hello", b"livez")) for _ in range(4)]
    wait_until(lambda: len(crowd.app.asked) == 6)
    with Raw(crowd.port) as raw:
        assert statuses(raw.send(GET.replace(b"hello", b"livez")).read_all()) == [503]
    crowd.app.go.set()
    for raw in asked:
        assert statuses(raw.read_all()) == [200]
        raw.socket.close()


def test_who_keeps_a_spare_place_waiting_loses_it(listen: Listen) -> None:
    listener = listen(connections=1, spare_s=0.1)
    with Raw(listener.port) as one, Raw(listener.port) as silent:
        one.send(GET.replace(b"hello", b"wait"))
        assert statuses(silent.send(GET[:9]).read_all()) in ([503], [])


def test_a_client_that_leaves_takes_back_all_that_it_asked(listen: Listen) -> None:
    listener = listen()
    with Raw(listener.port) as raw:
        raw.send(GET.replace(b"hello", b"stay"), GET)
        wait_until(lambda: listener.app.asked)
    wait_until(lambda: listener.app.left == 1)
    assert listener.app.asked == [("/stay", b"")]


# --- what is confused ---


@pytest.mark.parametrize("rest", [b"\x00\x01garbage\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n"])
def test_garbage_after_a_request_does_not_spoil_its_answer(listen: Listen, rest: bytes) -> None:
    listener = listen()
    with Raw(listener.port) as raw:
        raw.send(GET.replace(b"hello", b"wait"), rest, GET)
        wait_until(lambda: listener.app.asked)
        listener.app.go.set()
        assert statuses(raw.read_all()) == [200]
    assert listener.app.asked == [("/wait", b"")]


def test_a_bad_chunk_ends_the_request_that_it_belongs_to(listen: Listen) -> None:
    listener = listen(linger_s=0.5)
    with Raw(listener.port) as raw:
        raw.send(HEAD, b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
        raw.send(b"zz\r\n", GET)
        assert statuses(raw.read_all()) == [400]
    wait_until(lambda: listener.app.left == 1)
    assert listener.app.asked == []


def test_a_bad_chunk_in_a_waiting_request_leaves_those_before_it_alone(listen: Listen) -> None:
    listener = listen()
    chunked = HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nzz\r\n"
    with Raw(listener.port) as raw:
        raw.send(GET.replace(b"hello", b"wait"), GET, chunked)
        wait_until(lambda: listener.app.asked)
        listener.app.go.set()
        assert statuses(raw.read_all()) == [200, 200]
    assert listener.app.asked == [("/wait", b""), ("/hello", b"")]


NO_PORT = b"GET http://x:99999/ HTTP/1.1\r\nHost: x:99999\r\n\r\n"


def test_a_target_that_cannot_be_read_is_refused_like_any_other(listen: Listen) -> None:
    listener = listen()
    with Raw(listener.port) as raw:
        assert statuses(raw.send(NO_PORT).read_all()) == [400]
    with Raw(listener.port) as raw:
        raw.send(GET.replace(b"hello", b"wait"), NO_PORT)
        wait_until(lambda: listener.app.asked)
        listener.app.go.set()
        assert statuses(raw.read_all()) == [200]
    assert (listener.app.asked, listener.app.left) == ([("/wait", b"")], 0)


def test_nothing_is_read_after_a_request_that_closes(listen: Listen) -> None:
    listener = listen()
    with Raw(listener.port) as raw:
        raw.send(GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"), GET)
        assert statuses(raw.read_all()) == [200]
    assert len(listener.app.asked) == 1
