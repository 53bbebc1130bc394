"""The messages of Ollama's chats, and what they are in the words of chat completions.

Its calls have no ids as a rule, nor do results say which call they are of: they come in the order
of the calls, some with the name of their tool.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import Field, Tag, WithJsonSchema

from frontend.api.fields import NEEDS, Schema, Text, by_key
from frontend.api.images import MAX_IMAGES, is_data_url
from frontend.api.openai.messages_request import MAX_MESSAGES, NoCalls, TurnName
from frontend.api.openai.tools_request import Call, Calls, Id
from frontend.api.validate import Body
from ipc.tasks import VISION

_SOME_IMAGES: Schema = {
    "type": "array",
    "items": {"type": "string"},
    "maxItems": MAX_IMAGES,
    NEEDS: VISION,
}
# In base64, of which data URLs are accepted too.
Images = Annotated[
    Annotated[list[str], Field(max_length=MAX_IMAGES)] | None,
    WithJsonSchema({"anyOf": [_SOME_IMAGES, {"type": "array", "maxItems": 0}, {"type": "null"}]}),
]
NoImages = Annotated[list[str], Field(max_length=0)]


class _OllamaTurn(Body):
    content: Text | None = None


class OllamaSystem(_OllamaTurn):
    role: Literal["system"]
    images: NoImages | None = None
    tool_calls: NoCalls = None


class OllamaUser(_OllamaTurn):
    role: Literal["user"]
    images: Images = None
    tool_calls: NoCalls = None


class OllamaAssistant(_OllamaTurn):
    role: Literal["assistant"]
    images: NoImages | None = None
    thinking: Text | None = None
    tool_calls: Calls | None = None


class OllamaResult(_OllamaTurn):
    role: Literal["tool"]
    images: NoImages | None = None
    tool_calls: NoCalls = None
    tool_name: TurnName | None = None
    tool_call_id: Id | None = None


OllamaTurn = Annotated[
    Annotated[OllamaSystem, Tag("<system>")]
    | Annotated[OllamaUser, Tag("<user>")]
    | Annotated[OllamaAssistant, Tag("<assistant>")]
    | Annotated[OllamaResult, Tag("<tool>")],
    by_key("role", {role: f"<{role}>" for role in ("system", "user", "assistant", "tool")}),
]
OllamaTurns = Annotated[list[OllamaTurn], Field(max_length=MAX_MESSAGES)]


class _Open(NamedTuple):
    """A call without a result so far."""

    id: str
    name: str


def turns_of(turns: Sequence[OllamaTurn]) -> list[dict[str, Any]]:
    """``turns`` in the words of `ChatRequest`."""
    history = _History()
    return [history.said(turn, at) for at, turn in enumerate(turns)]


def with_images(content: str, images: Sequence[str]) -> str | list[dict[str, Any]]:
    """The content of a user's message: its images, then its text."""
    if not images:
        return content
    parts: list[dict[str, Any]] = [
        {"type": "image_url", "image_url": {"url": _data_url(image)}} for image in images
    ]
    return [*parts, *([{"type": "text", "text": content}] if content else [])]


def _data_url(image: str) -> str:
    return image if is_data_url(image) else f"data:;base64,{image}"


class _History:
    """Gives each call an id, and each result that of its call."""

    def __init__(self) -> None:
        self._open: list[_Open] = []

    def said(self, turn: OllamaTurn, at: int) -> dict[str, Any]:
        content = turn.content or ""
        match turn:
            case OllamaUser():
                return {"role": "user", "content": with_images(content, turn.images or ())}
            case OllamaAssistant():
                return {
                    "role": "assistant",
                    "content": content,
                    "thinking": turn.thinking,
                    "tool_calls": self._calls(turn.tool_calls or (), at),
                }
            case OllamaResult():
                call = self._answered(turn, at)
                name = turn.tool_name or call.name or None
                return {"role": "tool", "content": content, "tool_call_id": call.id, "name": name}
            case _:
                return {"role": turn.role, "content": content}

    def _calls(self, calls: Sequence[Call], at: int) -> list[dict[str, Any]]:
        named = [(call.id or f"call_{at}_{place}", call) for place, call in enumerate(calls)]
        self._open += [_Open(call_id, call.function.name) for call_id, call in named]
        return [
            {"id": call_id, "type": "function", "function": call.function.model_dump()}
            for call_id, call in named
        ]

    def _answered(self, turn: OllamaResult, at: int) -> _Open:
        """The call that ``turn`` is the result of, open no longer: the first that fits what the
        turn says. One that is not there may have been cut off with the beginning of the chat."""
        fitting = [call for call in self._open if _fits(call, turn)]
        if not fitting:
            return _Open(turn.tool_call_id or f"call_{at}", "")
        self._open.remove(fitting[0])
        return fitting[0]


def _fits(call: _Open, turn: OllamaResult) -> bool:
    if turn.tool_call_id is not None:
        return call.id == turn.tool_call_id
    return turn.tool_name in (None, "", call.name)
