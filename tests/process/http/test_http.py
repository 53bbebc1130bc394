"""Raw bytes at the listener of a whole edge-serve: what is no clean HTTP never becomes a request.

The kinds of malformed requests are those that gunicorn's test suite collects, and some more.
"""

from __future__ import annotations

import contextlib
import random
import re
import socket
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psutil
import pytest

from ipc.messages.control import AccessConfig
from tests.process.box import CHAT, EMBED, SPEECH, Box, MakeBox, spec, wait_until
from tests.process.http.malformed import (
    BODY,
    BROKEN_OFF,
    CHUNKED,
    GUNICORN,
    HELLO,
    POST,
    REFUSED,
    SERVED,
    SMUGGLED,
    TE,
    get,
    post,
)
from tests.process.http.raw_http import Raw, statuses

MIB = 1 << 20


@pytest.fixture(scope="module")
def box(module_box: MakeBox) -> Box:
    return module_box(
        spec(CHAT, slots=4), spec(EMBED), spec(SPEECH), max_json_bytes=MIB, max_audio_bytes=MIB
    ).wait_ready()


def rss(box: Box) -> int:
    """The frontend's resident memory in bytes."""
    return int(psutil.Process(box.health()["frontend"]["pid"]).memory_info().rss)


# --- one request is one request ---


@pytest.mark.parametrize("request_bytes", REFUSED.values(), ids=REFUSED.keys())
def test_refused_and_nothing_after_it_is_read(box: Box, request_bytes: bytes) -> None:
    with Raw(box.port) as raw:
        raw.send(request_bytes, SMUGGLED)
        raw.socket.shutdown(socket.SHUT_WR)
        answer = raw.read_all()
    assert b'"object":"list"' not in answer
    found = statuses(answer)
    assert len(found) <= 1
    assert all(400 <= status < 500 for status in found)
    assert all(part in answer for part in (b'"error"', b"x-request-id") if found)


@pytest.mark.parametrize("request_bytes", SERVED.values(), ids=SERVED.keys())
def test_served_and_so_is_the_next(box: Box, request_bytes: bytes) -> None:
    last = SMUGGLED.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    with Raw(box.port) as raw:
        assert statuses(raw.send(request_bytes, last).read_all()) == [200, 200]


def test_no_kind_of_gunicorns_suite_is_missing() -> None:
    assert len(GUNICORN) == 74
    refused = set(GUNICORN.values()) - {"proxies that contradict each other"}
    assert refused <= {*REFUSED, *BROKEN_OFF}


@pytest.mark.parametrize("part", BROKEN_OFF.values(), ids=BROKEN_OFF.keys())
def test_what_breaks_off_is_no_request(box: Box, part: bytes) -> None:
    with Raw(box.port) as raw:
        raw.send(part)
        raw.socket.shutdown(socket.SHUT_WR)
        assert b'"object":"list"' not in raw.read_all()


def test_mutated_requests_neither_hang_nor_break_it(box: Box) -> None:
    """Several of the above behind each other, some bytes changed, the same ones in each run."""
    draw = random.Random(7)
    whole = [one for one in (*REFUSED.values(), *SERVED.values(), SMUGGLED) if len(one) < 5000]
    before, pid = len(box.lines()), box.health()["frontend"]["pid"]
    for _ in range(500):
        data = bytearray(b"".join(draw.choices(whole, k=draw.randint(1, 4))))
        for _ in range(draw.randint(0, 4)):
            at, other = draw.randrange(len(data)), draw.randrange(len(data))
            data[at : at + draw.randint(0, 8)] = data[other : other + draw.randint(0, 8)]
            data[draw.randrange(len(data))] = draw.randrange(256)
        with Raw(box.port) as raw:
            raw.send(data[:100]).send(data[100:])
            with contextlib.suppress(OSError):
                raw.socket.shutdown(socket.SHUT_WR)
            assert all(status < 500 for status in statuses(raw.read_all())), bytes(data)
    assert box.health()["frontend"]["pid"] == pid
    assert not [line for line in box.lines()[before:] if "ERROR" in line]


# --- bounds ---


def test_a_header_of_a_mebibyte_leaves_no_trace(box: Box) -> None:
    def ask() -> None:
        with Raw(box.port) as raw:
            answer = raw.send(b"GET / HTTP/1.1\r\nX: ", b"y" * MIB, b"\r\n\r\n").read_all()
        assert statuses(answer) == [431]

    # The allocator has what it needs for one after a few.
    for _ in range(5):
        ask()
    grown = []
    for _ in range(4):  # a process grows for other reasons too, but not each time
        before = rss(box)
        for _ in range(20):
            ask()
        grown.append(rss(box) - before)
    assert min(grown) < MIB


