"""Raw bytes at the listener of a whole edge-serve: what is no clean HTTP never becomes a request.

The kinds of malformed requests are those that gunicorn's test suite collects, and some more.
"""

from __future__ import annotations

import contextlib
import random
import socket
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psutil
import pytest
from conftest import CHAT, EMBED, SPEECH, Box, MakeBox, spec, wait_until
from raw_http import Raw, statuses

from ipc.control import Gate

MIB = 1 << 20
# What an attacker would have answered as somebody else's request.
SMUGGLED = b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\n\r\n"
POST = b"POST /v1/embeddings HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
BODY = b'{"model": "echo/embed", "input": "x"}'
HELLO = b"25\r\n" + BODY + b"\r\n"


def get(*fields: bytes, target: bytes = b"/livez", version: bytes = b"HTTP/1.1") -> bytes:
    """A GET whose `Host` is right, with ``fields``."""
    lines = (b"GET " + target + b" " + version, b"Host: localhost", *fields)
    return b"\r\n".join(lines) + b"\r\n\r\n"


def line(request_line: bytes) -> bytes:
    return request_line + b"\r\nHost: localhost\r\n\r\n"


def post(*fields: bytes, body: bytes = BODY) -> bytes:
    return POST + b"".join(field + b"\r\n" for field in fields) + b"\r\n" + body


LENGTH = b"Content-Length: %d" % len(BODY)
TE = b"Transfer-Encoding: "

