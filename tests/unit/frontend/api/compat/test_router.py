"""llama.cpp's router: what its clients ask, in every state that a model may have."""

from __future__ import annotations

import asyncio
import json
from typing import Any, cast

import pytest
from msgspec.structs import replace

from frontend.api.compat.router import answers
from frontend.api.compat.router.events import RouterEvents
from frontend.api.route import Services
from frontend.dispatch.event_feed import EventFeed
from frontend.http.sse import KEEPALIVE
from ipc.messages.admin import (
    BoxEvent,
    ControlPull,
    ListPulls,
    LoadModel,
    RemoveModel,
    StartPull,
    UnloadModel,
    Wish,
)
from ipc.messages.errors import InsufficientMemory
from ipc.messages.state import ModelPhase
from tests.unit.frontend.api.admin.desk import Desk
from tests.unit.frontend.api.compat.desk_in_states import acts, stand, wishes
from tests.unit.frontend.http_fakes import CHAT, says

DEADLINE_S = 60.0
STATUSES: list[tuple[ModelPhase, dict[str, Any]]] = [
    ("unloaded", {"value": "unloaded"}),
    ("stopped", {"value": "unloaded"}),
    ("starting", {"value": "loading"}),
    ("ready", {"value": "loaded"}),
    ("draining", {"value": "unloaded"}),
    ("backoff", {"value": "unloaded", "failed": True}),
    ("failed", {"value": "unloaded", "failed": True}),
]


@pytest.mark.parametrize(("phase", "status"), STATUSES)
@pytest.mark.parametrize("path", ["/models", "/v1/models"])
def test_a_list_says_whether_each_model_is_loaded(
    monkeypatch: pytest.MonkeyPatch, path: str, phase: ModelPhase, status: dict[str, Any]
) -> None:
    desk = Desk()
    stand(desk, monkeypatch, state=phase)
    chat = desk.get(path).json()["data"][0]
    assert (chat["id"], chat["status"]) == ("org/chat", status)


def test_a_model_is_listed_once_with_its_aliases_and_what_it_reads_and_makes() -> None:
    desk = Desk()
    desk.dispatcher.specs["org/chat"] = replace(CHAT, vision=True)
    desk.dispatcher.aliases = {"small": "org/chat"}
    told = desk.get("/models?reload=1").json()
    answers.RouterModels.model_validate(told)
    assert [one["id"] for one in told["data"]] == [*desk.dispatcher.specs]
    chat, embed = told["data"][:2]
    assert chat["aliases"] == ["small"]
    assert chat["architecture"] == {
        "input_modalities": ["text", "image"],
        "output_modalities": ["text"],
    }
    assert embed["architecture"]["output_modalities"] == ["embeddings"]
    assert chat["meta"] == {"n_ctx": 2048, "n_embd": None, "n_params": None, "size": None}


