"""Models that come by Ollama's API, and that leave by it."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from frontend.api.admin import operator
from frontend.api.ollama.pulls import step
from frontend.http.following import Followers, Following
from ipc.messages.admin import GetPull, RemoveModel, StartPull, Wish
from ipc.messages.control import AccessConfig
from ipc.messages.errors import Conflict, NotFound
from ipc.messages.keys import ApiKey
from tests.unit.frontend.api.admin.desk import Desk
from tests.unit.frontend.api.admin.test_events import DEADLINE_S, Reader
from tests.unit.frontend.api.compat.desk_in_states import acts

SOURCE = "hf:acme/one:Q8_0"
NAME = "hf.co/acme/one:Q8_0"
DIGEST = hashlib.sha256(SOURCE.encode()).hexdigest()


def pull(state: str = "running", **changes: Any) -> dict[str, Any]:
    """A job as the supervisor tells it."""
    job = {
        "id": "pull-1",
        "source": SOURCE,
        "state": state,
        "looked": None,
        "doing": "",
        "done_bytes": 0,
        "total_bytes": 0,
        "error": "",
        "unreached": False,
    }
    return job | changes


LOOKED: dict[str, Any] = {"looked": {"task": "chat"}, "doing": "hf:acme/one", "total_bytes": 100}
HALF = pull(**LOOKED, done_bytes=50)
WHOLE = pull(**LOOKED, done_bytes=100)


class Pulling(Desk):
    """A desk at which a job stands as the test says, each time that it is looked at."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *steps: dict[str, Any], **how: Any) -> None:
        super().__init__(ollama=True, **how)
        monkeypatch.setattr(operator, "STEP_S", 0.0)
        told = self.control.ask
        left = list(steps)

        async def ask(wish: Wish, timeout_s: float) -> dict[str, Any]:
            report = await told(wish, timeout_s)
            if isinstance(wish, GetPull):
                return left.pop(0)
            return pull("waiting") if isinstance(wish, StartPull) else report

        monkeypatch.setattr(self.control, "ask", ask)

    @property
    def started(self) -> list[Wish]:
        return [wish for wish in self.control.wishes if isinstance(wish, StartPull)]


def lines(answer: Any) -> list[dict[str, Any]]:
    return [json.loads(line) for line in answer.text.splitlines()]


def test_a_model_that_is_here_is_pulled_at_once_whoever_asks() -> None:
    desk = Desk(ollama=True)
    stranger = {"x-forwarded-for": "10.0.0.9"}
    for name in ("org/chat:latest", "hf.co/org/chat", "org/speech"):
        streamed = desk.post("/api/pull", json={"model": name}, headers=stranger)
        assert streamed.headers["content-type"] == "application/x-ndjson"
        assert streamed.content == b'{"status":"success"}\n'
    whole = desk.post("/api/pull", json={"name": "org/chat", "stream": False})
    assert whole.headers["content-type"] == "application/json"
    assert whole.json() == {"status": "success"}
    assert desk.control.wishes == list[Wish]()
    assert desk.post("/api/pull", json={}).status_code == 400


def test_a_pull_tells_how_far_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    done = pull("finished", **LOOKED, done_bytes=100)
    desk = Pulling(monkeypatch, pull("waiting"), HALF, HALF, WHOLE, done)
    answer = desk.post("/api/pull", json={"model": NAME})
    assert answer.headers["content-type"] == "application/x-ndjson"
    bar = {"status": f"pulling {DIGEST[:12]}", "digest": f"sha256:{DIGEST}", "total": 100}
    assert lines(answer) == [
        {"status": "pulling manifest"},
        {**bar, "completed": 50},
        {**bar, "completed": 100},
        {"status": "success"},
    ]
    assert desk.started == [StartPull(source=SOURCE, name="acme/one:Q8_0")]
    assert acts(desk) == [("pull.start", SOURCE, "ok")]


def test_who_wants_no_stream_waits_for_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Pulling(monkeypatch, HALF, pull("finished"))
    answer = desk.post("/api/pull", json={"model": NAME, "stream": False})
    assert (answer.status_code, answer.json()) == (200, {"status": "success"})


@pytest.mark.parametrize(
    ("name", "wish"),
    [
        ("hf.co/acme/one", StartPull(source="hf:acme/one")),
        ("hf.co/acme/one:latest", StartPull(source="hf:acme/one")),
        ("BAAI/bge-m3", StartPull(source="BAAI/bge-m3")),
        ("some-model:latest", StartPull(source="some-model")),
    ],
)
def test_a_name_is_one_of_the_hub_or_of_the_catalog(
    monkeypatch: pytest.MonkeyPatch, name: str, wish: Wish
) -> None:
    desk = Pulling(monkeypatch, pull("finished"))
    assert desk.post("/api/pull", json={"model": name, "stream": False}).status_code == 200
    assert desk.started == [wish]


