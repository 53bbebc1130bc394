"""Ollama's API on a port of its own, against the default models: the calls of Home Assistant, and
the same answers as OpenAI's API gives."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import httpx2
import numpy as np
import pytest

from tests.contract.served import serving
from tests.contract.subjects import MINILM, SMOLLM2
from tests.ports import free_port

QUESTION = [{"role": "user", "content": "What is the capital of France?"}]
GREEDY = {"temperature": 0, "num_predict": 24}
TURN_ON = {
    "type": "function",
    "function": {
        "name": "HassTurnOn",
        "description": "Turns on/opens/presses a device or entity.",
        "parameters": {
            "type": "object",
            "required": [],
            "properties": {
                "area": {"type": "string"},
                "name": {"type": "string"},
                "domain": {"type": "array", "items": {"type": "string"}},
            },
        },
    },
}
ASKED = [
    {"role": "system", "content": "You are a voice assistant for Home Assistant."},
    {"role": "user", "content": "turn on the lights in the kitchen and the hall"},
]


def _turned_on(area: str) -> dict[str, Any]:
    return {"function": {"name": "HassTurnOn", "arguments": {"area": area, "domain": ["light"]}}}


_RESULT = {"role": "tool", "content": '{"data":{"success":true},"error":null}'}
# Method, path and body, in the order of Home Assistant's integration (core at 0d0db908, November
# 2026), as ollama-python 0.6.3 sent them for its arguments: set up, a model chosen, a turn with two
# calls and their results, a task with a structure, and what it polls.
HOME_ASSISTANT: list[tuple[str, str, dict[str, Any] | None]] = [
    ("GET", "/api/tags", None),
    ("POST", "/api/pull", {"model": SMOLLM2, "stream": False, "insecure": False}),
    (
        "POST",
        "/api/chat",
        {
            "model": SMOLLM2,
            "stream": True,
            "options": {"num_ctx": 8192},
            "keep_alive": -1.0,
            "messages": [
                *ASKED,
                {"role": "assistant", "tool_calls": [_turned_on("kitchen"), _turned_on("hall")]},
                _RESULT,
                _RESULT,
            ],
            "tools": [TURN_ON],
            "think": False,
        },
    ),
    (
        "POST",
        "/api/chat",
        {
            "model": SMOLLM2,
            "stream": True,
            "options": {"num_ctx": 8192},
            "format": {
                "type": "object",
                "properties": {"name": {"type": "string"}},
                "required": ["name"],
            },
            "keep_alive": "300s",
            "messages": ASKED,
            "tools": [],
        },
    ),
    ("GET", "/api/tags", None),
    ("GET", "/api/ps", None),
]


class Ports(NamedTuple):
    """The addresses of a server, and of its Ollama's API on a port of its own."""

    url: str
    ollama_url: str


@pytest.fixture(scope="module")
def ports(pytestconfig: pytest.Config) -> Iterator[Ports]:
    if url := pytestconfig.getoption("--through", None):
        yield Ports(url, pytestconfig.getoption("--through-ollama"))
        return
    port = str(free_port())
    with serving(OLLAMA_PORT=port, MODELS=f"{SMOLLM2},{MINILM}") as server:
        yield Ports(server.url, f"http://127.0.0.1:{port}")


@pytest.fixture(scope="module")
def ollama(ports: Ports) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=ports.ollama_url, timeout=120) as client:
        yield client


@pytest.fixture(scope="module")
def openai(ports: Ports) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=ports.url, timeout=120) as client:
        yield client


def lines(answer: httpx2.Response) -> list[dict[str, Any]]:
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/x-ndjson"
    return [json.loads(line) for line in answer.text.splitlines()]


def test_each_call_of_home_assistant_is_answered(ollama: httpx2.Client) -> None:
    answers = []
    for method, path, body in HOME_ASSISTANT:
        answer = ollama.request(method, path, json=body)
        assert answer.status_code == 200, (path, answer.text)
        answers.append(answer)
    tags, pull, turn, task, again, ps = answers
    assert SMOLLM2 in [model["model"] for model in tags.json()["models"]]
    assert pull.json() == {"status": "success"}
    for told in (lines(turn), lines(task)):
        assert [line["done"] for line in told] == [False] * (len(told) - 1) + [True]
        assert told[-1]["eval_count"] > 0
    written = "".join(line["message"]["content"] for line in lines(task))
    if lines(task)[-1]["done_reason"] == "stop":
        assert isinstance(json.loads(written)["name"], str)
    assert again.json() == tags.json()
    assert {model["model"] for model in ps.json()["models"]} == {SMOLLM2, MINILM}