def test_a_model_that_was_never_loaded_has_no_facts(monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk()
    stand(desk, monkeypatch, state="ready")
    told = desk.get("/models").json()
    answers.RouterModels.model_validate(told)
    assert told["data"][1]["meta"] is None


@pytest.mark.parametrize(
    ("act", "wish"),
    [
        ("load", LoadModel(model="org/chat")),
        ("unload", UnloadModel(model="org/chat", force=True)),
    ],
)
def test_an_act_is_a_wish_and_is_written_down(act: str, wish: Wish) -> None:
    desk = Desk()
    desk.dispatcher.aliases = {"small": "org/chat"}
    answer = desk.post(f"/models/{act}", json={"model": "small", "extra_args": ["-c", "9"]})
    assert (answer.status_code, answer.json()) == (200, {"success": True})
    assert wishes(desk) == [wish]
    assert acts(desk) == [(f"model.{act}", "org/chat", "ok")]


def test_what_keeps_a_model_from_being_loaded_is_told() -> None:
    desk = Desk()
    desk.control.refusal = InsufficientMemory("it takes 9 GB, and 4 are free")
    answer = desk.post("/models/load", json={"model": "org/chat"})
    assert (answer.status_code, answer.json()["error"]["message"]) == (
        503,
        "it takes 9 GB, and 4 are free",
    )
    assert acts(desk) == [("model.load", "org/chat", "insufficient_memory")]


@pytest.mark.parametrize("act", ["load", "unload"])
def test_an_act_needs_a_model_that_there_is_and_an_operator(act: str) -> None:
    desk = Desk()
    assert desk.post(f"/models/{act}", json={"model": "org/none"}).status_code == 404
    assert desk.post(f"/models/{act}", json={}).status_code == 400
    for headers in ({"x-forwarded-for": "10.0.0.9"}, {"sec-fetch-site": "cross-site"}):
        answer = desk.post(f"/models/{act}", json={"model": "org/chat"}, headers=headers)
        assert answer.status_code == 403
    assert wishes(desk) == list[Wish]()


# --- models that come and go for good -------------------------------------------------------------


def test_a_model_of_the_hub_is_fetched_under_the_name_that_it_is_asked_for_by() -> None:
    desk = Desk()
    answer = desk.post("/models", json={"model": "acme/one:F16"})
    assert (answer.status_code, answer.json()) == (200, {"success": True})
    assert wishes(desk) == [StartPull(source="hf:acme/one:F16", name="acme/one:F16")]
    assert acts(desk) == [("pull.start", "acme/one:F16", "ok")]


@pytest.mark.parametrize("name", ["org/chat", "llama3.2", "../x"])
def test_one_that_is_here_or_names_no_repository_is_not_fetched(name: str) -> None:
    desk = Desk()
    answer = desk.post("/models", json={"model": name})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "model")
    assert wishes(desk) == list[Wish]()


def test_a_model_is_removed_with_its_files() -> None:
    desk = Desk()
    assert desk.control.report is not None
    desk.control.report["pulls"] = []
    answer = desk.client.delete("/models", params={"model": "org/chat"})
    assert (answer.status_code, answer.json()) == (200, {"success": True})
    assert wishes(desk) == [ListPulls(), RemoveModel("org/chat")]
    assert acts(desk) == [("model.remove", "org/chat", "ok")]
    assert desk.client.delete("/models", params={"model": "org/none"}).status_code == 404
    assert desk.client.delete("/models").status_code == 400
    twice = desk.client.delete("/models?model=org/chat&model=org/none")
    assert (twice.status_code, twice.json()["error"]["param"]) == (400, "model")


@pytest.mark.parametrize("name", ["", "acme/one:F16"])
def test_one_that_is_being_fetched_is_cancelled(name: str) -> None:
    desk = Desk()
    assert desk.control.report is not None
    job = {"id": "pull-7", "source": "hf:acme/one:F16", "name": name, "model": ""}
    desk.control.report["pulls"] = [{**job, "id": "pull-6", "state": "finished"}]
    desk.control.report["pulls"] += [{**job, "state": "running"}]
    answer = desk.client.delete("/models", params={"model": "acme/one:F16"})
    assert answer.json() == {"success": True}
    assert wishes(desk) == [ListPulls(), ControlPull("pull-7", "cancel")]


@pytest.mark.parametrize("method", ["POST", "DELETE"])
def test_only_who_manages_the_server_may(method: str) -> None:
    desk = Desk()
    for headers in ({"x-forwarded-for": "10.0.0.9"}, {"sec-fetch-site": "cross-site"}):
        body = {"model": "acme/one"} if method == "POST" else None
        answer = desk.client.request(method, "/models?model=org/chat", headers=headers, json=body)
        assert answer.status_code == 403
    assert wishes(desk) == list[Wish]()


def test_slots_are_counted_and_their_contents_never_told() -> None:
    desk = Desk()
    desk.dispatcher.specs["org/chat"] = replace(CHAT, slots=2, replicas=2)
    slots = desk.get("/slots?model=org/chat").json()  # two requests are worked on
    assert slots == [
        {"id": 0, "n_ctx": 2048, "is_processing": True},
        {"id": 1, "n_ctx": 2048, "is_processing": True},
        {"id": 2, "n_ctx": 2048, "is_processing": False},
        {"id": 3, "n_ctx": 2048, "is_processing": False},
    ]
    assert desk.get("/slots?fail_on_no_slot=1").json() == slots


