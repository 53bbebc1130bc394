"""Chats as an OpenAI-compatible server is asked for them. No sockets in here."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any

from ipc.messages.errors import UnsupportedParameter
from ipc.messages.jobs import ChatInput, Image, Message, Tool, ToolCall
from worker.engines.upstream.forms import form_keys
from worker.engines.upstream.sampling import refuse_skipped, sampling_keys
from worker.engines.upstream.servers import Server

# The switches by which templates are told whether to think.
_SWITCHES = ("enable_thinking", "thinking")
_NO_ARGUMENTS = {"type": "object", "properties": {}}


def chat_body(
    asked: ChatInput,
    model: str,
    server: Server,
    written: Mapping[int, Sequence[int]] | None = None,
) -> dict[str, Any]:
    """The request for ``asked``, to go on behind the tokens ``written`` of each choice; with None
    their names are not asked for.

    Raises `UnsupportedParameter` for what ``server`` skips, or has no words for.
    """
    body: dict[str, Any] = {
        "model": model,
        "messages": [_message(turn) for turn in asked.messages],
        **sampling_keys(asked.sampling),
        **_logprobs(asked.sampling.logprobs),
        **_tools(asked, server),
        **form_keys(asked.form, server),
        **_template_args(asked.template_args, server),
        **_reasoning(asked, server),
    }
    if asked.continues_last:
        body |= _known(server.continues, "continue_final_message", "to continue a message")
    if written is not None:
        begun = [written.get(at) for at in range(max(written, default=-1) + 1)]
        body["migration"] = {"written": begun}
    refuse_skipped(body, server.skips)
    return body


def _logprobs(wanted: int | None) -> dict[str, Any]:
    if wanted is None:
        return {}
    # None at all is 20 to llama.cpp, and 0 is no log probabilities: `logprobs` leaves out the rest.
    return {"logprobs": True} | ({"top_logprobs": wanted} if wanted else {})


def _tools(asked: ChatInput, server: Server) -> dict[str, Any]:
    if not asked.tools:
        return {}
    found: dict[str, Any] = {"tools": [_tool(tool) for tool in asked.tools]}
    if asked.must_call:
        found["tool_choice"] = _must_call(asked.tools, server)
    # llama.cpp's default is one call.
    if not asked.parallel_calls or server.kind == "llama.cpp":
        found["parallel_tool_calls"] = asked.parallel_calls
    return found


def _must_call(tools: list[Tool], server: Server) -> str:
    """Of one tool the word means the same as its name, which llama.cpp takes for `auto` and LM
    Studio refuses. TGI knows the name alone."""
    if server.kind != "tgi":
        return "required"
    if len(tools) > 1:
        raise UnsupportedParameter(
            "`tool_choice` 'required' with several tools is not supported by the server behind "
            "this model; name one",
            param="tool_choice",
        )
    return tools[0].name


def _tool(tool: Tool) -> dict[str, Any]:
    """Some servers demand `parameters`."""
    parameters = json.loads(tool.parameters) if tool.parameters is not None else _NO_ARGUMENTS
    function: dict[str, Any] = {"name": tool.name, "parameters": parameters}
    if tool.description is not None:
        function["description"] = tool.description
    if tool.strict:
        function["strict"] = True
    return {"type": "function", "function": function}


def _template_args(args: Mapping[str, Any], server: Server) -> dict[str, Any]:
    """Whether to think, and how hard, are wishes: to a server that is not known to give anything
    to its template they are said in OpenAI's word, as far as that goes."""
    effort = args.get("reasoning_effort")
    rest = {name: value for name, value in args.items() if name != "reasoning_effort"}
    found = {} if effort is None else {"reasoning_effort": effort}
    if not server.reads_template_args:
        switches = {name: rest.pop(name) for name in _SWITCHES if name in rest}
        if False in switches.values():
            found = {"reasoning_effort": "none"}
        elif server.kind == "" and not found:
            rest |= switches
    return found | ({"chat_template_kwargs": rest} if rest else {})


def _reasoning(asked: ChatInput, server: Server) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if asked.reasoning_tokens is not None:
        key = server.budget
        budget = None if key is None else {key: asked.reasoning_tokens}
        found |= _known(budget, "thinking_token_budget", "how long to think")
    if not asked.split_reasoning:
        found |= _known(server.unsplit, "reasoning_format", "reasoning within the content")
    return found


def _known(keys: Mapping[str, Any] | None, param: str, what: str) -> Mapping[str, Any]:
    if keys is None:
        raise UnsupportedParameter(
            f"`{param}` is not supported: the server behind this model has no key that is known "
            f"here for {what}; leave it out",
            param=param,
        )
    return keys


def _message(turn: Message) -> dict[str, Any]:
    message: dict[str, Any] = {"role": turn.role, "content": _content(turn)}
    if turn.name is not None:
        message["name"] = turn.name
    if turn.reasoning is not None:  # servers read one or the other
        message |= {"reasoning_content": turn.reasoning, "reasoning": turn.reasoning}
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
