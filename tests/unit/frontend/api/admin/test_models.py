"""What an operator is told of models, and what he may do with them."""

from __future__ import annotations

from typing import Any

import pytest

from frontend.api.admin import answers, operator
from ipc.messages.admin import (
    AdminAct,
    DrainModel,
    GetHealth,
    LoadModel,
    PinModel,
    RemoveModel,
    RestartModel,
    UnloadModel,
    Wish,
)
from ipc.messages.errors import ModelBusy
from ipc.messages.state import ModelState
from tests.unit.frontend.api.admin.desk import Desk


def test_all_models_are_told_with_their_files_memory_jobs_and_policy() -> None:
    desk = Desk()
    told = desk.get("/admin/models").json()
    answers.AdminModels.model_validate(told)
    assert [one["id"] for one in told["models"]] == [*desk.dispatcher.specs]
    chat = told["models"][0]
    assert (chat["state"], chat["jobs"]["waiting"], chat["memory"]["resident_mb"]) == (
        "ready",
        1,
        100.0,
    )


def test_a_model_is_found_by_its_name_with_slashes_and_by_an_alias() -> None:
    desk = Desk()
    desk.dispatcher.aliases = {"small/one": "org/chat"}
    for name in ("org/chat", "small/one"):
        told = desk.get(f"/admin/models/{name}").json()
        assert (told["id"], told["aliases"]) == ("org/chat", ["small/one"])
    missing = desk.get("/admin/models/org/none")
    assert (missing.status_code, missing.json()["error"]["code"]) == (404, "model_not_found")


def test_a_model_that_could_not_be_fetched_is_told_with_why() -> None:
    desk = Desk()
    assert desk.control.report is not None
    failed = {"name": "org/gone", "state": "failed", "reason": "no network", "replicas": []}
    desk.control.report["models"].append(failed)
    told = desk.get("/admin/models/org/gone").json()
    answers.AdminModel.model_validate(told)
    assert (told["state"], told["last_error"]) == ("failed", "no network")
    assert desk.post("/admin/models/org/gone/load").status_code == 404


@pytest.mark.parametrize(
    ("act", "body", "wishes"),
    [
        ("load", None, [LoadModel(model="org/chat")]),
        (
            "load",
            {"pin": True, "keep_alive_s": -1},
            [LoadModel(model="org/chat", keep_s=-1.0), PinModel(model="org/chat", pinned=True)],
        ),
        ("unload", None, [UnloadModel(model="org/chat")]),
        ("unload", {"force": True}, [UnloadModel(model="org/chat", force=True)]),
        ("pin", None, [PinModel(model="org/chat", pinned=True)]),
        ("unpin", None, [PinModel(model="org/chat", pinned=False)]),
        ("drain", None, [DrainModel(model="org/chat", drained=True)]),
        ("resume", None, [DrainModel(model="org/chat", drained=False)]),
        ("restart", None, [RestartModel(model="org/chat")]),
    ],
)
def test_an_act_is_a_wish_and_is_written_down(act: str, body: Any, wishes: list[Wish]) -> None:
    desk = Desk()
    answer = desk.post(f"/admin/models/org/chat/{act}", json=body)
    assert answer.status_code in (200, 202)
    assert answer.json()["id"] == "org/chat"
    assert [wish for wish in desk.control.wishes if not isinstance(wish, GetHealth)] == wishes
    (done,) = desk.control.acts
    assert (done.by, done.act, done.on, done.result) == (
        "127.0.0.1",
        f"model.{act}",
        "org/chat",
        "ok",
    )


def test_a_refusal_of_the_supervisors_is_the_answer_and_is_written_down() -> None:
    desk = Desk()
    desk.control.refusal = ModelBusy("it has 2 requests")
    answer = desk.post("/admin/models/org/chat/unload", json={})
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "busy")
    assert [act.result for act in desk.control.acts] == ["busy"]


def test_what_a_stranger_tries_is_not_written_down() -> None:
    desk = Desk()
    headers = {"x-forwarded-for": "10.0.0.9"}
    answer = desk.post("/admin/models/org/chat/unload", headers=headers)
    assert answer.status_code == 403
    assert desk.control.acts == list[AdminAct]()
    assert desk.control.wishes == list[Wish]()


def test_a_load_that_is_waited_for_is_told_when_the_model_is_ready(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    desk = Desk()
    states = [
        ModelState(name="org/chat", routes=[], state="unloaded"),
        ModelState(name="org/chat", routes=[], state="starting"),
    ]
    ready = desk.dispatcher.state("org/chat")
    monkeypatch.setattr(desk.dispatcher, "state", lambda _: states.pop(0) if states else ready)
    answer = desk.post("/admin/models/org/chat/load", json={"wait": True})
    assert (answer.status_code, answer.json()["state"]) == (200, "ready")
    assert states == []


def test_a_load_that_is_waited_for_and_fails_is_told_with_why(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    desk = Desk()
    failed = ModelState(name="org/chat", routes=[], state="failed", reason="a damaged file")
    monkeypatch.setattr(desk.dispatcher, "state", lambda _: failed)
    answer = desk.post("/admin/models/org/chat/load", json={"wait": True})
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "circuit_open")
    assert "a damaged file" in answer.json()["error"]["message"]


def test_a_load_for_which_there_turns_out_to_be_no_room_is_told_with_why(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    desk = Desk()
    monkeypatch.setattr(operator, "REFUSED_S", 0.0)
    refused = ModelState(name="org/chat", routes=[], state="unloaded", refused="9 MB are free")
    monkeypatch.setattr(desk.dispatcher, "state", lambda _: refused)
    answer = desk.post("/admin/models/org/chat/load", json={"wait": True})
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "insufficient_memory")
    assert answer.json()["error"]["message"] == "9 MB are free"


@pytest.mark.parametrize("body", [{"keep_alive_s": -2}, {"wait": 1}, {"pin": "yes"}])
def test_a_wish_that_makes_no_sense_is_refused(body: Any) -> None:
    desk = Desk()
    assert desk.post("/admin/models/org/chat/load", json=body).status_code == 400
    assert desk.control.wishes == list[Wish]()


def test_a_model_is_removed_with_its_files() -> None:
    desk = Desk()
    assert desk.control.report is not None
    desk.control.report |= {"model": "org/chat", "bytes": 7}
    answer = desk.client.delete("/admin/models/org/chat")
    answers.ModelRemoved.model_validate(answer.json())
    assert (answer.status_code, answer.json()) == (200, {"model": "org/chat", "bytes": 7})
    assert desk.control.wishes == [RemoveModel("org/chat")]
    assert [(act.act, act.on) for act in desk.control.acts] == [("model.remove", "org/chat")]
    assert desk.client.delete("/admin/models/org/none").status_code == 404
