"""The messages of a chat: what clients send, as `Message`s.

Shapes are looked into by hand, since they depend on the role and on the model. A history of calls
is read whether or not the model can call: a conversation may have been with another one.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

from frontend.api.images import MAX_IMAGES, Remote, is_data_url, read_data_url
from frontend.api.openai.tools_request import read_calls, read_function_call, read_id
from frontend.api.validate import Body, clean
from ipc.messages.blob import Blob
from ipc.messages.errors import InvalidRequest, UnsupportedParameter
from ipc.messages.jobs import Image, Message, Text, ToolCall
from ipc.messages.spec import Spec

MAX_MESSAGES = 2048
MAX_PARTS = 2048
MAX_NAME_CHARS = 256

ROLES: dict[str, Literal["system", "user", "assistant", "tool"]] = {
    "developer": "system",
    "system": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
    "function": "tool",
}
# Whose content may be null or missing, which counts as empty.
_MAY_BE_SILENT = ("assistant", "tool")
_TEXT_PARTS = {"text": "text", "input_text": "text", "refusal": "refusal"}
_MEDIA_PARTS = {
    "image_url": "images",
    "input_audio": "audio",
    "file": "files",
    "video_url": "video",
    "audio_url": "audio",
}


class Turn(Body):
    """One message as it is sent. What a model thought before (`reasoning_content` and its like) is
    not read: templates leave the thoughts of earlier turns out."""

    role: str
    content: Any = None
    refusal: Any = None
    name: Any = None
    audio: Any = None
    tool_calls: Any = None
    tool_call_id: Any = None
    function_call: Any = None


class _Open(NamedTuple):
    """A call that no turn has answered yet."""

    id: str
    name: str


def read_turns(turns: list[Turn], spec: Spec, remote: list[Remote]) -> list[Message]:
    """The conversation for ``spec``; adds to ``remote`` the images that must be fetched first.

    Raises `InvalidRequest` where a message is malformed or not for this model.
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
        path, role = f"messages[{at}]", ROLES.get(turn.role)
        if role is None:
            raise InvalidRequest(
                f"`{path}.role` must be one of {', '.join(ROLES)}", param=f"{path}.role"
            )
        content, calls = self._content(turn, role, path), self._calls(turn, path, f"call_{at}")
        if role == "tool":
            return self._answer(turn, content, path)
        return Message(role, content, tool_calls=calls, name=_name(turn.name, f"{path}.name"))

    def _content(self, turn: Turn, role: str, path: str) -> str | list[Text | Image]:
        if turn.audio is not None:
            raise UnsupportedParameter(
                f"`{path}.audio` is not supported: models answer in text", param=f"{path}.audio"
            )
        given = turn.content
        if given is None and role in _MAY_BE_SILENT:
            given = turn.refusal if isinstance(turn.refusal, str) else ""
        content = _content(given, f"{path}.content", self._spec, self._remote)
        if role != "user" and not isinstance(content, str):
            raise InvalidRequest(f"`{path}`: only messages of the user have images", param=path)
        return content

    def _calls(self, turn: Turn, path: str, default_id: str) -> list[ToolCall]:
        calls = read_calls(turn.tool_calls, f"{path}.tool_calls", default_id)
        calls += read_function_call(turn.function_call, f"{path}.function_call", default_id)
        if calls and turn.role != "assistant":
            raise InvalidRequest(f"`{path}`: only an assistant's messages have calls", param=path)
        self._open += [_Open(call.id, call.name) for call in calls]
        return calls

    def _answer(self, turn: Turn, content: str | list[Text | Image], path: str) -> Message:
        """A tool's result, with its call's name where the turn does not say it."""
        given_name = _name(turn.name, f"{path}.name")
        call = self._answered(turn, given_name, path)
        return Message(
            "tool", content, tool_call_id=call.id or None, name=given_name or call.name or None
        )

    def _answered(self, turn: Turn, name: str | None, path: str) -> _Open:
        """The call that ``turn`` answers, which is open no longer. One that is not there may have
        been cut off with the beginning of the conversation."""
        if turn.tool_call_id is not None:
            wanted = read_id(turn.tool_call_id, f"{path}.tool_call_id")
            found = [call for call in self._open if call.id == wanted]
            call = found[0] if found else _Open(wanted, "")
        elif turn.role == "function":
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


def _name(given: object, path: str) -> str | None:
    if given is None or given == "":
        return None
    if not isinstance(given, str) or len(given) > MAX_NAME_CHARS:
        raise InvalidRequest(
            f"`{path}` must be a string of at most {MAX_NAME_CHARS} characters", param=path
        )
    return clean(given, path)


def check_count(messages: list[Message]) -> None:
    """Raise `InvalidRequest` for too many images."""
    # Only those in parts: a plain text would be looked through letter by letter.
    in_parts = [message.content for message in messages if isinstance(message.content, list)]
    count = sum(isinstance(part, Image) for parts in in_parts for part in parts)
    if count > MAX_IMAGES:
        raise InvalidRequest(
            f"the messages have {count} images; send at most {MAX_IMAGES}", param="messages"
        )


def _content(
    content: object, path: str, spec: Spec, remote: list[Remote]
) -> str | list[Text | Image]:
    if isinstance(content, str):
        return clean(content, path)
    if not isinstance(content, list):
        raise InvalidRequest(f"`{path}` must be a string or an array of parts", param=path)
    if len(content) > MAX_PARTS:
        raise InvalidRequest(f"`{path}` must have at most {MAX_PARTS} items", param=path)
    parts = [_part(part, f"{path}[{at}]", spec, remote) for at, part in enumerate(content)]
    if any(isinstance(part, Image) for part in parts):
        return parts
    return "\n".join(part.text for part in parts if isinstance(part, Text))


def _part(part: object, path: str, spec: Spec, remote: list[Remote]) -> Text | Image:
    kind = part.get("type") if isinstance(part, dict) else None
    if not isinstance(part, dict) or not isinstance(kind, str):
        raise InvalidRequest(f"`{path}` must be an object with a `type`", param=path)
    if kind == "image_url" and spec.vision:
        return _image(part.get("image_url"), f"{path}.image_url", remote)
    if kind in _MEDIA_PARTS:
        reads = "text and images" if spec.vision else "text"
        raise UnsupportedParameter(
            f"`{path}`: model {spec.name!r} reads {reads} only, no {_MEDIA_PARTS[kind]}", param=path
        )
    key = _TEXT_PARTS.get(kind)
    if key is None:
        raise InvalidRequest(f"`{path}.type` must be 'text'", param=f"{path}.type")
    text = part.get(key)
    if not isinstance(text, str):
        raise InvalidRequest(f"`{path}.{key}` must be a string", param=f"{path}.{key}")
    return Text(clean(text, f"{path}.{key}"))


def _image(image_url: object, path: str, remote: list[Remote]) -> Image:
    url = image_url.get("url") if isinstance(image_url, dict) else None
    path = f"{path}.url"
    if not isinstance(url, str):
        raise InvalidRequest(f"`{path}` must be a string", param=path)
    if is_data_url(url):
        return Image(Blob(read_data_url(url, path)))
    image = Image(Blob(b""))
    remote.append(Remote(url, path, image))
    return image