@pytest.mark.parametrize("senders", [2, 4])
@pytest.mark.parametrize(
    ("start", "part"),
    [
        pytest.param(b"0\r\nX: ", b"y" * 4096, id="its value"),
        pytest.param(b"0\r\n", b"y" * 4096, id="its name"),
        pytest.param(b"", b"1;a=" + b"y" * 4090 + b"\r\nz\r\n", id="extensions of chunks"),
    ],
)
def test_a_trailer_that_never_ends_is_cut_off(
    box: Box, start: bytes, part: bytes, senders: int
) -> None:
    """Two such connections once stopped the loop, four ended the server."""
    pid = box.health()["frontend"]["pid"]

    def send(_: int) -> bytes:
        with Raw(box.port) as raw:
            raw.send(CHUNKED, HELLO, start)
            for _ in range(4 * MIB // len(part)):
                raw.send(part)
            return raw.read_until(b"}}")

    with ThreadPoolExecutor(senders) as pool:
        sending = [pool.submit(send, number) for number in range(senders)]
        asked = 0
        while asked == 0 or not all(each.done() for each in sending):
            assert box.ask("/livez") == 200
            asked += 1
    assert [statuses(each.result()) for each in sending] == [[431]] * senders
    assert box.health()["frontend"]["pid"] == pid


@pytest.mark.parametrize(
    ("fields", "sent"),
    [
        pytest.param([b"Content-Length: %d" % (1 << 40)], b"", id="declared, and nothing sent"),
        pytest.param([b"Content-Length: %d" % (2 * MIB)], b"x" * 2 * MIB, id="declared and sent"),
        pytest.param(
            [TE + b"chunked"], b"100000\r\n" + b"x" * MIB + b"\r\n" * 1 + b"9\r\n", id="undeclared"
        ),
    ],
)
def test_a_body_past_the_limit_is_413_even_to_a_client_that_reads_last(
    box: Box, fields: list[bytes], sent: bytes
) -> None:
    with Raw(box.port) as raw:
        raw.send(post(*fields, body=b""), sent, b"x" * 9)
        answer = raw.read_until(b"}}")
    assert statuses(answer) == [413]
    assert b"connection: close" in answer


def test_a_length_that_is_too_small_makes_no_request_of_the_rest(box: Box) -> None:
    with Raw(box.port) as raw:
        raw.send(post(b"Content-Length: %d" % (len(BODY) - 1)), SMUGGLED)
        answer = raw.read_all()
    assert statuses(answer)[0] == 400  # broken JSON; what is left begins with "}GET"
    assert set(statuses(answer)) == {400}
    assert b'"object":"list"' not in answer


def test_a_client_that_half_closes_has_left(box: Box) -> None:
    body = b'{"model": "echo/chat", "messages": [{"role": "user", "content": "/slow 100 %s"}]}'
    body %= b"word " * 100
    request = POST.replace(b"embeddings", b"chat/completions")
    with Raw(box.port) as raw:
        raw.send(request, b"Content-Length: %d\r\n\r\n" % len(body), body)
        wait_until(lambda: box.queue(CHAT)["in_flight"] == 1)
        raw.socket.shutdown(socket.SHUT_WR)
        raw.read_all()
        wait_until(lambda: box.queue(CHAT)["in_flight"] == 0)


def test_past_the_cap_there_is_503_but_for_probes_while_streams_go_on(make_box: MakeBox) -> None:
    box = make_box(spec(CHAT, slots=4), gate=AccessConfig(max_connections=3)).wait_ready()
    streams = [_stream(box.port, "/slow 100 " + "word " * 60) for _ in range(3)]
    begun = [raw.read_until(b"word") for raw in streams]
    silent = [Raw(box.port) for _ in range(40)]
    assert _asks(box.port) == [503]
    probes = [SMUGGLED.replace(b"/v1/models", path) for path in (b"/livez", b"/readyz", b"/health")]
    for probe in probes:  # the last two ask the supervisor, which may be late
        wait_until(lambda: _asks(box.port, probe) == [200])  # noqa: B023
    for raw, start in zip(streams, begun, strict=True):
        assert b"[DONE]" in start + raw.read_all()
    wait_until(lambda: _asks(box.port) == [200])
    for raw in (*streams, *silent):
        raw.socket.close()


def test_silent_connections_keep_nobody_out(make_box: MakeBox) -> None:
    box = make_box(spec(CHAT), gate=AccessConfig(max_connections=64)).wait_ready()
    silent = [Raw(box.port) for _ in range(200)]
    assert box.ask("/livez") == 200
    wait_until(lambda: _asks(box.port) == [200])
    assert box.chat("hello").status_code == 200
    for raw in silent:
        raw.socket.close()


def _asks(port: int, request: bytes = SMUGGLED) -> list[int]:
    with Raw(port) as raw:
        return statuses(raw.send(request).read_until(b"}"))


def _stream(port: int, text: str) -> Raw:
    body = (
        b'{"model": "echo/chat", "stream": true, "messages": [{"role": "user", "content": "%s"}]}'
    )
    body %= text.encode()
    request = POST.replace(b"embeddings", b"chat/completions") + b"Connection: close\r\n"
    return Raw(port).send(request, b"Content-Length: %d\r\n\r\n" % len(body), body)


# --- names are names, lines are lines ---

CRLF = "x\r\nlevel=fake status=200"
ANSI = "\x1b[31mred\x1b[2J"
NAMES = ["../../etc/passwd", "%2e%2e/%2e%2e/etc/passwd", "/etc/passwd", "..\\..\\x", CRLF, ANSI]


@pytest.fixture(scope="module", params=["text", "json"])
def logging_box(module_box: MakeBox, request: pytest.FixtureRequest) -> Box:
    return module_box(spec(EMBED), spec(SPEECH), log_format=request.param).wait_ready()


# What it says by itself, at the end of its start or of a moment in which it got no processor.
BY_SUPERVISOR = re.compile(r'^\S+ \S+ \w+ +supervisor: |"process": "supervisor"|^curl ')


def lines_of(box: Box, before: int, count: int) -> list[str]:
    """All lines of the log since there were ``before``, once ``count`` are there; but for those of
    the supervisor, which knows nothing of requests."""

    def found() -> list[str]:
        return [line for line in box.lines()[before:] if not BY_SUPERVISOR.search(line)]

    wait_until(lambda: len(found()) >= count)
    return found()


@pytest.mark.parametrize("name", NAMES, ids=repr)
def test_a_model_name_is_looked_up_and_nothing_else(logging_box: Box, name: str) -> None:
    before = len(logging_box.lines())
    answer = logging_box.embed("x", model=name)
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "model_not_found")
    form: Any = {"data": {"model": name}, "files": {"file": (name, b"RIFF")}}
    answer = logging_box.client.post("/v1/audio/transcriptions", **form)
    assert answer.status_code == 404
    _one_clean_line_each(lines_of(logging_box, before, 2), 2)