REFUSED = {
    # request lines
    "no target": line(b"GET HTTP/1.1"),
    "a line for each word": b"GET\n/livez\nHTTP/1.1\r\nHost: localhost\r\n\r\n",
    "bare LF after the request line": b"GET /livez HTTP/1.1\nHost: localhost\r\n\r\n",
    "bare CR after the request line": b"GET /livez HTTP/1.1\rHost: localhost\r\n\r\n",
    "two spaces before the version": line(b"GET /livez  HTTP/1.1 x"),
    "a tab for a space": line(b"GET\t/livez HTTP/1.1"),
    "colon in the method": line(b"bla:rgh /livez HTTP/1.1"),
    "colon after the method": line(b"GET: /livez HTTP/1.1"),
    "method starts with a dash": line(b"-bl /livez HTTP/1.1"),
    "lowercase method": line(b"get /livez HTTP/1.1"),
    "unknown method": line(b"BREW /livez HTTP/1.1"),
    "NUL after the method": line(b"GET\x00 /livez HTTP/1.1"),
    "NUL inside the method": line(b"GET\x00PROXY /livez HTTP/1.1"),
    "method with sharp s": line(b"GET\xdf /livez HTTP/1.1"),
    "method with y diaeresis": line(b"GET\xff /livez HTTP/1.1"),
    "proxy protocol": b"PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n" + get(),
    "proxy protocol, a number too large": b"PROXY TCP4 1.1.1.1 2.2.2.2 65iii 100000\r\n" + get(),
    "proxy protocol, not an address": b"PROXY TCP4 not-an-ip 2.2.2.2 1 443\r\n" + get(),
    "CONNECT": line(b"CONNECT localhost:443 HTTP/1.1"),
    "HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    # targets
    "relative target": get(target=b"livez"),
    "authority as target": get(target=b"localhost:443"),
    "asterisk with GET": get(target=b"*"),
    "foreign scheme": get(target=b"s://]ufd/:"),
    "user in the target": get(target=b"http://a@localhost/livez"),
    "NUL in the target": get(target=b"/liv\x00ez"),
    "raw bytes in the target": get(target=b"/caf\xe9"),
    "target too long": get(target=b"/" + b"q" * 9000),
    # versions
    "other protocol": get(version=b"FTP/1.1"),
    "no dot": get(version=b"HTTP/111"),
    "endless version": get(version=b"HTTP/" + b"1" * 64 + b".1"),
    "HTTP/0.9": get(version=b"HTTP/0.9"),
    "HTTP/0.99": get(version=b"HTTP/0.99"),
    "HTTP/2.0": get(version=b"HTTP/2.0"),
    "HTTP/1.2": get(version=b"HTTP/1.2"),
    "lowercase version": get(version=b"http/1.1"),
    # names and values
    "NUL in a name": get(b"ba\x00z: bar"),
    "space before the colon": get(b"Content-Length : 3") + b"xyz",
    "space before the name": get(b" X-First: 1"),
    "no colon": get(b"X-Nothing"),
    "empty name": get(b": x"),
    "sharp s in a name": get(b"Content-Length\xdf: 3", b"Content-Length: 3") + b"xyz",
    "y diaeresis in a name": get(b"Content-Length\xff: 3", b"Content-Length: 3") + b"xyz",
    "bracket in a name": get(b"X[0]: 1"),
    "folded line": get(b"Long: one\r\n two"),
    "folded empty value": get(b"Accept:\r\n */*"),
    "folded with a tab": get(b"Long: one\r\n\ttwo"),
    "bell in a value": get(b"X: plain\x07injected"),
    "DEL in a value": get(b"X: plain\x7finjected"),
    "NUL in a value": get(b"X: plain\x00injected"),
    "bare LF in a value": get(b"X: a\nContent-Length: 44"),
    "bare CR in a value": get(b"X: a\rContent-Length: 44"),
    "bare LF ends the head": b"GET /livez HTTP/1.1\r\nHost: localhost\r\nX: 1\n\n",
    "underscore for a dash in a length": get(b"Content_Length: -1E23", b"Content-Length: 0"),
    "underscore for a dash in an encoding": post(b"Transfer_Encoding: chunked", LENGTH),
    "two content types": post(b"Content-Type: text/html", LENGTH),
    "two hosts": get(b"Host: evil.example"),
    "no host": b"GET /livez HTTP/1.1\r\nAccept: */*\r\n\r\n",
    "host with a path": b"GET /livez HTTP/1.1\r\nHost: localhost/x\r\n\r\n",
    "host with a fragment": b"GET /v1/models HTTP/1.1\r\nHost: x/#@localhost\r\n\r\n",
    "two authorizations": get(b"Authorization: Bearer a", b"Authorization: Bearer b"),
    "101 headers": get(*(b"header%d: %d" % (n, n) for n in range(100))),
    "one header too long": get(b"Long-header: " + b"0" * 40_000),
    "headers too long together": get(*(b"header%d: " % n + b"y" * 4000 for n in range(9))),
    "header without a value, too long": get(b"y" * 40_000 + b":"),
    # lengths
    "negative length": post(b"Content-Length: -1"),
    "length in words": post(b"Content-Length: bla-bla-bla"),
    "minus zero": post(b"Content-Length: -0"),
    "underscore in a length": post(b"Content-Length: 3_7"),
    "plus sign": post(b"Content-Length: +37"),
    "hexadecimal length": post(b"Content-Length: 0x25"),
    "two numbers": post(b"Content-Length: 37 1"),
    "a list of one length": post(b"Content-Length: 37, 37"),
    "no length": post(b"Content-Length:"),
    "a length past 64 bits": post(b"Content-Length: 18446744073709551653"),
    "two lengths": post(b"Content-Length: 3", LENGTH),
    "two equal lengths": post(LENGTH, LENGTH),
    # codings
    "CL.TE": post(b"Content-Length: 3", TE + b"chunked", body=b"0\r\n\r\n"),
    "TE.CL": post(TE + b"chunked", b"Content-Length: 4", body=b"5c\r\nx\r\n0\r\n\r\n"),
    "TE.TE": post(TE + b"chunked", TE + b"identity", body=HELLO),
    "TE.TE, a false one": post(TE + b"chunked", TE + b"x", body=HELLO),
    "chunked twice": post(TE + b"identity", TE + b"chunked", TE + b"chunked", body=HELLO),
    "chunked twice in one": post(TE + b"identity, chunked, identity, chunked", body=HELLO),
    "chunked is not last": post(TE + b"chunked", TE + b"gzip", body=HELLO),
    "gzip before chunked": post(TE + b"gzip, chunked", body=HELLO),
    "identity": post(TE + b"identity", body=HELLO),
    "quoted chunked": post(TE + b'"chunked"', body=HELLO),
    "vertical tab before chunked": post(TE + b"\x0bchunked", body=HELLO),
    "HTTP/1.0 with chunks": CHUNKED.replace(b"HTTP/1.1", b"HTTP/1.0") + HELLO + b"0\r\n\r\n",
    # chunks
    "underscore in a size": CHUNKED + b"2_5\r\n" + BODY + b"\r\n0\r\n\r\n",
    "space after a size": CHUNKED + HELLO + b"0 \r\n\r\n",
    "space before a size": CHUNKED + HELLO + b" 0\r\n\r\n",
    "bare LF after a size": CHUNKED + b"25\n;\r\n" + BODY + b"\r\n0\r\n\r\n",
    "an extension without a size": CHUNKED + b" ;foo=bar\r\n" + BODY + b"\r\n0\r\n\r\n",
    "no size": CHUNKED + b"\r\n" + BODY + b"\r\n0\r\n\r\n",
    "bare CR in an extension": CHUNKED + b"25;ext=val\rue\r\n" + BODY + b"\r\n0\r\n\r\n",
    "bare LF in an extension": CHUNKED + b"25;ext=val\nue\r\n" + BODY + b"\r\n0\r\n\r\n",
    "minus sign in a size": CHUNKED + b"-25\r\n" + BODY + b"\r\n0\r\n\r\n",
    "plus sign in a size": CHUNKED + b"+25\r\n" + BODY + b"\r\n0\r\n\r\n",
    "0x in a size": CHUNKED + b"0x25\r\n" + BODY + b"\r\n0\r\n\r\n",
    "a size past 64 bits": CHUNKED + b"10000000000000025\r\n" + BODY + b"\r\n0\r\n\r\n",
    "more bytes than the size": CHUNKED + b"3\r\n" + BODY + b"\r\n0\r\n\r\n",
    "bare LF after a chunk": CHUNKED + b"25\r\n" + BODY + b"\n0\r\n\r\n",
    "a length in the trailer": CHUNKED + HELLO + b"0\r\nContent-Length: 99\r\n\r\n",
    "a host in the trailer": CHUNKED + HELLO + b"0\r\nHost: evil.example\r\n\r\n",
    "an encoding in the trailer": CHUNKED + HELLO + b"0\r\nTransfer-Encoding: chunked\r\n\r\n",
    "a key in the trailer": CHUNKED + HELLO + b"0\r\nAuthorization: Bearer x\r\n\r\n",
    "a folded trailer": CHUNKED + HELLO + b"0\r\nX: a\r\n b\r\n\r\n",
    "bare LF for the end": CHUNKED + HELLO + b"0\r\n\n",
}

