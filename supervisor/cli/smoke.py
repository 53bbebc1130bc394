"""One real request for each thing that each model of a running server can do."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import httpx2

from ipc.facts.samples import SENTENCE, grey_png
from ipc.messages.spec import CAPABILITIES, TRANSLATION, VISION
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


class _Wrong(Exception):
    """An answer that is not what the API promises."""


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
    listed: list[dict[str, Any]] = ask(client, "/v1/models", "data")["data"]
    if not all("capabilities" in model for model in listed):
        where = str(client.base_url).rstrip("/")
        raise Unreached(f"{where} does not say what its models can do; it is not edge-serve")
    return listed


def _check(client: httpx2.Client, model: str, capability: str, audio: bytes | None) -> Check:
    began_at = time.monotonic()
    ok, said = True, ""
    try:
        if capability in _SPOKEN:
            said = _speech(client, model, audio, _SPOKEN[capability])
        elif capability in _TRIALS:
            said = _TRIALS[capability](client, model)
        else:
            ok, said = False, "not known to this version; update it"
    except (_Wrong, httpx2.HTTPError) as error:
        ok, said = False, words(error)
    except (KeyError, IndexError, TypeError, ValueError) as error:
        ok, said = False, f"the answer is not of the API's shape ({type(error).__name__}: {error})"
    return Check(model, capability, ok, time.monotonic() - began_at, said)


def _chat(client: httpx2.Client, model: str) -> str:
    return _ask(client, model, "Say hello.")


def _vision(client: httpx2.Client, model: str) -> str:
    url = "data:image/png;base64," + base64.b64encode(grey_png(_SIDE)).decode()
    image = {"type": "image_url", "image_url": {"url": url}}
    return _ask(client, model, [image, {"type": "text", "text": "What colour is this?"}])


def _ask(client: httpx2.Client, model: str, content: Any) -> str:
    body = {"model": model, "messages": [{"role": "user", "content": content}], "max_tokens": 16}
    answer = _answer(client.post("/v1/chat/completions", json=body))
    text = answer["choices"][0]["message"]["content"]
    if not text:
        raise _Wrong("the answer is empty")
    return _short(text)


def _embeddings(client: httpx2.Client, model: str) -> str:
    body = {"model": model, "input": ["hello", "world"]}
    rows = [row["embedding"] for row in _answer(client.post("/v1/embeddings", json=body))["data"]]
    sizes = {len(row) for row in rows}
    if len(rows) != 2 or len(sizes) != 1 or rows[0] == rows[1]:
        raise _Wrong(f"{len(rows)} vectors of {sorted(sizes)} dimensions, or equal ones, for 2")
    return f"2 vectors of {len(rows[0])} dimensions"


def _rerank(client: httpx2.Client, model: str) -> str:
    texts = ["Paris is the capital of France.", "A panda is a bear."]
    body = {"model": model, "query": "capital of France", "documents": texts}
    found = _answer(client.post("/v1/rerank", json=body))["results"]
    if sorted(row["index"] for row in found) != [0, 1]:
        raise _Wrong(f"{len(found)} results for 2 documents")
    return f"best: {texts[found[0]['index']]}"


def _speech(client: httpx2.Client, model: str, audio: bytes | None, path: str) -> str:
    file = ("speech", audio) if audio else (SENTENCE.name, SENTENCE.read_bytes())
    form = {"model": model}
    answer = client.post(path, data=form, files={"file": file})
    text = _short(_answer(answer)["text"])
    if not text and audio is None:
        raise _Wrong("it has heard no words in a spoken sentence")
    return text or "no words"


_SPOKEN = {
    CAPABILITIES["speech"]: "/v1/audio/transcriptions",
    TRANSLATION: "/v1/audio/translations",
}
_TRIALS: dict[str, Callable[[httpx2.Client, str], str]] = {
    CAPABILITIES["chat"]: _chat,
    VISION: _vision,
    CAPABILITIES["embed"]: _embeddings,
    CAPABILITIES["rerank"]: _rerank,
}


def _answer(response: httpx2.Response) -> Answer:
    body = response.json()
    if response.status_code != 200:
        raise _Wrong(f"{response.status_code}: {body['error']['message']}")
    return body


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _SHOWN_CHARS else f"{line[: _SHOWN_CHARS - 1]}…"
