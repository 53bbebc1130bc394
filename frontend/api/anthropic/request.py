"""POST /v1/messages and /v1/messages/count_tokens: what is asked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, TypeVar

from pydantic import Field, Tag, WithJsonSchema

from frontend.api.anthropic.blocks import AssistantContent, SystemContent, UserContent
from frontend.api.anthropic.keys import KEYS
from frontend.api.fields import MAX_INT32, WHOLE, Name, OneOf, Text, by_key
from frontend.api.known_keys import refused_keys
from frontend.api.openai.format_request import GivenSchema
from frontend.api.openai.messages_request import MAX_MESSAGES
from frontend.api.openai.sampling_request import MAX_STOPS, Stop, Temperature, TopK, TopP
from frontend.api.openai.tools_request import MAX_TOOLS, FunctionName
from frontend.api.queued import Queued
from frontend.api.validate import Body, check
from ipc.messages.errors import InvalidRequest

# --- turns ---


class SystemTurn(Body):
    role: Literal["system"]
    content: SystemContent


class UserTurn(Body):
    role: Literal["user"]
    content: UserContent


class AssistantTurn(Body):
    role: Literal["assistant"]
    content: AssistantContent


Turn = Annotated[
    Annotated[UserTurn, Tag("<user>")]
    | Annotated[AssistantTurn, Tag("<assistant>")]
    | Annotated[SystemTurn, Tag("<system>")],
    by_key("role", {"user": "<user>", "assistant": "<assistant>", "system": "<system>"}),
]

# --- tools ---


class CustomTool(Body):
    """One that the client runs."""

    type: Literal["custom"] | None = None
    name: FunctionName
    description: Text | None = None
    input_schema: dict[str, Any]
    strict: bool | None = None


class ServersTool(Body):
    """One that Anthropic's servers run, or that their models alone know."""

    type: Annotated[str, WithJsonSchema({"type": "string", "not": {"const": "custom"}})]


def _tool_kind(given: object) -> str:
    kind = given.get("type") if isinstance(given, dict) else None
    return "<servers>" if isinstance(kind, str) and kind != "custom" else "<custom>"


Tool = Annotated[
    Annotated[CustomTool, Tag("<custom>")] | Annotated[ServersTool, Tag("<servers>")],
    OneOf(_tool_kind, "must be a tool"),
]


class ChosenHow(Body):
    type: Literal["auto", "any", "none"]
    disable_parallel_tool_use: bool | None = None


class ChosenTool(Body):
    type: Literal["tool"]
    name: Text
    disable_parallel_tool_use: bool | None = None


ToolChoice = Annotated[
    Annotated[ChosenHow, Tag("<how>")] | Annotated[ChosenTool, Tag("<tool>")],
    by_key("type", {"auto": "<how>", "any": "<how>", "none": "<how>", "tool": "<tool>"}),
]

# --- thinking and form ---


class Thinking(Body):
    type: Literal["enabled", "disabled", "adaptive"]
    budget_tokens: Annotated[int, Field(ge=1, le=MAX_INT32), WHOLE] | None = None
    display: Literal["summarized", "omitted"] | None = None


class JsonFormat(Body):
    type: Literal["json_schema"]
    schema_: Annotated[GivenSchema, Field(alias="schema")]


class OutputConfig(Body):
    effort: Literal["low", "medium", "high", "xhigh", "max"] | None = None
    format: JsonFormat | None = None


# --- requests ---


class PromptRequest(Body):
    """All of a request that makes its prompt."""

    REFUSED = refused_keys(KEYS)
    EXAMPLE: ClassVar[Mapping[str, Any]] = {
        "messages": [{"role": "user", "content": "What is the capital of France?"}]
    }

    model: Name
    messages: Annotated[list[Turn], Field(min_length=1, max_length=MAX_MESSAGES)]
    system: SystemContent | None = None
    tools: Annotated[list[Tool], Field(max_length=MAX_TOOLS)] | None = None
    tool_choice: ToolChoice | None = None
    thinking: Thinking | None = None
    output_config: OutputConfig | None = None
    output_format: JsonFormat | None = None

    def check_keys(self) -> None:
        """Raise `InvalidRequest` where keys are at odds."""
        must_call = self.tool_choice is not None and self.tool_choice.type == "any"
        if must_call and not any(isinstance(tool, CustomTool) for tool in self.tools or ()):
            raise InvalidRequest(
                "`tool_choice` 'any' needs `tools` with an `input_schema` to choose from",
                param="tool_choice",
            )
        if self.output_format and self.output_config and self.output_config.format:
            raise InvalidRequest(
                "`output_format` is the older place of `output_config.format`; send either",
                param="output_format",
            )


class MessagesRequest(Queued, PromptRequest):
    EXAMPLE = {**PromptRequest.EXAMPLE, "max_tokens": 50}

    max_tokens: Annotated[int, Field(ge=0), WHOLE]
    stop_sequences: Annotated[list[Stop], Field(max_length=MAX_STOPS)] | None = None
    stream: bool | None = None
    temperature: Temperature | None = None
    top_p: TopP | None = None
    top_k: TopK | None = None

    @property
    def only_reads(self) -> bool:
        """Whether no answer is wanted: what is computed for the prompt is to be kept."""
        return self.max_tokens == 0

    @property
    def shows_thinking(self) -> bool:
        return self.thinking is None or self.thinking.display != "omitted"


R = TypeVar("R", bound=PromptRequest)


def parse(kind: type[R], data: Mapping[str, Any]) -> R:
    """The checked request. Raises `InvalidRequest`, or `UnsupportedParameter`."""
    asked = check(kind, data)
    asked.check_keys()
    return asked
