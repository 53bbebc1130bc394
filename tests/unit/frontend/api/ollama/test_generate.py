"""POST /api/generate: by the template, as it is, and around a gap."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from starlette.testclient import TestClient

from frontend.api.ollama.answer import OllamaAnswer, as_response
from ipc.messages.events import Delta, Reasoning
from ipc.messages.jobs import Fill, Message, Sampling, Text
from tests.unit.frontend.http_fakes import FakeDispatcher, application, says


@pytest.fixture
def fake() -> FakeDispatcher:
    return FakeDispatcher(says("Hel", "lo"))


@pytest.fixture
def client(fake: FakeDispatcher) -> Iterator[TestClient]:
    with TestClient(application(fake, ollama=True)) as client:
        yield client


def ask(client: TestClient, **keys: object) -> Any:
    return client.post("/api/generate", json={"model": "org/chat", **keys})


def test_an_answer_is_a_response(client: TestClient) -> None:
    told = [orjson.loads(line) for line in ask(client, prompt="hi").content.splitlines()]
    assert [(line["response"], line["done"]) for line in told] == [
        ("Hel", False),
        ("lo", False),
        ("", True),
    ]
    assert (told[-1]["prompt_eval_count"], told[-1]["eval_count"]) == (7, 2)
    whole = ask(client, prompt="hi", stream=False).json()
    assert (whole["response"], whole["done"], whole["done_reason"]) == ("Hello", True, "stop")
    assert "message" not in whole
    assert "context" not in whole


def test_what_is_thought_stands_beside_it() -> None:
    form = OllamaAnswer("m", as_response).streamed()
    body = form.render([Reasoning("job", "Hm."), Delta("job", "Yes")])
    told = [orjson.loads(line) for line in body.splitlines()]
    assert [(line["response"], line.get("thinking")) for line in told] == [
        ("", "Hm."),
        ("Yes", None),
    ]


def test_a_prompt_is_a_chat_of_one_turn(client: TestClient, fake: FakeDispatcher) -> None:
    ask(client, prompt="hi", system="Be brief.", options={"num_predict": 5})
    (asked,) = fake.asked
    assert asked.messages == [Message("system", "Be brief."), Message("user", "hi")]
    assert asked.sampling == Sampling(max_tokens=5)


def test_a_raw_prompt_goes_to_the_model_as_it_is(client: TestClient, fake: FakeDispatcher) -> None:
    keys = {"options": {"temperature": 0, "seed": -1}, "logprobs": True, "think": False}
    assert ask(client, prompt="<s>hi", raw=True, **keys).status_code == 200
    (asked,) = fake.asked
    assert (asked.messages, asked.prompts) == ([], [Text("<s>hi")])
    assert asked.sampling == Sampling(max_tokens=100, temperature=0.0, logprobs=0)


def test_a_suffix_makes_a_gap(client: TestClient, fake: FakeDispatcher) -> None:
    answer = ask(client, prompt="def f():\n", suffix="\n", stream=False)
    assert answer.json()["response"] == "Hello"
    assert fake.asked[0].prompts == [Fill(prefix="def f():\n", suffix="\n")]


@pytest.mark.parametrize(
    ("keys", "error"),
    [
        (
            {"template": "{{ .Prompt }}"},
            "`template` is not supported: the prompt is the model's own",
        ),
        ({"context": [1, 2]}, "`context` is not supported: no answer has one; send the history to"),
        ({"raw": True, "system": "x"}, "`system` is not supported with `raw`; leave either out"),
        ({"raw": True, "format": "json"}, "`format` is not supported with `raw`"),
        ({"raw": True, "think": True}, "`think` is not supported with `raw`"),
        ({"suffix": "x", "system": "x"}, "`system` is not supported with `suffix`"),
        ({"images": ["aGk="]}, "`images[0]`: model 'org/chat' reads text only, no images"),
        ({"system": "x", "images": ["aGk="]}, "`images[0]`: model 'org/chat' reads text only"),
        ({"raw": True, "options": {"top_p": 2}}, "`options.top_p` must be at most 1"),
        (
            {"raw": True, "options": {"repeat_last_n": 1, "repeat_penalty": 2}},
            "`options.repeat_last_n` is not supported",
        ),
        ({"raw": True, "top_logprobs": 1}, "`top_logprobs` needs `logprobs` true"),
        ({"width": 512}, "`width` is not supported: no model here makes images"),
    ],
)
def test_what_cannot_be_done_is_refused_by_name(
    client: TestClient, fake: FakeDispatcher, keys: dict[str, Any], error: str
) -> None:
    answer = ask(client, prompt="hi", **keys)
    assert answer.status_code == 400
    assert answer.json()["error"].startswith(error)
    assert not fake.asked


def test_what_asks_for_nothing_passes(client: TestClient) -> None:
    nothing = {
        "template": "",
        "context": [],
        "system": "",
        "suffix": "",
        "images": [],
        "raw": False,
    }
    assert ask(client, prompt="hi", format="", **nothing).status_code == 200


@pytest.mark.parametrize("keys", [{}, {"prompt": ""}, {"system": "x"}])
def test_without_a_prompt_the_answer_says_that_the_model_is_loaded(
    client: TestClient, fake: FakeDispatcher, keys: dict[str, Any]
) -> None:
    (told,) = [orjson.loads(line) for line in ask(client, **keys).content.splitlines()]
    assert (told["response"], told["done"], told["done_reason"]) == ("", True, "load")
    assert not fake.asked
