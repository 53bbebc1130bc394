"""What an operator is told of the machine and of what processes say, and how he ends the server."""

from __future__ import annotations

from typing import Any

import pytest

from frontend.api.admin import answers
from ipc.messages.admin import DrainModel, GetBox, GetConfig, ReadLog, StopServer, Wish
from ipc.messages.errors import NotFound
from ipc.runtime import log
from tests.unit.frontend.api.admin.desk import Desk

BOX = {
    "cpus": 2,
    "cpu_percent": 12.5,
    "load_1m": 0.5,
    "memory_total_mb": 8000,
    "memory_available_mb": 4000,
    "swap_used_mb": 0,
    "uptime_s": 60,
    "gpus": [],
    "disks": [{"path": "/models", "total_mb": 9, "free_mb": 4}],
    "temperatures": [{"sensor": "coretemp Core 0", "celsius": 41.0, "high_celsius": None}],
    "power": {
        "cpu_mhz": 1600,
        "cpu_max_mhz": 4000,
        "cpu_watts": 15.0,
        "throttle_events": 0,
        "throttling": None,
    },
}


def test_the_machine_is_measured_when_it_is_asked_for() -> None:
    desk = Desk()
    desk.control.report = BOX
    told = desk.get("/admin/box").json()
    answers.Box.model_validate(told)
    assert told == BOX
    assert desk.control.wishes == [GetBox()]


def test_the_configuration_is_told_as_the_supervisor_has_it() -> None:
    desk = Desk()
    setting = {"name": "PORT", "value": 1, "default": 8000, "from": ".env", "description": ""}
    setting |= {"secret": False, "is_set": True, "restart": False}
    slots = {"value": 3, "from": "entry", "file": "/own.yaml"}
    desk.control.report = {"settings": [setting], "models": {"m": {"slots": slots}}, "files": []}
    told = desk.get("/admin/config").json()
    answers.Config.model_validate(told)
    assert told == desk.control.report
    assert desk.control.wishes == [GetConfig()]


def test_a_server_is_asked_to_end_and_says_how_long_that_may_take() -> None:
    desk = Desk()
    desk.control.report = {"stopping": True, "drain_s": 30.0}
    answer = desk.post("/admin/drain")
    answers.Stopping.model_validate(answer.json())
    assert answer.status_code == 202
    assert desk.control.wishes == [StopServer()]
    assert [act.act for act in desk.control.acts] == ["server.drain"]


@pytest.mark.parametrize(
    ("path", "body", "drained"),
    [("/admin/drain", {"end": False}, True), ("/admin/resume", None, False)],
)
def test_a_server_that_stays_drains_each_of_its_models_and_resumes_them(
    path: str, body: Any, drained: bool
) -> None:
    desk = Desk()
    answer = desk.post(path, json=body)
    answers.AdminModels.model_validate(answer.json())
    assert answer.status_code == 200
    wished = [wish for wish in desk.control.wishes if isinstance(wish, DrainModel)]
    names = [*desk.dispatcher.specs]
    assert wished == [DrainModel(model=name, drained=drained) for name in names]
    assert [act.act for act in desk.control.acts] == [path.replace("/admin/", "server.")]


def test_a_supervisor_that_does_not_answer_is_503() -> None:
    desk = Desk()
    desk.control.report = None
    for path in ("/admin/box", "/admin/models", "/admin/logs/supervisor"):
        assert desk.get(path).status_code == 503, path


def test_the_last_lines_of_a_process_are_text() -> None:
    desk = Desk()
    desk.control.report = {"lines": ["one", "two"], "last": 7}
    answer = desk.get("/admin/logs/chat-1?tail=2")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.text == "one\ntwo\n"
    assert desk.control.wishes == [ReadLog(process="chat-1", after=0, tail=2)]


def test_those_of_a_model_are_those_of_its_first_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk()
    said = {"chat-1": ["one", "two"]}
    asked: list[str] = []

    answered = desk.control.ask

    async def ask(wish: Wish, timeout_s: float) -> dict[str, Any]:
        if not isinstance(wish, ReadLog):
            return await answered(wish, timeout_s)
        asked.append(wish.process)
        if wish.process not in said:
            raise NotFound("there is no such process", param="process")
        return {"lines": said[wish.process], "last": 7}

    monkeypatch.setattr(desk.control, "ask", ask)
    assert desk.get("/admin/logs/org/chat").text == "one\ntwo\n"
    assert asked == ["org/chat", "chat-1"]
    unstarted = desk.get("/admin/logs/org/embed")
    assert (unstarted.status_code, unstarted.json()["error"]["message"]) == (
        404,
        "no worker of model 'org/embed' was started yet",
    )
    unknown = desk.get("/admin/logs/org/none").json()["error"]
    assert unknown["message"] == "there is no such process"


def test_those_of_the_frontend_are_here() -> None:
    desk = Desk()
    log.recent.add("a line of this process")
    assert desk.get("/admin/logs/frontend?tail=1").text == "a line of this process\n"
    assert desk.control.wishes == list[Wish]()


@pytest.mark.parametrize("query", ["tail=1001", "tail=-1", "tail=x", "follow=2"])
def test_a_question_that_makes_no_sense_is_refused(query: str) -> None:
    assert Desk().get(f"/admin/logs/frontend?{query}").status_code == 400


def test_a_process_that_there_is_not_is_not_found() -> None:
    desk = Desk()
    desk.control.refusal = NotFound("there is no such process", param="process")
    for query in ("", "?follow=1"):
        assert desk.get(f"/admin/logs/chat-9{query}").status_code == 404
