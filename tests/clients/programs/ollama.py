# /// script
# dependencies = ["ollama==0.6.3"]
# ///
"""Ollama's own library: models, chats with tools and a schema, prompts, vectors, errors."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable
from datetime import UTC, datetime

import ollama

ASKED = [{"role": "user", "content": "What is the weather in Ulm?"}]
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
BRIEF = {"temperature": 0, "num_predict": 60, "num_ctx": 2048}


def weather(city: str) -> str:
    """Tell the weather of a city.

    Args:
      city: the city
    """
    return f"sunny in {city}"


def main(url: str, name: str) -> None:
    client = ollama.Client(host=url.removesuffix("/v1"))
    models(client, name)
    chats(client, name)
    prompts(client, name)
    vectors(client)
    errors(client, name)
    asyncio.run(streams(ollama.AsyncClient(host=url.removesuffix("/v1")), name))


def models(client: ollama.Client, name: str) -> None:
    listed = {model.model: model for model in client.list().models}
    assert listed[name].details is not None
    assert len(listed[name].digest) == 64
    shown = client.show(name)
    assert "completion" in shown.capabilities
    family = shown.modelinfo["general.architecture"]
    assert shown.modelinfo[f"{family}.context_length"] > 0
    loaded = {model.model: model for model in client.ps().models}
    assert loaded[name].expires_at > datetime.now(UTC)
    assert client.pull(name).status == "success"
    assert [step.status for step in client.pull(f"{name}:latest", stream=True)] == ["success"]


def chats(client: ollama.Client, name: str) -> None:
    whole = client.chat(name, ASKED, options=BRIEF, keep_alive="5m")
    assert whole.message.content
    assert whole.eval_count > 0
    assert whole.total_duration >= whole.eval_duration > 0
    *parts, last = client.chat(name, ASKED, options=BRIEF, stream=True)
    assert "".join(part.message.content for part in parts) == whole.message.content
    assert (last.done, last.eval_count) == (True, whole.eval_count)
    answer = client.chat(name, ASKED, format=SCHEMA, options=BRIEF)
    assert answer.done_reason == "length" or json.loads(answer.message.content).keys() == {"city"}
    assert client.chat(name, ASKED, think=False, options=BRIEF).message.content
    call = ollama.Message.ToolCall(
        function=ollama.Message.ToolCall.Function(name="weather", arguments={"city": "Ulm"})
    )
    history = [
        *ASKED,
        ollama.Message(role="assistant", tool_calls=[call]),
        ollama.Message(role="tool", content=weather("Ulm"), tool_name="weather"),
    ]
    answer = client.chat(name, history, tools=[weather], options=BRIEF)
    for called in answer.message.tool_calls or ():
        assert called.function.arguments.keys() == {"city"}
    assert answer.message.content or answer.message.tool_calls
    loaded = client.chat(name, keep_alive=-1)
    assert loaded.done_reason == "load"


def prompts(client: ollama.Client, name: str) -> None:
    asked = {"prompt": "Say hello.", "options": {**BRIEF, "stop": ["!"]}}
    whole = client.generate(name, system="Be brief.", **asked)
    assert whole.response
    assert "!" not in whole.response
    assert "".join(part.response for part in client.generate(name, stream=True, **asked))
    assert client.generate(name, prompt="One, two,", raw=True, options=BRIEF).response


def vectors(client: ollama.Client) -> None:
    shown = [client.show(model.model) for model in client.list().models]
    names = [model.model for model in client.list().models]
    for name, model in zip(names, shown, strict=True):
        if "embedding" in model.capabilities:
            one, two = client.embed(name, ["a small bear", "panda"], truncate=True).embeddings
            older = client.embeddings(name, "a small bear").embedding
            assert len(one) == len(two) == len(older)
            return
    raise AssertionError("there is no model for embeddings")


def errors(client: ollama.Client, name: str) -> None:
    assert status(lambda: client.chat("llama3.2", ASKED)) == 404
    assert status(lambda: client.chat(name, ASKED, options={"top_p": 2})) == 400
    assert status(lambda: client.pull("llama3.2")) == 400


def status(ask: Callable[[], object]) -> int:
    try:
        ask()
    except ollama.ResponseError as error:
        return int(error.status_code)
    return 200


async def streams(client: ollama.AsyncClient, name: str) -> None:
    parts = [part async for part in await client.chat(name, ASKED, stream=True, options=BRIEF)]
    assert [part.done for part in parts] == [False] * (len(parts) - 1) + [True]


if __name__ == "__main__":
    main(*sys.argv[1:])
