"""One real request for each thing that each model of a running server can do."""

from __future__ import annotations

import base64
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import httpx2

from ipc.facts.samples import grey_png
from ipc.tasks import (
    FILL,
    MIGRATION,
    REASONING,
    TASKS,
    TOOLS,
    TRANSLATION,
    VISION,
    Smoke,
    WrongAnswer,
)
from supervisor.cli.answers import Listed
from supervisor.cli.client import Unreached, ask
from supervisor.config.errors import nearest, words

_SIDE = 64
_SHOWN_CHARS = 60

Answer = Any  # a body of JSON, whose shape is what is being tried


class Check(NamedTuple):
    """How one request went: what was answered, or why it was not."""

    model: str
    capability: str
    ok: bool
    seconds: float
    answer: str


class _Trial(NamedTuple):
    """What is sent for one capability, and where."""

    path: str
    smoke: Smoke


def checks(client: httpx2.Client, names: Sequence[str], audio: bytes | None) -> Iterator[Check]:
    """Try each model that ``client``'s server lists, or those among ``names``; speech with the file
    ``audio``, or else with a spoken sentence.

    Raises `Unreached` when nobody lists any.
    """
    listed = _listed(client)
    for model in listed:
        if names and model["id"] not in names:
            continue
        for capability in model["capabilities"]:
            yield _check(client, model["id"], capability, audio)
    known = [model["id"] for model in listed]
    for name in names:
        if name not in known:
            said = f"the server has no such model{nearest(name, known)}"
            yield Check(name, "", ok=False, seconds=0.0, answer=said)


def _listed(client: httpx2.Client) -> list[dict[str, Any]]:
    """The models of an edge-serve. Raises `Unreached`."""
    listed: list[dict[str, Any]] = ask(client, "/v1/models", Listed)["data"]
    if not all(model.get("capabilities") is not None for model in listed):
        where = str(client.base_url).rstrip("/")
        raise Unreached(f"{where} does not say what its models can do; it is not edge-serve")
    return listed


def _check(client: httpx2.Client, model: str, capability: str, audio: bytes | None) -> Check:
    began_at = time.monotonic()
    ok, said = True, ""
    try:
        if capability in _TRIALS:
            said = _try(client, model, _TRIALS[capability], audio)
        else:
            ok, said = False, "not known to this version; update it"
    except (WrongAnswer, httpx2.HTTPError) as error:
        ok, said = False, words(error)
    except (LookupError, TypeError, ValueError, AttributeError, RecursionError) as error:
        ok, said = False, f"the answer is not of the API's shape ({type(error).__name__}: {error})"
    return Check(model, capability, ok, time.monotonic() - began_at, said)


def _try(client: httpx2.Client, model: str, trial: _Trial, audio: bytes | None) -> str:
    """The answer in a line. Raises `WrongAnswer`."""
    smoke, body = trial.smoke, {"model": model, **trial.smoke.fields}
    if smoke.upload is None:
        response = client.post(trial.path, json=body)
        if smoke.gives_file and response.status_code == 200:
            return smoke.summary(response.content)
        return _short(smoke.summary(_answer(response)))
    sample = (smoke.upload.name, smoke.upload.read_bytes())
    files = {"file": ("speech", audio) if audio else sample}
    text = _short(smoke.summary(_answer(client.post(trial.path, data=body, files=files))))
    if not text and audio is None:
        raise WrongAnswer("it has heard no words in a spoken sentence")
    return text or "no words"


def _with_image(smoke: Smoke) -> Smoke:
    """The same chat, about an image."""
    url = "data:image/png;base64," + base64.b64encode(grey_png(_SIDE)).decode()
    image = {"type": "image_url", "image_url": {"url": url}}
    content = [image, {"type": "text", "text": "What colour is this?"}]
    return replace(
        smoke, fields={**smoke.fields, "messages": [{"role": "user", "content": content}]}
    )


def _with_tool(smoke: Smoke) -> Smoke:
    """The same chat, answered by a call."""
    tools = [{"type": "function", "function": {"name": "say_hello"}}]
    fields = {**smoke.fields, "max_tokens": 64, "tools": tools, "tool_choice": "required"}
    return replace(smoke, fields=fields, summary=_called)


def _with_migration(smoke: Smoke) -> Smoke:
    """The same chat, as another server asks for it that may have to hand it over."""
    return replace(smoke, fields={**smoke.fields, "migration": {}})


def _called(answer: Answer) -> str:
    function = answer["choices"][0]["message"]["tool_calls"][0]["function"]
    return f"{function['name']}({function['arguments']})"


def _filled(answer: Answer) -> str:
    return str(answer["choices"][0]["text"]) or "nothing"


_GAP = {
    "prompt": "def add(a, b):\n    return ",
    "suffix": "\n\nprint(add(1, 2))\n",
    "max_tokens": 16,
}
_TRIALS = {
    **{task.capability: _Trial(task.path, task.smoke) for task in TASKS.values()},
    VISION: _Trial(TASKS["chat"].path, _with_image(TASKS["chat"].smoke)),
    TOOLS: _Trial(TASKS["chat"].path, _with_tool(TASKS["chat"].smoke)),
    REASONING: _Trial(TASKS["chat"].path, TASKS["chat"].smoke),
    FILL: _Trial("/v1/completions", Smoke(fields=_GAP, summary=_filled)),
    MIGRATION: _Trial(TASKS["chat"].path, _with_migration(TASKS["chat"].smoke)),
    TRANSLATION: _Trial("/v1/audio/translations", TASKS["speech"].smoke),
}


def _answer(response: httpx2.Response) -> Answer:
    body = response.json()
    if response.status_code != 200:
        raise WrongAnswer(f"{response.status_code}: {body['error']['message']}")
    return body


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _SHOWN_CHARS else f"{line[: _SHOWN_CHARS - 1]}…"