FAILURES = [
    (pull("failed", error="there is no model 'x'"), 400, "there is no model 'x'"),
    (pull("failed", error="no route", unreached=True), 503, "no route"),
    (pull("failed", error="the disk is full", looked={}), 503, "the disk is full"),
    (pull("paused"), 503, "pull-1 was paused by an operator of this server"),
    (pull("cancelled"), 503, "pull-1 was cancelled by an operator of this server"),
]


@pytest.mark.parametrize(("job", "status", "why"), FAILURES)
def test_why_it_ends_without_the_model_is_its_last_word(
    monkeypatch: pytest.MonkeyPatch, job: dict[str, Any], status: int, why: str
) -> None:
    whole = Pulling(monkeypatch, job).post("/api/pull", json={"model": NAME, "stream": False})
    assert (whole.status_code, whole.json()) == (status, {"error": why})
    streamed = Pulling(monkeypatch, job).post("/api/pull", json={"model": NAME})
    assert (streamed.status_code, lines(streamed)[-1]) == (200, {"error": why})


def test_a_job_that_is_forgotten_meanwhile_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Pulling(monkeypatch)

    async def gone(*_: object) -> dict[str, Any]:
        raise NotFound("there is no pull 'pull-1'")

    monkeypatch.setattr(operator.Operator, "pull_of", gone)
    answer = desk.post("/api/pull", json={"model": NAME})
    assert lines(answer)[-1] == {"error": "there is no pull 'pull-1'"}


def test_only_who_manages_the_server_has_a_model_fetched_or_removed() -> None:
    keys = {"ann": ApiKey.of("sesame"), "root": ApiKey.of("poppy", role="admin")}
    desk = Desk(ollama=True, gate=AccessConfig(api_keys=keys))
    ann = {"authorization": "Bearer sesame"}
    asked = [
        desk.post("/api/pull", json={"model": NAME}, headers=ann),
        desk.client.request("DELETE", "/api/delete", json={"model": "org/chat"}, headers=ann),
    ]
    for answer in asked:
        assert (answer.status_code, list(answer.json())) == (403, ["error"])
    assert desk.control.wishes == list[Wish]()
    assert acts(desk) == []


def test_what_is_no_name_is_refused_in_the_clients_words() -> None:
    answer = Desk(ollama=True).post("/api/pull", json={"model": "--help"})
    assert answer.status_code == 400
    assert "`model`" in answer.json()["error"]


@pytest.mark.parametrize(
    ("doing", "told"),
    [
        ("checking one.gguf", {"status": "verifying sha256 digest"}),
        ("", None),
    ],
)
def test_what_is_done_beside_fetching(doing: str, told: dict[str, Any] | None) -> None:
    assert step(pull(doing=doing, total_bytes=9)) == told
    assert step(pull(doing="converting")) == {"status": "converting"}


def test_a_server_that_stops_says_that_the_pull_goes_on() -> None:
    from frontend.api.ollama.pulls import _LINES

    async def never() -> AsyncGenerator[bytes, None]:
        yield b"{}\n"
        await asyncio.Event().wait()

    async def main() -> None:
        followers, reader = Followers(), Reader()
        task = reader.follow(Following(never(), followers, 60.0, _LINES))
        assert [await reader.next(), await reader.next()] == ["http.response.start", b"{}\n"]
        followers.end()
        assert "the pull goes on" in json.loads(await reader.next())["error"]
        await asyncio.wait_for(task, DEADLINE_S)

    asyncio.run(main())


@pytest.mark.parametrize("name", ["org/chat", "org/chat:latest", "hf.co/org/chat"])
def test_a_model_is_removed(name: str) -> None:
    desk = Desk(ollama=True)
    answer = desk.client.request("DELETE", "/api/delete", json={"model": name})
    assert (answer.status_code, answer.text) == (200, "")
    assert desk.control.wishes == [RemoveModel("org/chat")]
    assert acts(desk) == [("model.remove", "org/chat", "ok")]


def test_one_that_is_not_here_or_may_not_go_is_told() -> None:
    desk = Desk(ollama=True)
    missing = desk.client.request("DELETE", "/api/delete", json={"model": "llama3.2"})
    assert (missing.status_code, list(missing.json())) == (404, ["error"])
    desk.control.refusal = Conflict("another process is pulling it")
    refused = desk.client.request("DELETE", "/api/delete", json={"model": "org/chat"})
    assert (refused.status_code, refused.json()) == (
        409,
        {"error": "another process is pulling it"},
    )
