"""The tools. Each is a route of this server under another name: it makes a request of its
arguments, and what a model can read of the answer."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import orjson

from frontend.api.mcp import arguments as its
from frontend.api.validate import Exact
from frontend.in_process import JSON, Answered, Asked
from frontend.multipart import form
from ipc.messages.errors import InvalidRequest
from ipc.messages.jobs import Task
from ipc.tasks import TASKS

Result = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """``asks`` makes the request of checked arguments, ``gives`` the result of an answer that is no
    error. It needs a model for ``task``; one for ``admin`` is for who manages the server."""

    name: str
    title: str
    description: str
    takes: type[Exact] = its.Nothing
    asks: Callable[[Any], Asked]
    gives: Callable[[Answered], Result]
    task: Task | None = None
    admin: bool = False

    def described(self, models: list[str]) -> Result:
        """As a list of tools has it, with the names of the ``models`` that it may be asked for."""
        return {
            "name": self.name,
            "title": self.title,
            "description": self.description,
            "inputSchema": its.described(self.takes, models),
            "annotations": {"readOnlyHint": True, "openWorldHint": False},
        }


def text(*parts: str) -> Result:
    """A result of nothing but text."""
    return {"content": [{"type": "text", "text": part} for part in parts]}


def refused(answered: Answered) -> Result:
    """Why there is no result, for the model that has asked."""
    try:
        error = orjson.loads(answered.body)["error"]
        told = f"{error['code']}: {error['message']}"
    except (orjson.JSONDecodeError, LookupError, TypeError):
        told = f"the server answered {answered.status}"
    return {**text(told), "isError": True}


# --- requests -------------------------------------------------------------------------------------


def _get(path: str, **query: str | int) -> Asked:
    return Asked("GET", path, urlencode(query))


def _post(task: Task, body: Mapping[str, Any]) -> Asked:
    given = {name: value for name, value in body.items() if value is not None}
    return Asked("POST", TASKS[task].path, headers=(JSON,), body=orjson.dumps(given))


def _chat(asked: its.ChatArguments) -> Asked:
    body = asked.model_dump(exclude={"prompt", "system"})
    messages = [{"role": "system", "content": asked.system}] if asked.system else []
    messages.append({"role": "user", "content": asked.prompt})
    return _post("chat", {**body, "messages": messages})


def _transcribe(asked: its.TranscribeArguments) -> Asked:
    try:
        audio = base64.b64decode(asked.audio, validate=True)
    except (binascii.Error, ValueError):
        raise InvalidRequest("`audio` must be base64", param="audio") from None
    fields = asked.model_dump(exclude={"audio", "filename"}, exclude_none=True)
    kind, body = form(fields, asked.filename, audio)
    return Asked("POST", TASKS["speech"].path, headers=(kind,), body=body)


# --- results --------------------------------------------------------------------------------------


def _as_json(answered: Answered) -> Result:
    return _told(orjson.loads(answered.body))


def _told(found: Any) -> Result:
    """For programs as it is, and for models as text."""
    return {**text(orjson.dumps(found).decode()), "structuredContent": found}


def _said(answered: Answered) -> Result:
    choice = orjson.loads(answered.body)["choices"][0]
    cut = "(The answer is cut off: it has reached the limit of its tokens.)"
    ends = [cut] if choice["finish_reason"] == "length" else []
    return text(choice["message"]["content"] or "", *ends)


def _heard(answered: Answered) -> Result:
    return text(orjson.loads(answered.body)["text"])


def _spoken(answered: Answered) -> Result:
    sound = base64.b64encode(answered.body).decode("ascii")
    kind = answered.headers["content-type"].partition(";")[0]
    return {"content": [{"type": "audio", "data": sound, "mimeType": kind}]}


def _as_text(answered: Answered) -> Result:
    return text(answered.body.decode("utf-8", "replace"))


def _happened(answered: Answered) -> Result:
    lines = answered.body.split(b"\n")
    return _told({"events": [orjson.loads(line[6:]) for line in lines if line[:6] == b"data: "]})


# --- the table ------------------------------------------------------------------------------------

_OF_MODELS = (
    Tool(
        name="list_models",
        title="List models",
        description="The models of this server, with what each can do and whether it is loaded.",
        asks=lambda _: _get("/v1/models"),
        gives=_as_json,
    ),
    Tool(
        name="chat",
        title="Ask a local model",
        description="Has a small language model on this machine answer a prompt. Nothing leaves "
        "the machine; it knows nothing of this conversation but the prompt.",
        takes=its.ChatArguments,
        asks=_chat,
        gives=_said,
        task="chat",
    ),
    Tool(
        name="transcribe",
        title="Transcribe speech",
        description="Writes down what is said in a recording.",
        takes=its.TranscribeArguments,
        asks=_transcribe,
        gives=_heard,
        task="speech",
    ),
    Tool(
        name="embed",
        title="Embed texts",
        description="Makes a vector of each text: texts that mean alike have vectors that point "
        "alike.",
        takes=its.EmbedArguments,
        asks=lambda asked: _post("embed", asked.model_dump()),
        gives=_as_json,
        task="embed",
    ),
    Tool(
        name="speak",
        title="Speak a text",
        description="Makes a recording of a voice that reads a text.",
        takes=its.SpeakArguments,
        asks=lambda asked: _post("speak", asked.model_dump()),
        gives=_spoken,
        task="speak",
    ),
    Tool(
        name="health",
        title="Health",
        description="Every process of this server, measured now: state, memory, queue, speed.",
        asks=lambda _: _get("/health"),
        gives=_as_json,
    ),
)
_OF_OPERATORS = (
    Tool(
        name="requests",
        title="Requests",
        description="What this server works on, and the last requests that it has ended, with "
        "their times. Never what they say.",
        takes=its.RequestsArguments,
        asks=lambda asked: _get("/admin/requests", limit=asked.limit),
        gives=_as_json,
        admin=True,
    ),
    Tool(
        name="events",
        title="Events",
        description="What has happened to this server: loads, crashes, evictions, full queues.",
        takes=its.EventsArguments,
        asks=lambda asked: _get("/admin/events", after=asked.after, follow="false"),
        gives=_happened,
        admin=True,
    ),
    Tool(
        name="box",
        title="The machine",
        description="Processors, memory, GPUs, disks and temperatures of the machine.",
        asks=lambda _: _get("/admin/box"),
        gives=_as_json,
        admin=True,
    ),
    Tool(
        name="log",
        title="Log",
        description="The last lines that a process of this server has written.",
        takes=its.LogArguments,
        asks=lambda asked: _get(f"/admin/logs/{asked.process}", tail=asked.tail),
        gives=_as_text,
        admin=True,
    ),
)
TOOLS: Mapping[str, Tool] = {tool.name: tool for tool in (*_OF_MODELS, *_OF_OPERATORS)}
