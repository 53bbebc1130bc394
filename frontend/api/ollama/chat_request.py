"""POST /api/chat: what is asked, in the words of chat completions."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import ConfigDict, Field

from frontend.api.fields import WHOLE, Name, Schema
from frontend.api.known_keys import Row, done, harmless, refused, refused_keys
from frontend.api.ollama.keep_alive import KeepAlive, seconds_of
from frontend.api.ollama.messages import OllamaTurns, turns_of
from frontend.api.ollama.options import Options, sampling_of
from frontend.api.openai.chat_request import MAX_TOP_LOGPROBS
from frontend.api.openai.format_request import TextOrSchema
from frontend.api.openai.reasoning_request import Think
from frontend.api.openai.tools_request import Tools
from frontend.api.validate import Body

# Rows that /api/generate has too.
SHARED_KEYS: tuple[Row, ...] = (
    done("stream", "true where it is left out"),
    done("format", "`json`, or a schema. What of one is kept: [forms](forms.md)"),
    done("think", "true, false, or how hard: `low`, `medium`, `high`, `max`"),
    done("options", "each by itself, see below"),
    done("logprobs top_logprobs", "0 to 20 likely tokens in each place, which need `logprobs`"),
    done(
        "keep_alive",
        "a number of seconds or a duration, and 400 if it is neither; a negative one is for ever. "
        "How long the model stays without work, if it is not always loaded; not for longer than "
        "KEEP_ALIVE_MAX_SEC without an admin's key. 0 beside nothing to answer unloads it",
    ),
    harmless("truncate shift", "a history is never shortened: one that is too long is 400"),
    refused("_debug_render_only", "/apply-template shows the prompt", False),
)
KEYS: tuple[Row, ...] = (
    done("model", "required; a `:latest` that a client adds is accepted"),
    done(
        "messages",
        "up to 2048; without any the answer is empty and says whether the model is loaded. "
        "`images` in base64, `thinking`, `tool_calls`, `tool_name`; results of tools are taken in "
        "the order of the calls",
    ),
    done("tools", "functions, each name once"),
    *SHARED_KEYS,
)
# What `ChatRequest.check_keys` refuses.
LOGPROBS_RULE: Schema = {
    "anyOf": [
        {"properties": {"top_logprobs": {"enum": [0, None]}}},
        {"properties": {"logprobs": {"const": True}}, "required": ["logprobs"]},
    ]
}


class OllamaRequest(Body):
    """What chats and prompts have in common."""

    model: Name
    stream: bool | None = None
    format: TextOrSchema | None = None
    think: Think | None = None
    options: Options | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=MAX_TOP_LOGPROBS), WHOLE] | None = None
    keep_alive: KeepAlive | None = None

    @property
    def keep_alive_s(self) -> float | None:
        return seconds_of(self.keep_alive)

    @property
    def streams(self) -> bool:
        return self.stream is not False

    def words(self, model: str, messages: list[dict[str, Any]]) -> dict[str, Any]:
        """The request in the words of `ChatRequest`, for the model of this name."""
        return {
            **sampling_of(self.options),
            "model": model,
            "messages": messages,
            "stream": self.streams,
            "format": self.format,
            "think": self.think,
            "logprobs": self.logprobs,
            "top_logprobs": self.top_logprobs,
        }


class OllamaChatRequest(OllamaRequest):
    model_config = ConfigDict(json_schema_extra={"allOf": [LOGPROBS_RULE]})
    REFUSED = refused_keys(KEYS)
    EXAMPLE = {"messages": [{"role": "user", "content": "Hi"}]}

    messages: OllamaTurns | None = None
    tools: Tools | None = None

    def chat_words(self, model: str) -> dict[str, Any]:
        tools = None if self.tools is None else [tool.model_dump() for tool in self.tools]
        return {**self.words(model, turns_of(self.messages or ())), "tools": tools}
