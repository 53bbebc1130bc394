"""Who is turned away at the door, and that all others are let in."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Mapping
from typing import Any, cast

import orjson
import pytest
import uvicorn
from starlette.testclient import TestClient
from starlette.types import Receive, Scope, Send
from uvicorn.server import ServerState

from frontend.access_log import Record
from frontend.app import build
from frontend.dispatch.budget import Budget
from frontend.dispatch.dispatcher import Dispatcher
from frontend.http.access import host_guards, key_guards
from frontend.listener.connection import Bounds, protocol
from frontend.listener.early_refusal import MAX_BODY_BYTES, MAX_FIELDS, Door
from frontend.metrics import Metrics
from frontend.routes import POLLED
from ipc.messages.control import Gate
from ipc.messages.errors import QueueFull
from ipc.messages.jobs import Task
from ipc.messages.spec import Spec
from tests.unit.frontend.http_fakes import CHAT, EMBED, FakeControl, limits, report

KEY = "sk-key-of-the-test"
GATE = Gate(api_keys={"ann": hashlib.sha256(KEY.encode()).hexdigest()}, hosts=["box.lan"])
BODY = orjson.dumps({"model": CHAT.name, "messages": [{"role": "user", "content": "hi"}]})


ALIAS = "gpt-4o"


class FullDispatcher:
    """Its chat model has no room, its embedding model has."""

    draining = False
    over_capacity = True
    specs = {spec.name: spec for spec in (CHAT, EMBED)}

    def __init__(self) -> None:
        self.turned_away: list[str] = []

    def is_full(self, name: str, task: Task) -> bool:
        return name in (CHAT.name, ALIAS) and task == "chat"

    def called(self, name: str) -> Spec | None:
        return self.specs.get(CHAT.name if name == ALIAS else name)

    def reject(self, spec: Spec) -> QueueFull:
        self.turned_away.append(spec.name)
        return QueueFull(f"model {spec.name!r} is busy", retry_after_s=2.5)


def door(fake: FullDispatcher | None = None, gate: Gate | None = None) -> Door:
    dispatcher = cast(Dispatcher, fake or FullDispatcher())
    metrics = Metrics(dispatcher, cast(Any, FakeControl(report(chat="ready"))), Budget(0))
    guards = [*host_guards(gate), *key_guards(gate)] if gate else []
    return Door(dispatcher, guards, Record(metrics, POLLED))


def request(
    body: bytes = BODY,
    path: str = "/v1/chat/completions",
    start: str = "POST {} HTTP/1.1",
    headers: Mapping[str, str] | None = None,
    **named: str,
) -> bytes:
    fields = {"host": "box.lan", "content-type": "application/json"}
    fields |= {"content-length": str(len(body))}
    named |= headers or {}
    fields |= {name.replace("_", "-"): value for name, value in named.items()}
    lines = [start.format(path), *(f"{name}: {value}" for name, value in fields.items())]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def parsed(answer: bytes | int | None) -> tuple[bytes, dict[str, str], Any]:
    """An answer's first line, its fields and its body, which is all that there is."""
    assert isinstance(answer, bytes)
    head, _, body = answer.partition(b"\r\n\r\n")
    first, *lines = head.split(b"\r\n")
    fields = dict(line.decode().split(": ", 1) for line in lines)
    assert int(fields.pop("content-length")) == len(body)
    return first, fields, orjson.loads(body)


# --- turned away ---


def test_a_request_without_room_is_answered_429_with_an_appointment() -> None:
    fake = FullDispatcher()
    first, fields, body = parsed(door(fake).answer(request()))
    assert first == b"HTTP/1.1 429 Too Many Requests"
    assert fields.pop("x-request-id").startswith("req_")
    assert fields == {"retry-after": "3", "content-type": "application/json"}
    assert body["error"] == {
        "message": f"model {CHAT.name!r} is busy",
        "type": "rate_limit_error",
        "param": None,
        "code": "rate_limit_exceeded",
    }
    assert fake.turned_away == [CHAT.name]


@pytest.mark.parametrize(
    "headers",
    [
        {"connection": "keep-alive", "x_stainless_lang": "python", "accept": "*/*"},
        {"content_type": "Application/JSON; charset=utf-8"},
        {"x_empty": "-", "user_agent": "curl/8.0"},
        {"x_forwarded_proto": "https", "x_forwarded_ssl": "off"},
    ],
)
def test_what_clients_add_changes_nothing(headers: dict[str, str]) -> None:
    assert parsed(door().answer(request(headers=headers)))[0].endswith(b"Too Many Requests")


