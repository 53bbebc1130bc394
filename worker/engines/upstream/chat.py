"""Chats as an OpenAI-compatible server is asked for them. No sockets in here.

What has its neutral value is left out, for servers that do not know it.
"""

from __future__ import annotations

import base64
from typing import Any

from ipc.messages.errors import UnsupportedParameter
from ipc.messages.jobs import ChatInput, Image, Message, Sampling, ToolCall

# What servers skip in silence, by the `owned_by` of the models that they list. Others are taken
# at their word: they do what they are asked, or refuse it themselves.
_MINE = ("top_k", "min_p", "repetition_penalty", "ignore_eos", "min_tokens", "stop_token_ids")
SKIPPED_BY: dict[str, tuple[str, ...]] = {
    # tools/server/README.md of b11549
    "llamacpp": ("min_tokens", "stop_token_ids"),
    # openai/openai.go of 00988753: its request has none of them
    "library": _MINE,
}

# llama.cpp's penalties see 64 tokens if not told. It takes no -1 any more, and makes room for as
# many as it is told.
_ALL_TOKENS = 1 << 17


def chat_body(asked: ChatInput, model: str) -> dict[str, Any]:
    """The request for ``asked``, streamed."""
    sampling = asked.sampling
    return {
        "model": model,
        "messages": [_message(turn) for turn in asked.messages],
        "max_tokens": sampling.max_tokens,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "stream": True,
        "stream_options": {"include_usage": True},
        **_optional(sampling),
    }


def check_asked(sampling: Sampling, owned_by: str) -> None:
    """Raise `UnsupportedParameter` for what the server of such models would skip in silence."""
    asked = _optional(sampling)
    for name in SKIPPED_BY.get(owned_by, ()):
        if name in asked:
            raise UnsupportedParameter(
                f"`{name}` is not supported by the server behind this model; leave it out",
                param=name,
            )


def _optional(sampling: Sampling) -> dict[str, Any]:
    """What of ``sampling`` asks for something, by its usual names."""
    named = {
        "stop": sampling.stop,
        "presence_penalty": sampling.presence_penalty,
        "frequency_penalty": sampling.frequency_penalty,
        "top_k": sampling.top_k,
        "min_p": sampling.min_p,
        "ignore_eos": sampling.ignore_eos,
        "min_tokens": sampling.min_tokens,
        "stop_token_ids": sampling.stop_token_ids,
    }
    found = {name: value for name, value in named.items() if value}
    if sampling.seed is not None:
        found["seed"] = sampling.seed
    if sampling.repetition_penalty != 1:
        # vLLM's and SGLang's name, and llama.cpp's.
        penalty = sampling.repetition_penalty
        found |= {"repetition_penalty": penalty, "repeat_penalty": penalty}
    if found.keys() & {"repetition_penalty", "presence_penalty", "frequency_penalty"}:
        found["repeat_last_n"] = _ALL_TOKENS
    return found


def _message(turn: Message) -> dict[str, Any]:
    message: dict[str, Any] = {"role": turn.role, "content": _content(turn)}
    if turn.name is not None:
        message["name"] = turn.name
    if turn.tool_calls:
        message["tool_calls"] = [_call(call) for call in turn.tool_calls]
    if turn.role == "tool":
        message["tool_call_id"] = turn.tool_call_id or ""
    return message


def _call(call: ToolCall) -> dict[str, Any]:
    function = {"name": call.name, "arguments": call.arguments}
    return {"id": call.id, "type": "function", "function": function}


def _content(turn: Message) -> str | list[dict[str, Any]]:
    if isinstance(turn.content, str):
        return turn.content
    return [
        {"type": "image_url", "image_url": {"url": _data_url(part.file.data)}}
        if isinstance(part, Image)
        else {"type": "text", "text": part.text}
        for part in turn.content
    ]


_IMAGES = {b"\x89PNG": "png", b"GIF8": "gif", b"RIFF": "webp"}


def _data_url(image: bytes) -> str:
    kind = _IMAGES.get(image[:4], "jpeg")
    return f"data:image/{kind};base64,{base64.b64encode(image).decode('ascii')}"