def test_a_client_that_wants_a_free_slot_is_told_that_there_is_none() -> None:
    desk = Desk()
    desk.dispatcher.specs["org/chat"] = replace(CHAT, slots=2)
    assert desk.get("/slots?fail_on_no_slot=1").status_code == 503
    assert desk.get("/slots").status_code == 200
    assert desk.get("/slots?model=org/embed").status_code == 404


def test_a_model_that_is_not_loaded_is_not_loaded_for_who_says_so() -> None:
    desk = Desk(says("hello"))
    body = {"model": "org/chat", "messages": [{"role": "user", "content": "hi"}]}
    for query, autoload in (("", True), ("?autoload=true", True), ("?autoload=false", False)):
        assert desk.post(f"/v1/chat/completions{query}", json=body).status_code == 200
        assert desk.dispatcher.terms[-1].autoload is autoload


EVENTS: list[tuple[str, str | None, dict[str, Any], dict[str, Any] | None]] = [
    (
        *("model.state", "m", {"state": "starting", "reason": None}),
        {"model": "m", "event": "model_status", "data": {"status": "loading"}},
    ),
    (
        *("model.state", "m", {"state": "failed", "reason": "a damaged file"}),
        {"model": "m", "event": "model_status", "data": {"status": "unloaded", "failed": True}},
    ),
    (
        *("pull.progress", None, {"state": "running", "source": "hf:a/b"}),
        {
            "model": "a/b",
            "event": "download_progress",
            "data": {"hf:a/b": {"done": 1, "total": 9}},
        },
    ),
    (
        *("pull.progress", None, {"state": "waiting", "source": "hf:a/b:Q8_0", "name": "a/b:Q8_0"}),
        {
            "model": "a/b:Q8_0",
            "event": "download_progress",
            "data": {"hf:a/b:Q8_0": {"done": 1, "total": 9}},
        },
    ),
    (
        *("pull.progress", "a/b", {"state": "finished", "source": "hf:a/b"}),
        {"model": "a/b", "event": "download_finished"},
    ),
    (
        *("pull.progress", "a/b", {"state": "failed", "source": "hf:a/b"}),
        {"model": "a/b", "event": "download_failed"},
    ),
    ("config.reloaded", None, {}, {"model": "*", "event": "models_reload"}),
    ("replica.exit", "m", {"reason": "exit status 1"}, None),
]


@pytest.mark.parametrize(("kind", "model", "facts", "told"), EVENTS)
def test_what_becomes_of_models_is_told_from_now_on(
    kind: str, model: str | None, facts: dict[str, Any], told: dict[str, Any] | None
) -> None:
    def happened(seq: int, kind: str, model: str | None, facts: dict[str, Any]) -> BoxEvent:
        facts = {"name": "", "done_bytes": 1, "total_bytes": 9, **facts}
        return BoxEvent(seq=seq, time_s=1e9, type=kind, model=model, facts=facts)

    async def main() -> list[dict[str, Any]]:
        desk = Desk()
        feed = desk.control.events
        feed.add([happened(1, "model.state", "old", {"state": "ready"})])
        parts = RouterEvents(services(desk, feed))._all(feed.newest)
        assert await anext(parts) == KEEPALIVE
        feed.add([happened(2, kind, model, facts)])
        feed.add([happened(3, "model.state", "last", {"state": "ready"})])
        read: list[dict[str, Any]] = []
        while not read or read[-1]["model"] != "last":
            part = await asyncio.wait_for(anext(parts), DEADLINE_S)
            read.append(json.loads(part.removeprefix(b"data: ")))
        return read[:-1]

    assert asyncio.run(main()) == ([] if told is None else [told])


def services(desk: Desk, feed: EventFeed) -> Services:
    class Its:
        control = desk.control
        operator = type("Followed", (), {"followers": None})
        serve = type("Timed", (), {"keepalive_s": 1.0})

    assert Its.control.events is feed
    return cast(Services, Its)