def test_what_the_server_says_with_every_answer_is_said_here_too() -> None:
    _, fields, _ = parsed(door().answer(request(), [(b"date", b"today")]))
    assert fields["date"] == "today"


def test_a_request_id_of_the_clients_own_is_kept() -> None:
    _, fields, _ = parsed(door().answer(request(x_request_id="mine-1")))
    assert fields["x-request-id"] == "mine-1"


def test_it_is_logged_and_counted_like_any_answer(caplog: pytest.LogCaptureFixture) -> None:
    one = door(gate=GATE)
    with caplog.at_level(logging.INFO):
        one.answer(request(x_request_id="mine-1", authorization=f"Bearer {KEY}"))
    (line,) = (vars(record) for record in caplog.records if record.name == "edge_serve.access")
    shown = {
        name: line[name] for name in ("method", "path", "status", "request_id", "key", "model")
    }
    assert shown == {
        "method": "POST",
        "path": "/v1/chat/completions",
        "status": 429,
        "request_id": "mine-1",
        "key": "ann",
        "model": CHAT.name,
    }
    assert line["error"] == "rate_limit_exceeded"


def test_an_alias_is_turned_away_as_the_model_that_it_names(
    caplog: pytest.LogCaptureFixture,
) -> None:
    fake = FullDispatcher()
    with caplog.at_level(logging.INFO):
        answer = door(fake).answer(request(BODY.replace(CHAT.name.encode(), ALIAS.encode())))
    assert parsed(answer)[0] == b"HTTP/1.1 429 Too Many Requests"
    assert fake.turned_away == [CHAT.name]
    (line,) = (vars(record) for record in caplog.records if record.name == "edge_serve.access")
    assert line["model"] == CHAT.name


def test_the_answer_is_the_one_of_the_application() -> None:
    dispatcher = cast(Any, FullDispatcher())
    dispatcher.spec = lambda name, _: dispatcher.specs[name]

    def submit(_id: str, spec: Any, *_: Any) -> Any:
        raise dispatcher.reject(spec)

    dispatcher.submit = submit
    control = cast(Any, FakeControl(report(chat="ready")))
    budget = Budget(0)
    app = build(dispatcher, control, limits(), Metrics(dispatcher, control, budget), budget)
    with TestClient(app) as client:
        theirs = client.post("/v1/chat/completions", json=orjson.loads(BODY))
    first, fields, body = parsed(door().answer(request()))
    assert int(first.split()[1]) == theirs.status_code
    assert body == theirs.json()
    assert fields.keys() | {"content-length"} == theirs.headers.keys()
    for name in fields.keys() - {"x-request-id"}:
        assert fields[name] == theirs.headers[name]


# --- let in ---