def test_models_are_told_by_their_files(ollama: httpx2.Client) -> None:
    chat, embed = ollama.get("/api/tags").json()["models"]
    assert (chat["model"], chat["size"]) == (SMOLLM2, 98362432)
    assert chat["details"] == {
        "parent_model": "",
        "format": "gguf",
        "family": "llama",
        "families": ["llama"],
        "parameter_size": "134.52M",
        "quantization_level": "Q4_1",
    }
    assert (embed["details"]["format"], embed["details"]["family"]) == ("safetensors", "bert")
    assert embed["capabilities"] == ["embedding"]
    for model in (chat, embed):
        assert re.fullmatch("[0-9a-f]{64}", model["digest"])
    shown = ollama.post("/api/show", json={"model": f"{SMOLLM2}:latest"}).json()
    assert shown["model_info"]["general.architecture"] == "llama"
    assert shown["model_info"]["llama.context_length"] > 0
    assert shown["details"] == chat["details"]


def test_a_chat_says_what_openais_api_says(ollama: httpx2.Client, openai: httpx2.Client) -> None:
    body = {"model": SMOLLM2, "messages": QUESTION}
    told = lines(ollama.post("/api/chat", json={**body, "options": GREEDY}))
    whole = ollama.post("/api/chat", json={**body, "options": GREEDY, "stream": False}).json()
    same = openai.post(
        "/v1/chat/completions", json={**body, "temperature": 0, "max_tokens": 24}
    ).json()
    text = same["choices"][0]["message"]["content"]
    assert "Paris" in text
    assert "".join(line["message"]["content"] for line in told) == text
    assert whole["message"]["content"] == text
    for last in (told[-1], whole):
        assert last["prompt_eval_count"] == same["usage"]["prompt_tokens"]
        assert last["eval_count"] == same["usage"]["completion_tokens"]
        assert 0 < last["eval_duration"] <= last["total_duration"]
        assert 0 < last["prompt_eval_duration"] <= last["total_duration"]


def test_a_raw_prompt_is_a_completion(ollama: httpx2.Client, openai: httpx2.Client) -> None:
    prompt = "The capital of France is"
    whole = ollama.post(
        "/api/generate",
        json={
            "model": SMOLLM2,
            "prompt": prompt,
            "raw": True,
            "stream": False,
            "options": {"temperature": 0, "num_predict": 5},
        },
    ).json()
    same = openai.post(
        "/v1/completions",
        json={"model": SMOLLM2, "prompt": prompt, "temperature": 0, "max_tokens": 5},
    ).json()
    assert whole["response"] == same["choices"][0]["text"]
    assert (whole["done_reason"], whole["eval_count"]) == ("length", 5)


def test_vectors_are_the_same_by_each_route(ollama: httpx2.Client, openai: httpx2.Client) -> None:
    texts = ["a small bear", "panda"]
    told = ollama.post("/api/embed", json={"model": MINILM, "input": texts}).json()
    older = ollama.post("/api/embeddings", json={"model": MINILM, "prompt": texts[0]}).json()
    data = openai.post("/v1/embeddings", json={"model": MINILM, "input": texts}).json()["data"]
    same = [row["embedding"] for row in data]
    assert np.allclose(told["embeddings"], same, atol=1e-6)
    assert np.allclose(older["embedding"], same[0], atol=1e-6)
    assert told["prompt_eval_count"] > 0


def test_errors_are_a_text(ollama: httpx2.Client) -> None:
    unknown = ollama.post("/api/chat", json={"model": "llama3.2", "messages": QUESTION})
    assert unknown.status_code == 404
    assert isinstance(unknown.json()["error"], str)
    wrong = {"model": SMOLLM2, "messages": QUESTION, "options": {"top_p": 2}}
    refused = ollama.post("/api/chat", json=wrong)
    assert (refused.status_code, refused.json()) == (
        400,
        {"error": "`options.top_p` must be at most 1.0"},
    )


def test_each_port_has_its_own_front(ollama: httpx2.Client, openai: httpx2.Client) -> None:
    assert ollama.get("/").text == "Ollama is running"
    assert ollama.head("/").status_code == 200
    assert openai.get("/").text.startswith("edge-serve: ")
    assert openai.get("/api/tags").status_code == 404
    assert ollama.get("/v1/models").json()["data"] == openai.get("/v1/models").json()["data"]
