"""What an operator asks of pulls, as wishes of the supervisor."""

from __future__ import annotations

from typing import Any

import pytest

from ipc.messages.admin import (
    ControlPull,
    EstimatePull,
    GetPull,
    ListPulls,
    StartPull,
    Wish,
)
from ipc.messages.errors import Conflict
from tests.unit.frontend.api.admin.desk import Desk

WISHES: list[tuple[str, str, Any, Wish, int]] = [
    ("POST", "", {"source": "hf:acme/one"}, StartPull(source="hf:acme/one"), 202),
    (
        *("POST", "", {"source": "hf:acme/one", "variant": "Q8_0", "name": "mine"}),
        *(StartPull(source="hf:acme/one:Q8_0", name="mine"), 202),
    ),
    (
        *("POST", "", {"source": "BAAI/bge-m3", "serve": False, "force": True}),
        *(StartPull(source="BAAI/bge-m3", serve=False, force=True), 202),
    ),
    ("POST", "?estimate=1", {"source": "hf:acme/one"}, EstimatePull("hf:acme/one"), 200),
    ("GET", "", None, ListPulls(), 200),
    ("GET", "/pull-1", None, GetPull("pull-1"), 200),
    ("DELETE", "/pull-1", None, ControlPull("pull-1", "cancel"), 200),
    ("POST", "/pull-1/pause", None, ControlPull("pull-1", "pause"), 200),
    ("POST", "/pull-1/resume", None, ControlPull("pull-1", "resume"), 202),
]


@pytest.mark.parametrize(("method", "path", "body", "wish", "status"), WISHES)
def test_what_is_asked_is_a_wish(
    method: str, path: str, body: Any, wish: Wish, status: int
) -> None:
    desk = Desk()
    answer = desk.client.request(method, f"/admin/pulls{path}", json=body)
    assert answer.status_code == status, answer.text
    assert desk.control.wishes == [wish]


@pytest.mark.parametrize(
    "source", ["", "--help", "hf:a b", "hf:a/b;rm", "a" * 600, "file:../../x\n", 7, None]
)
def test_what_is_no_source_is_refused(source: Any) -> None:
    desk = Desk()
    answer = desk.post("/admin/pulls", json={"source": source})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "source")
    assert desk.control.wishes == list[Wish]()


def test_a_refusal_is_told_as_it_is() -> None:
    desk = Desk()
    desk.control.refusal = Conflict("pull-1 is finished; there is nothing to pause")
    answer = desk.post("/admin/pulls/pull-1/pause")
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "conflict")


def test_what_changes_something_is_written_down() -> None:
    desk = Desk()
    desk.post("/admin/pulls", json={"source": "hf:acme/one"})
    desk.post("/admin/pulls?estimate=1", json={"source": "hf:acme/one"})
    desk.client.request("DELETE", "/admin/pulls/pull-1")
    desk.get("/admin/pulls")
    assert [(act.act, act.on) for act in desk.control.acts] == [
        ("pull.start", "hf:acme/one"),
        ("pull.cancel", "pull-1"),
    ]
