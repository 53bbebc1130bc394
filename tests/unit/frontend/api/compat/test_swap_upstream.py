"""/upstream/{model}: what clients of llama-swap ask of one model by its path."""

from __future__ import annotations

import json
from typing import Any

import pytest

from frontend.api.compat.swap.upstream import parted
from ipc.messages.admin import LoadModel
from ipc.messages.jobs import Fill
from tests.unit.frontend.api.admin.desk import Desk
from tests.unit.frontend.api.compat.desk_in_states import acts, wishes
from tests.unit.frontend.http_fakes import hears, says

CHAT = {"messages": [{"role": "user", "content": "hi"}]}
MODELS = {"a", "a/b", "org/chat"}


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("/upstream/org/chat/v1/models", ("org/chat", "/v1/models")),
        ("/upstream/a/b/infill", ("a/b", "/infill")),
        ("/upstream/a/infill", ("a", "/infill")),
        ("/upstream/org/chat", None),
        ("/upstream/org/none/infill", None),
        ("/upstream/", None),
    ],
)
def test_a_path_begins_with_a_model(path: str, found: tuple[str, str] | None) -> None:
    assert parted(path, MODELS.__contains__) == found


@pytest.mark.parametrize("body", [CHAT, {**CHAT, "model": "gpt-4"}])
def test_a_chat_is_with_the_model_of_the_path(body: dict[str, Any]) -> None:
    desk = Desk(says("hello"))
    answer = desk.post("/upstream/org/chat/v1/chat/completions", json=body)
    assert (answer.status_code, answer.json()["model"]) == (200, "org/chat")
    assert desk.dispatcher.sizes[0][0] == "org/chat"


def test_a_gap_is_filled_by_it_as_editors_ask() -> None:
    desk = Desk(says("b"))
    answer = desk.post("/upstream/org/chat/infill", json={"input_prefix": "a", "input_suffix": "c"})
    assert answer.status_code == 200
    (asked,) = desk.dispatcher.asked
    assert isinstance(asked.prompts[0], Fill)


def test_a_form_is_for_it_too() -> None:
    desk = Desk(hears)
    form = {"model": "whisper-1", "response_format": "text"}
    answer = desk.post(
        "/upstream/org/speech/v1/audio/transcriptions",
        data=form,
        files={"file": ("a.wav", b"RIFF")},
    )
    assert answer.status_code == 200
    assert desk.dispatcher.sizes[0][0] == "org/speech"


def test_what_is_asked_by_a_query_is_asked_of_it() -> None:
    desk = Desk()
    assert desk.get("/upstream/org/chat/props").json()["model_alias"] == "org/chat"
    assert desk.get("/upstream/org/chat/slots?model=org/none").status_code == 200


@pytest.mark.parametrize("path", ["", "/health"])
def test_who_asks_for_nothing_of_it_or_how_it_is_has_it_loaded(path: str) -> None:
    desk = Desk()
    answer = desk.get(f"/upstream/org/chat{path}")
    assert (answer.status_code, answer.text) == (200, "OK")
    assert wishes(desk) == [LoadModel(model="org/chat")]
    assert acts(desk) == [("model.load", "org/chat", "ok")]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/upstream/org/none", 404),
        ("POST", "/upstream/org/none/v1/chat/completions", 404),
        ("POST", "/upstream/org/chat", 404),
        ("GET", "/upstream/org/chat/nowhere", 404),
    ],
)
def test_where_there_is_nothing_it_says_so(method: str, path: str, status: int) -> None:
    answer = Desk().client.request(method, path, json=CHAT if method == "POST" else None)
    assert answer.status_code == status
    assert json.loads(answer.content)["error"]["message"]


def test_what_is_for_operators_is_for_them_by_that_way_too() -> None:
    desk = Desk()
    stranger = {"x-forwarded-for": "10.0.0.9"}
    for path in ("/upstream/org/chat/admin/drain", "/upstream/org/chat/unload"):
        for method in ("GET", "POST"):
            answer = desk.client.request(method, path, headers=stranger)
            assert answer.status_code in (403, 405)
    assert desk.get("/upstream/org/chat", headers=stranger).status_code == 403
    assert wishes(desk) == []
