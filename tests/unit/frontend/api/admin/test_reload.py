"""An operator has the configuration read again, or a model served as before."""

from __future__ import annotations

from typing import Any

import pytest

from frontend.api.admin import answers
from ipc.messages.admin import GetHealth, Reload, RollBack, Wish
from ipc.messages.errors import Conflict, InvalidRequest
from tests.unit.frontend.api.admin.desk import Desk

REPORT: dict[str, Any] = {
    "dry_run": False,
    "added": ["org/new"],
    "removed": [],
    "updated": {"org/chat": ["slots"]},
    "adjusted": {},
    "settings": ["ALIASES"],
    "restart": ["PORT"],
    "downtime": [],
    "left": [],
    "fetched": [],
    "unavailable": {},
    "warnings": [],
}


@pytest.mark.parametrize(
    ("path", "body", "status", "wish"),
    [
        ("/admin/reload", None, 200, Reload()),
        ("/admin/reload", {"dry_run": True}, 200, Reload(dry_run=True)),
        ("/admin/reload", {"allow_downtime": True}, 200, Reload(downtime=True)),
        ("/admin/models/org/chat/update", None, 202, Reload(model="org/chat")),
        ("/admin/models/org/new/update", {}, 202, Reload(model="org/new")),
    ],
)
def test_what_has_changed_is_told(path: str, body: Any, status: int, wish: Wish) -> None:
    desk = Desk()
    desk.control.report = REPORT
    answer = desk.post(path, json=body)
    assert (answer.status_code, answer.json()) == (status, REPORT)
    answers.ReloadReport.model_validate(answer.json())
    assert desk.control.wishes == [wish]
    assert len(desk.control.acts) == (0 if wish == Reload(dry_run=True) else 1)


def test_a_wrong_file_is_the_answer_with_its_line() -> None:
    desk = Desk()
    desk.control.refusal = InvalidRequest("own.yaml, line 3: not YAML; nothing has changed")
    answer = desk.post("/admin/reload")
    assert (answer.status_code, answer.json()["error"]["message"]) == (
        400,
        "own.yaml, line 3: not YAML; nothing has changed",
    )


def test_a_model_goes_back_by_its_name_or_an_alias() -> None:
    desk = Desk()
    desk.dispatcher.aliases = {"small": "org/chat"}
    answer = desk.post("/admin/models/small/rollback")
    assert (answer.status_code, answer.json()["id"]) == (200, "org/chat")
    wishes = [wish for wish in desk.control.wishes if not isinstance(wish, GetHealth)]
    assert wishes == [RollBack(model="org/chat")]


def test_one_that_cannot_go_back_is_a_conflict() -> None:
    desk = Desk()
    desk.control.refusal = Conflict("no worker from before an update")
    answer = desk.post("/admin/models/org/chat/rollback")
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "conflict")
    assert desk.post("/admin/models/org/none/rollback").status_code == 404