OTHER = orjson.dumps({"model": EMBED.name, "input": "hi"})


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(request(OTHER, "/v1/embeddings"), id="a model with room"),
        pytest.param(request(path="/v1/embeddings"), id="a model for something else"),
        pytest.param(request(b'{"model": "none"}'), id="no such model"),
        pytest.param(request(b'{"model": ["org/chat"]}'), id="a model that is no text"),
        pytest.param(request(b"{}"), id="no model"),
        pytest.param(request(b"[]"), id="no object"),
        pytest.param(request(b"{nonsense"), id="no JSON"),
        pytest.param(request(b""), id="no body"),
        pytest.param(request(b" " * (MAX_BODY_BYTES + 1)), id="a large body"),
        pytest.param(request(path="/v1/models"), id="another route"),
        pytest.param(request(path="/v1/chat/completions?x=1"), id="a query"),
        pytest.param(request(path="/v1/chat/%63ompletions"), id="an encoded path"),
        pytest.param(request(path="//v1/chat/completions"), id="another path"),
        pytest.param(request(path="http://box.lan/v1/chat/completions"), id="a whole address"),
        pytest.param(request(start="GET {} HTTP/1.1"), id="another method"),
        pytest.param(request(start="post {} HTTP/1.1"), id="a method in small letters"),
        pytest.param(request(start="POST {} HTTP/1.0"), id="HTTP/1.0"),
        pytest.param(request(start="POST  {} HTTP/1.1"), id="two spaces"),
        pytest.param(b"\r\n" + request(), id="an empty line before it"),
        pytest.param(request(content_type="text/plain"), id="another content type"),
        pytest.param(request(content_type="application/jsonl"), id="nearly the content type"),
        pytest.param(request(connection="close"), id="the last of its connection"),
        pytest.param(request(connection="keep-alive, upgrade"), id="a connection with options"),
        pytest.param(request(upgrade="h2c"), id="an upgrade"),
        pytest.param(request(transfer_encoding="chunked"), id="two framings"),
        pytest.param(request(expect="100-continue"), id="a client that waits for a go-ahead"),
        pytest.param(request(origin="http://page.example"), id="a web page"),
        pytest.param(request(content_length="+5"), id="a length with a sign"),
        pytest.param(request(content_length="1" * 99), id="a length beyond all"),
        pytest.param(request() + b"GET / HTTP/1.1\r\n", id="more behind it"),
        pytest.param(request().replace(b"host: box.lan\r\n", b""), id="no host"),
        pytest.param(request().replace(b"host", b"Host: a\r\nhost"), id="a field twice"),
        pytest.param(request(host="box.lan:80@evil"), id="a host with more behind it"),
        pytest.param(request(headers={f"x{n}": "y" for n in range(MAX_FIELDS)}), id="many fields"),
        pytest.param(request().replace(b"host:", b"host :"), id="a space before a colon"),
        pytest.param(request().replace(b"\r\n", b"\n"), id="bare line feeds"),
        pytest.param(request().replace(b": box", b":\tbox"), id="a tab"),
        pytest.param(request(x_name="caf\xe9"), id="a letter beyond ASCII"),
        pytest.param(request(x_name="a\r\n b"), id="a folded line"),
        pytest.param(request(x_name="a\x00b"), id="a control character"),
        pytest.param(request(x_long="y" * 9000), id="a large head"),
        pytest.param(b"POST /v1/chat/comp", id="a part of a head"),
    ],
)
def test_whatever_is_out_of_the_ordinary_is_let_in(data: bytes) -> None:
    fake = FullDispatcher()
    assert door(fake).answer(data) is None
    assert fake.turned_away == []


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": "Bearer wrong"},
        {"authorization": f"Bearer {KEY}", "host": "evil.example"},
    ],
)
def test_strangers_are_let_in_to_be_refused_there(headers: dict[str, str]) -> None:
    fake = FullDispatcher()
    assert door(fake, GATE).answer(request(headers=headers)) is None
    assert fake.turned_away == []


@pytest.mark.parametrize("header", ["authorization", "x_api_key"])
def test_who_has_a_key_is_turned_away(header: str) -> None:
    value = f"Bearer {KEY}" if header == "authorization" else KEY
    assert door(gate=GATE).answer(request(headers={header: value}))


# --- not yet ---


def test_a_body_that_comes_in_parts_is_waited_for() -> None:
    whole, one = request(), door()
    head = whole.index(b"\r\n\r\n") + 4
    assert one.answer(whole[:head]) == len(whole)
    assert one.answer(whole[:-1]) == len(whole)
    assert parsed(one.answer(whole))


def test_who_leaves_meanwhile_is_logged_like_any_client_who_left(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.INFO):
        door().left(request(x_request_id="mine-1")[:-1])
    (line,) = (vars(record) for record in caplog.records if record.name == "edge_serve.access")
    assert (line["path"], line["request_id"]) == ("/v1/chat/completions", "mine-1")
    assert (line["status"], line["error"]) == (499, "client_closed_request")


def test_nobody_waits_for_a_large_body() -> None:
    data = request(b" " * (MAX_BODY_BYTES + 1))
    assert door().answer(data[: data.index(b"\r\n\r\n") + 4]) is None


# --- before the door ---


class Client:
    """The transport of a client that reads nothing."""

    written = b""

    def get_extra_info(self, _: str) -> None:
        return None

    def is_closing(self) -> bool:
        return False

    def write(self, data: bytes) -> None:
        self.written += data

    def get_write_buffer_size(self) -> int:
        return 1 << 20


def test_a_client_that_takes_no_answers_gets_none_at_the_door() -> None:
    """They would pile up: only the application can be made to wait."""
    asked: list[str] = []

    async def app(scope: Scope, _receive: Receive, _send: Send) -> None:
        asked.append(scope["path"])

    async def ask(*, paused: bool) -> tuple[Client, int]:
        client, fake = Client(), FullDispatcher()
        config = uvicorn.Config(app, ws="none", lifespan="off", log_config=None)
        connection: Any = protocol(Bounds(), door(fake))
        made = connection(config=config, server_state=ServerState(), app_state={})
        made.connection_made(client)
        if paused:
            made.pause_writing()
        made.data_received(request())
        await asyncio.sleep(0)
        return client, len(fake.turned_away)

    client, refused = asyncio.run(ask(paused=False))
    assert (client.written.startswith(b"HTTP/1.1 429"), refused, asked) == (True, 1, [])
    client, refused = asyncio.run(ask(paused=True))
    assert (client.written, refused, asked) == (b"", 0, ["/v1/chat/completions"])