SERVED = {
    "a plain request": post(LENGTH),
    "chunks": CHUNKED + HELLO + b"0\r\n\r\n",
    "chunks with an extension and a trailer": CHUNKED
    + HELLO.replace(b"25", b"25;a=b", 1)
    + b"0\r\nX-Sum: 1\r\n\r\n",
    "whole URL as target": post(LENGTH).replace(b" /v1", b" http://localhost/v1"),
    "an empty line before": b"\r\n" + post(LENGTH),
    "headers of a proxy that nobody trusts": post(
        b"X-Forwarded-Proto: https", b"X-Forwarded-Ssl: off", b"X-Forwarded-For: ::1", LENGTH
    ),
    "latin-1 in a value": post(b"X-Name: M\xfcller", LENGTH),
}


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


@pytest.mark.parametrize(
    "part",
    [b"GET /v1/models HTTP/1.1\r\nHo", CHUNKED + HELLO + b"0\r\n", post(LENGTH, body=BODY[:-1])],
    ids=["half a head", "no final line", "half a body"],
)
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

    ask()
    before = rss(box)
    for _ in range(20):
        ask()
    assert rss(box) - before < MIB


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


def test_past_the_cap_there_is_503_while_streams_go_on(make_box: MakeBox) -> None:
    box = make_box(spec(CHAT, slots=4), gate=Gate(max_connections=3)).wait_ready()
    with ThreadPoolExecutor(2) as pool:
        text = "/slow 100 " + "word " * 20
        streams = [pool.submit(_stream, box.port, text) for _ in range(2)]
        wait_until(lambda: box.queue(CHAT)["in_flight"] == 2)
        box.client.close()
        held = [Raw(box.port) for _ in range(40)]
        refused = sum(statuses(raw.read_until(b"}}")) == [503] for raw in held[1:])
        for raw in held:
            raw.socket.close()
        assert refused == len(held) - 1
        assert all(b"[DONE]" in stream.result() for stream in streams)
    wait_until(lambda: _asks(box.port) == [200])


def _asks(port: int) -> list[int]:
    with Raw(port) as raw:
        return statuses(raw.send(SMUGGLED).read_until(b"}"))


def _stream(port: int, text: str) -> bytes:
    body = (
        b'{"model": "echo/chat", "stream": true, "messages": [{"role": "user", "content": "%s"}]}'
    )
    body %= text.encode()
    request = POST.replace(b"embeddings", b"chat/completions") + b"Connection: close\r\n"
    with Raw(port) as raw:
        return raw.send(request, b"Content-Length: %d\r\n\r\n" % len(body), body).read_all()


# --- names are names, lines are lines ---

CRLF = "x\r\nlevel=fake status=200"
ANSI = "\x1b[31mred\x1b[2J"
NAMES = ["../../etc/passwd", "%2e%2e/%2e%2e/etc/passwd", "/etc/passwd", "..\\..\\x", CRLF, ANSI]


@pytest.fixture(scope="module", params=["text", "json"])
def logging_box(module_box: MakeBox, request: pytest.FixtureRequest) -> Box:
    return module_box(spec(EMBED), spec(SPEECH), log_format=request.param).wait_ready()


def lines_of(box: Box, before: int, count: int) -> list[str]:
    wait_until(lambda: len(box.lines()) >= before + count)
    return box.lines()[before:]


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
