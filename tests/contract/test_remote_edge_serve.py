"""A model in another edge-serve answers as it does there: calls, forms, reasoning, choices."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
import yaml
from openai import OpenAI

from tests.contract.served import serving

TOOL = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {"type": "object", "properties": {"in": {"type": "string"}}},
    },
}
SCHEMA = {
    "type": "object",
    "properties": {"a": {"type": "integer"}},
    "required": ["a"],
    "additionalProperties": False,
}
CALLS = 'It is <call weather>{"in": "Rome"}</call><call weather>{"in": "Oslo"}</call>'
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "text": ("one two three", {}),
    "an end by its length": ("one two three", {"max_tokens": 2}),
    "calls": (CALLS, {"tools": [TOOL]}),
    "a call that must be": ("hello", {"tools": [TOOL], "tool_choice": "required"}),
    "reasoning": ("<think>one two</think>three", {}),
    "a form": (
        '{"a": 7}',
        {
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "x", "schema": SCHEMA, "strict": True},
            }
        },
    ),
    "log probabilities": ("one two", {"logprobs": True, "top_logprobs": 2}),
    "several choices": ("one two", {"n": 3, "temperature": 1.0}),
}


@pytest.fixture(scope="module")
def nearer(upstream: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server whose only model is in ``upstream``."""
    catalog = tmp_path_factory.mktemp("nearer") / "models.yaml"
    options = {"base_url": upstream, "model": "chat"}
    model = {"name": "away", "task": "chat", "engine": "remote", "options": options}
    catalog.write_text(yaml.safe_dump({"models": [model]}))
    with pytest.MonkeyPatch.context() as set_:
        set_.delenv("MODELS", raising=False)
        with serving(EDGE_SERVE_CONFIG=str(catalog)) as server:
            yield f"{server.url}/v1"


def whole(address: str, model: str, said: str, asked: dict[str, Any]) -> list[dict[str, Any]]:
    """The choices of an answer, less the names that each server gives to calls."""
    with OpenAI(base_url=address, api_key="unused") as client:
        messages: Any = [{"role": "user", "content": said}]
        answer = client.chat.completions.create(model=model, messages=messages, **asked)
    choices = [choice.to_dict() for choice in answer.choices]
    for choice in choices:
        for call in choice["message"].get("tool_calls") or []:
            del call["id"]
    return choices


def streamed(address: str, model: str, said: str, asked: dict[str, Any]) -> dict[int, str]:
    """The texts of the choices of a stream, reasoning and arguments of calls among them."""
    texts: dict[int, str] = {}
    with OpenAI(base_url=address, api_key="unused") as client:
        messages: Any = [{"role": "user", "content": said}]
        chunks = client.chat.completions.create(
            model=model, messages=messages, stream=True, **asked
        )
        for choice in (choice for chunk in chunks for choice in chunk.choices):
            delta: dict[str, Any] = choice.delta.to_dict()
            calls = [call.get("function", {}) for call in delta.get("tool_calls") or []]
            written = [delta.get("reasoning_content"), delta.get("content")]
            written += [call.get(key) for call in calls for key in ("name", "arguments")]
            texts[choice.index] = texts.get(choice.index, "") + "".join(filter(None, written))
    return texts


@pytest.mark.parametrize("case", CASES)
def test_an_answer_is_that_of_the_other_server(upstream: str, nearer: str, case: str) -> None:
    there, here = whole(upstream, "chat", *CASES[case]), whole(nearer, "away", *CASES[case])
    assert here == there
    assert len(there) == CASES[case][1].get("n", 1)


@pytest.mark.parametrize("case", CASES)
def test_a_stream_is_that_of_the_other_server(upstream: str, nearer: str, case: str) -> None:
    there = streamed(upstream, "chat", *CASES[case])
    assert streamed(nearer, "away", *CASES[case]) == there
    assert all(there.values())


def test_what_the_other_server_refuses_is_the_clients(upstream: str, nearer: str) -> None:
    asked = {"messages": [{"role": "user", "content": "x"}], "temperature": 9}
    for address, model in ((upstream, "chat"), (nearer, "away")):
        answer = httpx2.post(
            f"{address}/chat/completions", json=asked | {"model": model}, timeout=60
        )
        assert answer.status_code == 400
        assert answer.json()["error"]["param"] == "temperature"