@pytest.mark.parametrize("name", NAMES, ids=repr)
def test_a_file_name_is_never_used(logging_box: Box, name: str) -> None:
    before = len(logging_box.lines())
    form: Any = {"data": {"model": SPEECH}, "files": {"file": (name, b"RIFF")}}
    assert logging_box.client.post("/v1/audio/transcriptions", **form).status_code == 200
    (line,) = lines_of(logging_box, before, 1)
    assert "passwd" not in line
    _one_clean_line_each([line], 1)


@pytest.mark.parametrize(
    "target",
    [
        b"/v1/models/../../../etc/passwd",
        b"/v1/models/%2e%2e%2f%2e%2e%2fetc%2fpasswd",
        b"/v1/models/%00",
        b"/v1/models/x%0d%0alevel=fake",
        b"/v1/models/%1b%5b31mred",
        b"/static/..%5c..%5cetc/passwd",
        b"/v1/models/%ff%fe",
        b"/%e2%80%a8line",
    ],
    ids=repr,
)
def test_a_path_leads_to_routes_only(logging_box: Box, target: bytes) -> None:
    before = len(logging_box.lines())
    with Raw(logging_box.port) as raw:
        answer = raw.send(get(b"Connection: close", target=target)).read_all()
    assert statuses(answer) == [404]
    assert b"root:" not in answer
    _one_clean_line_each(lines_of(logging_box, before, 1), 1)


@pytest.mark.parametrize(
    "field",
    [
        b"x-request-id: \x1b[31mred",
        b"x-request-id: a\nlevel=fake",
        b"x-request-id: " + b"y" * 200,
        b"x-request-id: \xe2\x80\xa8fake",
        b"User-Agent: \xff\xfe level=fake",
    ],
    ids=repr,
)
def test_a_header_makes_no_line_of_its_own(logging_box: Box, field: bytes) -> None:
    before = len(logging_box.lines())
    with Raw(logging_box.port) as raw:
        answer = raw.send(get(field, b"Connection: close", target=b"/v1/models")).read_all()
    assert statuses(answer) in ([200], [400])
    _one_clean_line_each(lines_of(logging_box, before, 1), 1)


def _one_clean_line_each(found: list[str], count: int) -> None:
    assert len(found) == count
    for line in found:
        assert line.isprintable()
        assert not line.startswith(("level=fake", "fake"))
