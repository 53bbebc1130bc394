"""POST /v1/responses: what is asked, as a chat."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import ConfigDict, Field

from frontend.api.compat.infill import One
from frontend.api.fields import WHOLE, Metadata, Name, Schema, Text
from frontend.api.known_keys import refused_keys
from frontend.api.openai.chat_request import MAX_TOP_LOGPROBS, ChatRequest, NewerLimit
from frontend.api.openai.reasoning_request import Reasoning, ReasoningRequest
from frontend.api.openai.sampling_request import SAMPLING_RULES, SamplingRequest
from frontend.api.responses.format import NAMES as FORMAT_NAMES
from frontend.api.responses.format import TextOptions
from frontend.api.responses.input_items import Input, Item, UserItem
from frontend.api.responses.keys import KEYS, SHARED
from frontend.api.responses.queries import Id
from frontend.api.responses.tools import (
    ChatWords,
    CustomTool,
    OtherTool,
    ToolChoice,
    Tools,
    chat_tools,
)
from frontend.api.responses.turns import turns
from frontend.api.translated import chat_of
from ipc.messages.spec import Spec

MAX_INCLUDED = 32
LOGPROBS = "message.output_text.logprobs"
_NAMES = {
    "messages": "input",
    "max_completion_tokens": "max_output_tokens",
    "logprobs": "include",
    **FORMAT_NAMES,
}

# A chat needs a message.
_SAYS_SOMETHING: Schema = {
    "anyOf": [
        {"properties": {"input": {"type": "string"}}},
        {"properties": {"input": {"minItems": 1}}},
        *(
            {"properties": {name: {"type": "string", "minLength": 1}}, "required": [name]}
            for name in ("instructions", "previous_response_id")
        ),
    ]
}


class ReasoningOptions(Reasoning):
    """Where a ``summary`` is wished for, what was thought stands in one too, whole."""

    summary: Literal["auto", "concise", "detailed"] | None = None
    generate_summary: Literal["auto", "concise", "detailed"] | None = None


class Asked(NamedTuple):
    """A request as a chat, and what the places of that are called by the client."""

    chat: ChatRequest
    names: dict[str, str]


class ResponseRequest(SamplingRequest, ReasoningRequest):
    model_config = ConfigDict(json_schema_extra={"allOf": [*SAMPLING_RULES, _SAYS_SOMETHING]})
    REFUSED = refused_keys(KEYS)
    EXAMPLE = {"input": "Name a colour.", "max_output_tokens": 20}

    model: Name
    input: Input
    instructions: Text | None = None
    tools: Tools | None = None
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    text: TextOptions | None = None
    reasoning: ReasoningOptions | None = None
    max_output_tokens: NewerLimit | None = None
    include: Annotated[list[str], Field(max_length=MAX_INCLUDED)] | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=MAX_TOP_LOGPROBS), WHOLE] | None = None
    metadata: Metadata | None = None
    previous_response_id: Id | None = None
    store: bool | None = None
    n: One | None = None
    n_cmpl: One | None = None

    @property
    def items(self) -> list[Item]:
        if isinstance(self.input, str):
            return [UserItem(role="user", content=self.input)]
        return self.input

    @property
    def is_kept(self) -> bool:
        """Whether the response may be asked for again."""
        return self.store is not False

    @property
    def tells_logprobs(self) -> bool:
        return LOGPROBS in (self.include or ()) or bool(self.top_logprobs)

    @property
    def summarizes(self) -> bool:
        wished = self.reasoning
        return wished is not None and bool(wished.summary or wished.generate_summary)

    @property
    def custom_tools(self) -> frozenset[str]:
        """The names of tools whose calls are texts."""
        return frozenset(tool.name for tool in self.tools or () if isinstance(tool, CustomTool))

    def to_chat(self, before: Iterable[tuple[str, Item]] = ()) -> Asked:
        """The chat that goes on from the items ``before``, each with its place in the request.

        Raises `InvalidRequest`, or `UnsupportedParameter`, in the client's words.
        """
        said = self._messages(before)
        tools = chat_tools(self.tools or (), self.tool_choice)
        names = _NAMES | said.names | tools.names
        chat = {
            **self.model_dump(include=SHARED, exclude_unset=True, by_alias=True),
            **tools.data,
            "model": self.model,
            "messages": said.data,
            "max_completion_tokens": self.max_output_tokens,
            "parallel_tool_calls": self.parallel_tool_calls,
            "response_format": self.text and self.text.chat_format(),
            "logprobs": self.tells_logprobs,
            "top_logprobs": self.top_logprobs,
        }
        return Asked(chat_of(chat, names), names)

    def told(self, spec: Spec) -> dict[str, Any]:
        """What the answer repeats of the request, with what holds where it says nothing."""
        defaults, reasoning = spec.defaults, self.reasoning or ReasoningOptions()
        form = self.text and self.text.format
        return {
            "instructions": self.instructions,
            "max_output_tokens": self.max_output_tokens,
            "metadata": self.metadata or {},
            "parallel_tool_calls": self.parallel_tool_calls is not False,
            "previous_response_id": self.previous_response_id,
            "store": self.is_kept,
            "reasoning": {"effort": reasoning.effort, "summary": reasoning.summary},
            "temperature": defaults.temperature if self.temperature is None else self.temperature,
            "text": {"format": form.told() if form else {"type": "text"}},
            "tool_choice": self._told_choice(),
            "tools": [tool.told() for tool in self.tools or () if not isinstance(tool, OtherTool)],
            "top_logprobs": self.top_logprobs or 0,
            "top_p": defaults.top_p if self.top_p is None else self.top_p,
        }

    def _messages(self, before: Iterable[tuple[str, Item]]) -> ChatWords:
        alone = isinstance(self.input, str)
        own = ((("input" if alone else f"input[{at}]"), item) for at, item in enumerate(self.items))
        return turns(self.instructions, [*before, *own])

    def _told_choice(self) -> Any:
        if self.tool_choice is None:
            return "auto"
        if isinstance(self.tool_choice, str):
            return self.tool_choice
        return self.tool_choice.model_dump()
