"""POST /v1/chat/completions: what is asked, as a `ChatInput`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, StringConstraints

from frontend.schemas.images import MAX_IMAGES, Remote, is_data_url, read_data_url
from frontend.schemas.validate import (
    WHOLE,
    Body,
    Name,
    NoNul,
    check,
    no_nul,
    refuse_unsupported,
)
from ipc.errors import InvalidRequest, UnsupportedParameter
from ipc.types import Blob, ChatInput, Image, Message, Sampling, Spec, Text

MAX_MESSAGES = 2048
MAX_PARTS = 2048
MAX_STOPS = 4
MAX_STOP_CHARS = 256
# Engines seed with an unsigned 64-bit number, clients send signed ones.
SEEDS = 1 << 63

_ROLES: dict[str, Literal["system", "user", "assistant"]] = {
    "developer": "system",
    "system": "system",
    "user": "user",
    "assistant": "assistant",
}
_TOOL_ROLES = ("tool", "function")
_TEXT_PARTS = {"text": "text", "input_text": "text", "refusal": "refusal"}
_MEDIA_PARTS = {
    "image_url": "images",
    "input_audio": "audio",
    "file": "files",
    "video_url": "video",
}

# The part of the API that is not built, with the values that ask for nothing.
HARMLESS: dict[str, tuple[Any, ...]] = {
    "n": (1,),
    "logprobs": (False,),
    "top_logprobs": (0,),
    "logit_bias": ({},),
    "response_format": ({"type": "text"},),
    "modalities": (["text"],),
    "functions": ([],),
    "function_call": ("none", "auto"),
    "audio": (),
    "web_search_options": (),
    "moderation": (),
}


def _as_list(stop: object) -> object:
    return [stop] if isinstance(stop, str) else stop


Stop = Annotated[str, StringConstraints(max_length=MAX_STOP_CHARS), NoNul]
Penalty = Annotated[float, Field(ge=-2, le=2)]
Count = Annotated[int, Field(ge=1), WHOLE]


class StreamOptions(Body):
    include_usage: bool | None = None


class Turn(Body):
    """One message. ``content`` is looked into by hand: its shape depends on the model too."""

    role: str
    content: Any = None
    tool_calls: Any = None
    function_call: Any = None


class ChatRequest(Body):
    model: Name
    messages: Annotated[list[Turn], Field(min_length=1, max_length=MAX_MESSAGES)]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: Count | None = None
    max_completion_tokens: Count | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    stop: Annotated[list[Stop], BeforeValidator(_as_list), Field(max_length=MAX_STOPS)] | None = (
        None
    )
    seed: Annotated[int, WHOLE] | None = None
    presence_penalty: Penalty | None = None
    frequency_penalty: Penalty | None = None

    @property
    def include_usage(self) -> bool:
        return bool(self.stream_options and self.stream_options.include_usage)

    def to_input(self, spec: Spec, remote: list[Remote]) -> ChatInput:
        """The job for ``spec``; adds to ``remote`` the images that must be fetched first.

        Raises `InvalidRequest` where a message is not for this model.
        """
        messages = [_message(turn, at, spec, remote) for at, turn in enumerate(self.messages)]
        _check_count(messages)
        return ChatInput(messages=messages, sampling=self._sampling(spec))

    def _sampling(self, spec: Spec) -> Sampling:
        defaults = spec.defaults
        temperature = defaults.temperature if self.temperature is None else self.temperature
        top_p = defaults.top_p if self.top_p is None else self.top_p
        if top_p == 0:  # only the likeliest token: greedy by another name, which engines refuse
            temperature, top_p = 0.0, 1.0
        wanted = self.max_completion_tokens or self.max_tokens or defaults.max_tokens
        return Sampling(
            max_tokens=min(wanted, spec.max_new_tokens),
            temperature=temperature,
            top_p=top_p,
            stop=[stop for stop in self.stop or [] if stop],
            seed=None if self.seed is None else self.seed % SEEDS,
            presence_penalty=self.presence_penalty or 0.0,
            frequency_penalty=self.frequency_penalty or 0.0,
        )


def parse_chat(data: Mapping[str, Any]) -> ChatRequest:
    """The checked request. Raises `InvalidRequest`, or `UnsupportedParameter`."""
    refuse_unsupported(data, HARMLESS)
    if data.get("tools") not in (None, []) and data.get("tool_choice") != "none":
        raise UnsupportedParameter(
            "`tools` are not supported; leave them out or send `tool_choice` 'none'", param="tools"
        )
    if data.get("tool_choice") not in (None, "none", "auto"):
        raise UnsupportedParameter(
            "`tool_choice` needs tools, which are not supported", param="tool_choice"
        )
    return check(ChatRequest, data)


def _message(turn: Turn, at: int, spec: Spec, remote: list[Remote]) -> Message:
    path = f"messages[{at}]"
    if (
        turn.role in _TOOL_ROLES
        or turn.tool_calls not in (None, [])
        or turn.function_call is not None
    ):
        raise UnsupportedParameter(f"`{path}` is about tools, which are not supported", param=path)
    role = _ROLES.get(turn.role)
    if role is None:
        raise InvalidRequest(
            f"`{path}.role` must be one of {', '.join(_ROLES)}", param=f"{path}.role"
        )
    content = _content(turn.content, f"{path}.content", spec, remote)
    if role != "user" and not isinstance(content, str):
        raise InvalidRequest(f"`{path}`: only messages of the user have images", param=path)
    return Message(role, content)


def _check_count(messages: list[Message]) -> None:
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
        return _clean(content, path)
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
    return Text(_clean(text, f"{path}.{key}"))


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


def _clean(text: str, path: str) -> str:
    try:
        return no_nul(text)
    except ValueError as error:
        raise InvalidRequest(f"`{path}` {error}", param=path) from None
