"""The messages of a chat: what clients send, as `Message`s.

A history of calls is read whether or not the model can call: a conversation may have been with
another one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal, NamedTuple

from pydantic import BeforeValidator, ConfigDict, Field, StringConstraints, Tag, WithJsonSchema
from pydantic.json_schema import SkipJsonSchema
from pydantic_core import PydanticCustomError

from frontend.api.fields import NEEDS, NoNul, Text, by_key, described_as_required, no_nul, text_or
from frontend.api.images import MAX_IMAGES, Remote, is_data_url, read_data_url
from frontend.api.openai.tools_request import Called, Calls, Id, read_calls
from frontend.api.validate import Body
from ipc.messages import jobs
from ipc.messages.blob import Blob
from ipc.messages.errors import InvalidRequest, UnsupportedParameter
from ipc.messages.jobs import Image, Message, ToolCall
from ipc.messages.spec import Spec
from ipc.tasks import VISION

MAX_MESSAGES = 2048
MAX_PARTS = 2048
MAX_NAME_CHARS = 256

_UNREAD = {"input_audio": "audio", "file": "files", "video_url": "video", "audio_url": "audio"}


# --- parts ---


class TextPart(Body):
    type: Literal["text", "input_text"]
    text: Text


class RefusalPart(Body):
    type: Literal["refusal"]
    refusal: Text


class ImageUrl(Body):
    url: str


class ImagePart(Body):
    model_config = ConfigDict(json_schema_extra={NEEDS: VISION})

    type: Literal["image_url"]
    image_url: ImageUrl


class UnreadPart(Body):
    """It is understood, and refused."""

    type: Literal["input_audio", "file", "video_url", "audio_url"]


_PARTS = by_key(
    "type",
    {
        "text": "<text>",
        "input_text": "<text>",
        "refusal": "<refusal>",
        "image_url": "<image>",
        **dict.fromkeys(_UNREAD, "<unread>"),
    },
)
_Written = Annotated[TextPart, Tag("<text>")] | Annotated[RefusalPart, Tag("<refusal>")]
_Unread = Annotated[SkipJsonSchema[UnreadPart], Tag("<unread>")]
SeenPart = Annotated[_Written | Annotated[ImagePart, Tag("<image>")] | _Unread, _PARTS]
# Images in other messages than the user's are told apart only to be refused by name.
ReadPart = Annotated[
    _Written | Annotated[SkipJsonSchema[ImagePart], Tag("<image>")] | _Unread, _PARTS
]
_TEXT_OR_PARTS = text_or("<parts>", list, "must be a string or an array of parts")
_WHOLE = Annotated[Text, Tag("<text>")]
_AT_MOST = Field(max_length=MAX_PARTS)
SeenContent = Annotated[
    _WHOLE | Annotated[list[SeenPart], _AT_MOST, Tag("<parts>")], _TEXT_OR_PARTS
]
ReadContent = Annotated[
    _WHOLE | Annotated[list[ReadPart], _AT_MOST, Tag("<parts>")], _TEXT_OR_PARTS
]


# --- turns ---


def _no_call(given: object) -> None:
    if given is not None:
        raise ValueError("is for an assistant's messages only")


def _no_calls(given: object) -> None:
    _no_call(None if given == [] else given)


def _no_audio(given: object) -> None:
    if given is not None:
        why = "is not supported: models answer in text"
        raise PydanticCustomError("unsupported", "{why}", {"why": why})


def _thoughts(given: object) -> object:
    """A text; other shapes, of which no template could make anything, are nothing."""
    return no_nul(given) if isinstance(given, str) else None


TurnName = Annotated[str, StringConstraints(max_length=MAX_NAME_CHARS), NoNul]
NoCalls = Annotated[None, BeforeValidator(_no_calls), WithJsonSchema({"enum": [None, []]})]
NoCall = Annotated[None, BeforeValidator(_no_call)]
Thoughts = Annotated[
    Text | None,
    BeforeValidator(_thoughts),
    WithJsonSchema(
        {"anyOf": [{"type": "string", "pattern": "^[^\\x00]*$"}, {"not": {"type": "string"}}]}
    ),
]
NoAudio = Annotated[None, BeforeValidator(_no_audio)]


class _Turn(Body):
    """One message as it is sent."""

    name: TurnName | None = None
    audio: NoAudio = None


class InstructionTurn(_Turn):
    role: Literal["developer", "system"]
    content: ReadContent
    tool_calls: NoCalls = None
    function_call: NoCall = None


class UserTurn(_Turn):
    role: Literal["user"]
    content: SeenContent
    tool_calls: NoCalls = None
    function_call: NoCall = None


class AssistantTurn(_Turn):
    """``content`` may be missing, and is then the ``refusal`` or empty. What the model thought
    goes by three names, the first of which counts; clients send what they were sent, so a text
    alone is read: `thinking` of others may be an object."""

    role: Literal["assistant"]
    content: ReadContent | None = None
    refusal: Text | None = None
    tool_calls: Calls | None = None
    function_call: Called | None = None
    reasoning_content: Thoughts = None
    reasoning: Thoughts = None
    thinking: Thoughts = None

    @property
    def thoughts(self) -> str | None:
        return self.reasoning_content or self.reasoning or self.thinking or None


class _ResultTurn(_Turn):
    content: ReadContent | None = None
    refusal: Text | None = None
    tool_calls: NoCalls = None
    function_call: NoCall = None
    tool_call_id: Id | None = None


class ToolTurn(_ResultTurn):
    model_config = ConfigDict(json_schema_extra=described_as_required("tool_call_id"))

    role: Literal["tool"]


class FunctionTurn(_ResultTurn):
    model_config = ConfigDict(json_schema_extra=described_as_required("name"))

    role: Literal["function"]
    name: Annotated[TurnName, Field(min_length=1)] | None = None


Turn = Annotated[
    Annotated[InstructionTurn, Tag("<instruction>")]
    | Annotated[UserTurn, Tag("<user>")]
    | Annotated[AssistantTurn, Tag("<assistant>")]
    | Annotated[ToolTurn, Tag("<tool>")]
    | Annotated[FunctionTurn, Tag("<function>")],
    by_key(
        "role",
        {
            "developer": "<instruction>",
            "system": "<instruction>",
            "user": "<user>",
            "assistant": "<assistant>",
            "tool": "<tool>",
            "function": "<function>",
        },
    ),
]
Turns = Annotated[list[Turn], Field(min_length=1, max_length=MAX_MESSAGES)]


class _Open(NamedTuple):
    """A call that no turn has answered yet."""

    id: str
    name: str


def read_turns(turns: Sequence[Turn], spec: Spec, remote: list[Remote]) -> list[Message]:
    """The conversation for ``spec``; adds to ``remote`` the images that must be fetched first.

    Raises `InvalidRequest` where a message is not for this model, or not in its place.
    """
    reader = _Reader(spec, remote)
    messages = [reader.read(turn, at) for at, turn in enumerate(turns)]
    check_count(messages)
    return messages


class _Reader:
    """Reads turns in their order, and remembers the calls that are still unanswered."""

    def __init__(self, spec: Spec, remote: list[Remote]) -> None:
        self._spec = spec
        self._remote = remote
        self._open: list[_Open] = []

    def read(self, turn: Turn, at: int) -> Message:
        path = f"messages[{at}]"
        content = self._content(turn, path)
        match turn:
            case UserTurn():
                return Message("user", content, name=turn.name or None)
            case InstructionTurn():
                return Message("system", content, name=turn.name or None)
            case AssistantTurn():
                calls = self._calls(turn, f"call_{at}")
                return Message(
                    "assistant",
                    content,
                    tool_calls=calls,
                    name=turn.name or None,
                    reasoning=turn.thoughts,
                )
            case _:
                return self._answer(turn, content, path)

    def _content(self, turn: Turn, path: str) -> str | list[jobs.Text | Image]:
        given = turn.content
        if given is None:
            return getattr(turn, "refusal", None) or ""
        if isinstance(given, str):
            return given
        content = _content(given, f"{path}.content", self._spec, self._remote)
        if not isinstance(turn, UserTurn) and not isinstance(content, str):
            raise InvalidRequest(f"`{path}`: only messages of the user have images", param=path)
        return content

    def _calls(self, turn: AssistantTurn, default_id: str) -> list[ToolCall]:
        calls = read_calls(turn.tool_calls or (), default_id)
        if turn.function_call is not None:
            calls.append(turn.function_call.to_call(default_id))
        self._open += [_Open(call.id, call.name) for call in calls]
        return calls

    def _answer(
        self, turn: _ResultTurn, content: str | list[jobs.Text | Image], path: str
    ) -> Message:
        """A tool's result, with its call's name where the turn does not say it."""
        name = turn.name or None
        call = self._answered(turn, name, path)
        name = name or call.name or None
        return Message("tool", content, tool_call_id=call.id or None, name=name)

    def _answered(self, turn: _ResultTurn, name: str | None, path: str) -> _Open:
        """The call that ``turn`` answers, which is open no longer. One that is not there may have
        been cut off with the beginning of the conversation."""
        if turn.tool_call_id is not None:
            found = [call for call in self._open if call.id == turn.tool_call_id]
            call = found[0] if found else _Open(turn.tool_call_id, "")
        elif isinstance(turn, FunctionTurn):
            if name is None:
                raise InvalidRequest(f"`{path}.name` is required", param=f"{path}.name")
            found = [call for call in self._open if call.name == name]
            call = found[0] if found else _Open("", "")
        elif len(self._open) == 1:
            call = self._open[0]
        else:
            raise InvalidRequest(
                f"`{path}.tool_call_id` is required, unless just one call is unanswered",
                param=f"{path}.tool_call_id",
            )
        self._open = [other for other in self._open if other is not call]
        return call


def check_count(messages: list[Message]) -> None:
    """Raise `InvalidRequest` for too many images."""
    count = sum(len(message.images) for message in messages)
    if count > MAX_IMAGES:
        raise InvalidRequest(
            f"the messages have {count} images; send at most {MAX_IMAGES}", param="messages"
        )


def _content(
    given: Sequence[SeenPart | ReadPart], path: str, spec: Spec, remote: list[Remote]
) -> str | list[jobs.Text | Image]:
    parts = [_part(part, f"{path}[{at}]", spec, remote) for at, part in enumerate(given)]
    if any(isinstance(part, Image) for part in parts):
        return parts
    return "\n".join(part.text for part in parts if isinstance(part, jobs.Text))


def _part(
    part: SeenPart | ReadPart, path: str, spec: Spec, remote: list[Remote]
) -> jobs.Text | Image:
    if isinstance(part, TextPart):
        return jobs.Text(part.text)
    if isinstance(part, RefusalPart):
        return jobs.Text(part.refusal)
    if isinstance(part, ImagePart) and spec.vision:
        return _image(part.image_url.url, f"{path}.image_url.url", remote)
    reads = "text and images" if spec.vision else "text"
    raise UnsupportedParameter(
        f"`{path}`: model {spec.name!r} reads {reads} only, no {_UNREAD.get(part.type, 'images')}",
        param=path,
    )


def _image(url: str, path: str, remote: list[Remote]) -> Image:
    if is_data_url(url):
        return Image(Blob(read_data_url(url, path)))
    image = Image(Blob(b""))
    remote.append(Remote(url, path, image))
    return image
