"""llama-swap: what its clients and status displays ask, in every state that a model may have."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest
from msgspec.structs import replace
from starlette.requests import Request

from frontend.api.admin.operator import FRONTEND
from frontend.api.compat.swap import answers
from frontend.api.compat.swap.logs import SwapLogs
from frontend.api.route import Services
from frontend.http.following import Following
from ipc.messages.admin import ReadLog, UnloadModel, Wish
from ipc.messages.errors import NotFound
from ipc.messages.state import ModelPhase
from ipc.runtime import log
from ipc.runtime.recent_lines import Lines
from tests.unit.frontend.api.admin.desk import Desk
from tests.unit.frontend.api.compat.desk_in_states import acts, stand, wishes
from tests.unit.frontend.http_fakes import CHAT

DEADLINE_S = 60.0


@pytest.mark.parametrize(
    ("phase", "state"),
    [
        ("starting", "starting"),
        ("ready", "ready"),
        ("draining", "stopping"),
        ("unloaded", None),
        ("stopped", None),
        ("backoff", None),
        ("failed", None),
    ],
)
def test_what_runs_is_told(
    monkeypatch: pytest.MonkeyPatch, phase: ModelPhase, state: str | None
) -> None:
    desk = Desk()
    stand(desk, monkeypatch, state=phase)
    told = desk.get("/running").json()
    answers.AllRunning.model_validate(told)
    assert [(one["model"], one["state"]) for one in told["running"]] == (
        [("org/chat", state)] if state else []
    )


def test_how_long_a_model_stays_is_told_where_it_leaves_by_itself() -> None:
    desk = Desk()
    for load, ttl in (("always", 0), ("on_demand", 900)):
        desk.dispatcher.specs["org/chat"] = replace(CHAT, load=load, idle_unload_s=900.0)
        assert desk.get("/running").json()["running"][0]["ttl"] == ttl


EVERYTHING: list[Wish] = [
    UnloadModel(model=f"org/{name}", force=True)
    for name in ("chat", "embed", "rerank", "speech", "speak")
]


@pytest.mark.parametrize(
    ("method", "path", "body", "wished", "on"),
    [
        ("GET", "/unload", "OK", EVERYTHING, None),
        ("POST", "/api/models/unload", '{"msg":"ok"}', EVERYTHING, None),
        ("POST", "/api/models/unload/org/chat", "OK", EVERYTHING[:1], "org/chat"),
        ("POST", "/api/models/unload/org%2Fchat", "OK", EVERYTHING[:1], "org/chat"),
    ],
)
def test_models_leave(method: str, path: str, body: str, wished: list[Wish], on: str) -> None:
    desk = Desk()
    answer = desk.client.request(method, path)
    assert (answer.status_code, answer.text) == (200, body)
    assert wishes(desk) == wished
    assert acts(desk) == [("model.unload", on, "ok")]


@pytest.mark.parametrize(
    "headers",
    [
        {"x-forwarded-for": "10.0.0.9"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"origin": "http://evil.example"},
        {"host": "rebound.example"},
    ],
    ids=str,
)
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/unload"),
        ("POST", "/api/models/unload"),
        ("POST", "/api/models/unload/org/chat"),
        ("GET", "/logs"),
        ("GET", "/logs/stream"),
    ],
)
def test_a_stranger_and_a_page_of_another_site_may_not(
    method: str, path: str, headers: dict[str, str]
) -> None:
    desk = Desk()
    assert desk.client.request(method, path, headers=headers).status_code == 403
    assert wishes(desk) == list[Wish]()


def test_a_model_that_there_is_not_is_404_in_openais_form_also_beside_ollamas_api() -> None:
    for desk in (Desk(), Desk(ollama=True)):
        answer = desk.post("/api/models/unload/org/none")
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "model_not_found")


def test_the_log_is_that_of_the_process_that_takes_requests() -> None:
    log.recent.add("a line of the test")
    answer = Desk().get("/logs")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.text.splitlines()[-1] == "a line of the test"


class Told:
    """An operator for whom a process says one thing more each time that it is asked."""

    followers = None

    def __init__(self) -> None:
        self.asked: list[tuple[str, int]] = []

    async def model(self, name: str) -> dict[str, Any]:
        workers = [{"replica": "chat-1"}, {"replica": "chat-2"}]
        return {"id": name, "replicas": workers if name == "org/chat" else []}

    async def log(self, process: str, tail: int, after: int = 0) -> Lines:
        self.asked.append((process, tail))
        return Lines([f"line {after + 1}"] if tail else [], after + 1)


def followed(operator: Told, query: bytes = b"", **params: str) -> Following:
    its = type("Its", (), {"operator": operator, "serve": type("_", (), {"keepalive_s": 1.0})})
    request = Request({"type": "http", "path_params": params, "query_string": query})
    return cast(Following, asyncio.run(SwapLogs(cast(Services, its)).follow(request)))


@pytest.mark.parametrize(
    ("params", "query", "asked"),
    [
        ({}, b"", (FRONTEND, 1000)),
        ({"model": "proxy"}, b"", (FRONTEND, 1000)),
        ({"model": "org/chat"}, b"", ("chat-1", 1000)),
        ({"model": "org/chat"}, b"no-history", ("chat-1", 0)),
    ],
)
def test_a_log_is_followed_with_what_was_said_before_or_without(
    params: dict[str, str], query: bytes, asked: tuple[str, int]
) -> None:
    operator = Told()
    answer = followed(operator, query, **params)
    assert operator.asked == [asked]
    assert dict(answer.raw_headers)[b"content-type"] == b"text/plain; charset=utf-8"


def test_each_line_that_comes_is_a_line() -> None:
    async def main() -> list[bytes]:
        logs = SwapLogs(cast(Services, type("Its", (), {"operator": Told(), "serve": Serve})))
        lines = logs._lines("chat-1", Lines(["line 0"], 0))
        return [await asyncio.wait_for(anext(lines), DEADLINE_S) for _ in range(2)]

    class Serve:
        keepalive_s = 1.0

    assert asyncio.run(main()) == [b"line 0\n", b"line 1\n"]


def test_a_model_without_a_worker_has_said_nothing() -> None:
    with pytest.raises(NotFound):
        followed(Told(), model="org/embed")


def test_a_log_is_read_by_its_name() -> None:
    desk = Desk()
    desk.control.refusal = NotFound("no such process")
    assert desk.get("/logs/stream/org/chat").status_code == 404
    assert wishes(desk) == [ReadLog(process="chat-1", after=0, tail=1000)]
