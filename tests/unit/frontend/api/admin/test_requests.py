"""What an operator is told of requests, and how he ends one."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from frontend.api.admin import answers
from frontend.dispatch.stream import Stream
from ipc.messages.errors import WorkerCrashed
from ipc.messages.events import Delta, Reasoning
from tests.unit.frontend.api.admin.desk import Desk
from tests.unit.frontend.http_fakes import ranks, says

CHAT = {"model": "org/chat", "messages": [{"role": "user", "content": "a secret"}]}
ID = {"x-request-id": "mine/7"}


def test_a_request_that_has_ended_is_told_and_never_what_it_said() -> None:
    desk = Desk(says("an answer"))
    assert desk.post("/v1/chat/completions", json=CHAT, headers=ID).status_code == 200
    listed = desk.get("/admin/requests")
    answers.AdminRequests.model_validate(listed.json())
    (told,) = listed.json()["requests"]
    assert told == {**desk.get("/admin/requests/mine/7").json(), **_times(told)}
    assert (told["id"], told["model"], told["stage"], told["status"]) == (
        "mine/7",
        "org/chat",
        "ended",
        200,
    )
    assert told["tokens"] == {"prompt": 7, "completion": 2, "cached": 3, "reasoning": 0}
    assert "secret" not in listed.text
    assert "an answer" not in listed.text


def _times(told: dict[str, Any]) -> dict[str, Any]:
    return {name: told[name] for name in ("began_at", "age_s")}


def test_one_whose_worker_counts_no_cached_tokens_says_so() -> None:
    desk = Desk(ranks(b"\0" * 8))
    body = {"model": "org/rerank", "query": "x", "documents": ["a", "b"]}
    assert desk.post("/v1/rerank", json=body, headers=ID).status_code == 200
    told = desk.get("/admin/requests/mine/7").json()
    answers.AdminRequest.model_validate(told)
    assert told["tokens"] == {"prompt": 7, "completion": 0, "cached": None, "reasoning": 0}


def test_one_that_failed_is_told_with_its_error() -> None:
    desk = Desk()
    desk.post("/v1/chat/completions", json={**CHAT, "temperature": 9}, headers=ID)
    told = desk.get("/admin/requests/mine/7").json()
    assert (told["status"], told["error"], told["tokens"]) == (400, "invalid_value", None)


@pytest.mark.parametrize("stream", [False, True])
def test_one_that_was_cut_is_told_with_what_it_took_until_then(stream: bool) -> None:
    def fails(job: Stream) -> None:
        job.push(Reasoning("job", "hm", tokens=1, prompt_tokens=9), 0.0)
        job.push(Delta("job", "hi", tokens=2), 0.0)
        job.fail(WorkerCrashed("it is gone"))

    desk = Desk(fails)
    desk.post("/v1/chat/completions", json={**CHAT, "stream": stream}, headers=ID)
    told = desk.get("/admin/requests/mine/7").json()
    answers.AdminRequest.model_validate(told)
    assert (told["error"], told["prompt_tokens"]) == ("worker_crashed", 9)
    assert told["tokens"] == {"prompt": 9, "completion": 3, "cached": None, "reasoning": 1}


def test_what_is_for_no_model_is_not_listed() -> None:
    desk = Desk()
    for path in ("/v1/models", "/health", "/admin/models"):
        desk.get(path)
    assert desk.get("/admin/requests").json() == {"requests": [], "next": None}


def test_one_that_nobody_knows_is_not_found() -> None:
    desk = Desk()
    for method in ("GET", "DELETE"):
        answer = desk.client.request(method, "/admin/requests/none")
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")


@pytest.mark.parametrize("stream", [False, True])
def test_one_that_is_cancelled_ends_with_an_error_and_its_job_is_dropped(stream: bool) -> None:
    began = threading.Event()

    def begins(job: Stream) -> None:
        if stream:
            job.push(Delta("job", "hi"), 0.0)
        began.set()

    desk = Desk(begins)
    with desk.client:  # one loop for both clients
        answer = _in_thread(
            lambda: desk.post("/v1/chat/completions", json={**CHAT, "stream": stream}, headers=ID)
        )
        assert began.wait(10)
        cancelled = desk.client.delete("/admin/requests/mine/7")
        assert cancelled.status_code == 200
        got = answer()
    assert desk.dispatcher.cancelled == ["mine/7"]
    assert "cancelled_by_operator" in got.text
    if not stream:
        assert got.status_code == 503
        assert got.headers["x-should-retry"] == "false"
    told = desk.get("/admin/requests/mine/7").json()
    assert (told["status"], told["error"]) == (503, "cancelled_by_operator")


def _in_thread(do: Callable[[], Any]) -> Callable[[], Any]:
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(do()))
    thread.start()

    def result() -> Any:
        thread.join(60)
        return found[0]

    return result


def test_some_are_chosen_and_told_in_pages() -> None:
    desk = Desk(says("an answer"))
    for number in range(3):
        desk.post("/v1/chat/completions", json=CHAT, headers={"x-request-id": str(number)})
    desk.post("/v1/chat/completions", json={**CHAT, "temperature": 9}, headers=ID)
    first = desk.get("/admin/requests", params={"status": "2xx", "limit": 2}).json()
    assert [one["id"] for one in first["requests"]] == ["2", "1"]
    query = {"status": "200", "limit": "2", "before": first["next"]}
    last = desk.get("/admin/requests", params=query).json()
    assert ([one["id"] for one in last["requests"]], last["next"]) == (["0"], None)
    failed = desk.get("/admin/requests?status=4xx&model=org/chat&key=127.0.0.1").json()
    assert [one["id"] for one in failed["requests"]] == []  # it failed before its model was known
    assert (
        len(desk.get("/admin/requests?path=/v1/chat/completions&since=1").json()["requests"]) == 4
    )


@pytest.mark.parametrize("query", ["status=abc", "limit=0", "limit=1001", "since=-1", "before=x"])
def test_a_question_that_makes_no_sense_is_refused(query: str) -> None:
    answer = Desk().get(f"/admin/requests?{query}")
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, query.partition("=")[0])


@pytest.mark.parametrize(
    ("query", "rule"),
    [
        ("since=-1", "`since` must be at least 0"),
        ("since=1e18", "`since` must be at most 1000000000000"),
        ("since=1e999", "`since` must be a finite number"),
        ("since=soon", "`since` must be a number"),
        ("limit=-1", "`limit` must be at least 1"),
        ("limit=1e3", "`limit` must be an integer"),
        ("limit=99999999999999999999", "`limit` must be at most 1000"),
        ("model=a&model=b", "`model` is given twice"),
        ("limit=1&since=1&limit=1", "`limit` is given twice"),
    ],
)
def test_it_is_told_what_is_wrong_with_it(query: str, rule: str) -> None:
    for path in ("requests", "samples"):
        if path == "samples" and "model" in query:
            continue  # it has no such parameter
        answer = Desk().get(f"/admin/{path}?{query}")
        assert (answer.status_code, rule in answer.json()["error"]["message"]) == (400, True)
