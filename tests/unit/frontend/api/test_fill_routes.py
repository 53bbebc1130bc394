"""The routes by which editors have gaps filled: llama.cpp's and Mistral's."""

from __future__ import annotations

import time
from typing import Any

import orjson
import pytest
from starlette.testclient import TestClient

from frontend.api.compat.infill import Infill, InfillRequest
from frontend.api.whole_answer import WholeAnswer
from ipc.messages.events import ChatResult, Delta, Done, Usage
from ipc.messages.jobs import Fill
from ipc.messages.spec import Loaded, Spec
from ipc.messages.state import ModelState
from tests.unit.frontend.http_fakes import FakeDispatcher, application, says

GAP = {"input_prefix": "def f():\n", "input_suffix": "\n"}
# What llama.vscode sends with every request, in November 2026.
HINTS = {
    "top_k": 40,
    "top_p": 0.99,
    "stream": False,
    "samplers": ["top_k", "top_p", "infill"],
    "cache_prompt": True,
    "n_indent": 4,
    "t_max_prompt_ms": 500,
    "t_max_predict_ms": 2500,
    "lora": [{"id": 0, "scale": 0.5}],
}


def post(path: str, body: Any, fake: FakeDispatcher | None = None) -> Any:
    with TestClient(application(fake or FakeDispatcher(says("x", "y")))) as client:
        return client.post(path, json=body)


@pytest.mark.parametrize(
    ("more", "gap"),
    [
        ({}, Fill(prefix="def f():\n", suffix="\n")),
        ({"prompt": "    ret"}, Fill(prefix="def f():\n    ret", suffix="\n")),
        (
            {"input_extra": [{"filename": "a.py", "text": "import a"}, {"text": "b"}]},
            Fill(prefix="def f():\n", suffix="\n", files=[("a.py", "import a"), ("", "b")]),
        ),
    ],
)
def test_infill_asks_for_a_gap(more: dict[str, Any], gap: Fill) -> None:
    fake = FakeDispatcher(says("x"))
    answer = post("/infill", {**GAP, **HINTS, "n_predict": 8, **more}, fake)
    assert answer.status_code == 200, answer.text
    (asked,) = fake.asked
    assert asked.prompts == [gap]
    assert asked.sampling.max_tokens == 8


def test_infill_answers_as_llama_cpp_does() -> None:
    answer = post("/infill", {**GAP, "n_predict": 8}).json()
    timings = answer.pop("timings")
    assert answer == {
        "index": 0,
        "content": "xy",
        "stop": True,
        "model": "org/chat",
        "tokens_predicted": 2,
        "tokens_evaluated": 7,
        "tokens_cached": 3,
        "truncated": False,
        "stop_type": "eos",
    }
    assert (timings["prompt_n"], timings["predicted_n"], timings["cache_n"]) == (4, 2, 3)
    assert timings["prompt_ms"] > 0
    assert timings["predicted_per_second"] > 0


def test_infill_streams() -> None:
    body = post("/infill", {**GAP, "stream": True}).text
    events = [orjson.loads(one[6:]) for one in body.strip().split("\n\n")]
    assert [(one["content"], one["stop"]) for one in events] == [
        ("x", False),
        ("y", False),
        ("", True),
    ]
    assert events[-1]["tokens_predicted"] == 2


def test_a_plugin_has_a_prompt_read_ahead() -> None:
    fake = FakeDispatcher(says("x"))
    answer = post("/infill", {**GAP, "n_predict": 0, "samplers": [], "t_max_predict_ms": 1}, fake)
    assert answer.json()["content"] == ""
    assert fake.asked[0].sampling.max_tokens == 1


def test_only_those_fields_are_sent_that_were_asked_for() -> None:
    fields = ["content", "timings/prompt_n", "timings/none", "none", "none/x"]
    assert post("/infill", {**GAP, "response_fields": fields}).json() == {
        "content": "xy",
        "timings/prompt_n": 4,
    }


def test_times_are_told_from_the_first_piece_on() -> None:
    infill = Infill("m", InfillRequest.model_validate(GAP))
    answer = WholeAnswer()
    answer.add(Delta("j", "x"))
    assert answer.first_at is not None
    assert answer.first_at <= time.monotonic()
    result = ChatResult(finish="length", usage=Usage(prompt_tokens=4, completion_tokens=1))
    told = orjson.loads(infill.whole(answer, result))
    assert told["stop_type"] == "limit"
    render = infill.streamed().render
    assert b'"stop":true' in render([Done("j", result)])


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"input_prefix": "a"}, "input_suffix"),
        ({"input_suffix": "a"}, "input_prefix"),
        ({**GAP, "input_extra": [{"filename": "x"}]}, "input_extra[0].text"),
        ({**GAP, "n": 2}, "n"),
        ({**GAP, "grammar": "root ::= x"}, "grammar"),
        ({**GAP, "model": "org/none"}, "model"),
    ],
)
def test_infill_refuses_by_name(body: dict[str, Any], param: str) -> None:
    answer = post("/infill", body)
    assert answer.status_code in (400, 404)
    assert answer.json()["error"]["param"] == param


class Several(FakeDispatcher):
    """Two models for chats, one of which fills gaps."""

    def __init__(self) -> None:
        super().__init__(says("x"))
        self.specs["org/coder"] = Spec(name="org/coder", task="chat", engine="echo", path="")

    def state(self, name: str) -> ModelState:
        loaded = Loaded(device="cpu", fills=name == "org/coder")
        return ModelState(name=name, routes=[], state="ready", loaded=loaded)


def test_without_a_name_the_one_model_that_fills_gaps_does() -> None:
    fake = Several()
    assert post("/infill", GAP, fake).status_code == 200
    assert fake.sizes[0][0] == "org/coder"


@pytest.mark.parametrize("path", ["/v1/fim/completions", "/fim/completions"])
def test_mistrals_form_is_answered_as_a_chat(path: str) -> None:
    fake = FakeDispatcher(says("x", "y"))
    body = {"model": "org/chat", "prompt": "a", "suffix": "b", "random_seed": 7, "max_tokens": 5}
    answer = post(path, body, fake).json()
    assert answer["object"] == "chat.completion"
    assert answer["choices"][0]["message"]["content"] == "xy"
    (asked,) = fake.asked
    assert asked.prompts == [Fill(prefix="a", suffix="b")]
    assert (asked.sampling.seed, asked.sampling.max_tokens) == (7, 5)


def test_mistrals_form_streams_deltas() -> None:
    body = {"model": "org/chat", "prompt": "a", "stream": True, "seed": 1, "random_seed": 2}
    fake = FakeDispatcher(says("x", "y"))
    text = post("/v1/fim/completions", body, fake).text
    events = [orjson.loads(one[6:]) for one in text.split("\n\n") if one.startswith("data: {")]
    deltas = [one["choices"][0]["delta"].get("content") or "" for one in events]
    assert "".join(deltas) == "xy"
    assert fake.asked[0].prompts == [Fill(prefix="a", suffix="")]
    assert fake.asked[0].sampling.seed == 1
