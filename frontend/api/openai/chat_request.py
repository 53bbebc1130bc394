"""POST /v1/chat/completions: what is asked, as a `ChatInput`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import ConfigDict, Field

from frontend.api.fields import WHOLE, Name, NotZero, Schema
from frontend.api.images import Remote
from frontend.api.known_keys import refused_keys
from frontend.api.openai.chat_keys import KEYS
from frontend.api.openai.continuation_request import OPENS_OR_GOES_ON, ContinuationRequest
from frontend.api.openai.format_request import FormatRequest
from frontend.api.openai.messages_request import Turns, read_turns
from frontend.api.openai.migration_request import MigrationRequest
from frontend.api.openai.reasoning_request import ReasoningRequest
from frontend.api.openai.sampling_request import SAMPLING_RULES, SamplingRequest
from frontend.api.openai.tools_request import ToolsRequest
from frontend.api.validate import check
from frontend.grammar.gate import AskedForm
from ipc.messages.errors import InvalidRequest
from ipc.messages.jobs import ChatInput
from ipc.messages.spec import Spec

# OpenAI's.
MAX_TOP_LOGPROBS = 20

NewerLimit = Annotated[int, Field(ge=-1), WHOLE, NotZero("must be at least 1, or -1 for no limit")]
# What `ChatRequest.check_keys` refuses, but for older names beside newer ones: see
# `SAMPLING_RULES`.
_RULES: list[Schema] = [
    {
        "anyOf": [
            {"properties": {"top_logprobs": {"enum": [0, None]}}},
            {"properties": {"logprobs": {"const": True}}, "required": ["logprobs"]},
        ]
    },
    OPENS_OR_GOES_ON,
]


class ChatRequest(
    SamplingRequest,
    ToolsRequest,
    ReasoningRequest,
    FormatRequest,
    ContinuationRequest,
    MigrationRequest,
):
    model_config = ConfigDict(json_schema_extra={"allOf": [*SAMPLING_RULES, *_RULES]})
    REFUSED = refused_keys(KEYS)

    model: Name
    messages: Turns
    max_completion_tokens: NewerLimit | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=MAX_TOP_LOGPROBS), WHOLE] | None = None
    ttl: Annotated[float, Field(ge=0)] | None = None

    @property
    def limits(self) -> tuple[int | None, ...]:
        return self.max_completion_tokens, *super().limits

    def to_input(self, spec: Spec, remote: list[Remote]) -> ChatInput:
        """The job for ``spec``; adds to ``remote`` the images that must be fetched first.

        Raises `InvalidRequest` where a message is not for this model.
        """
        messages = read_turns(self.messages, spec, remote)
        use = self.to_tools()
        asked = self.asked_form()
        logprobs = self.top_logprobs or 0
        return ChatInput(
            messages=messages,
            sampling=self.to_sampling(spec, logprobs=logprobs if self.logprobs else None),
            tools=use.tools,
            must_call=use.must_call,
            parallel_calls=self.parallel_tool_calls is not False and not self.names_call,
            form=None if asked is None else asked.form,
            template_args=self.template_arguments,
            continues_last=bool(self.continue_final_message),
            reasoning_tokens=self.reasoning_tokens,
            split_reasoning=self.splits_reasoning,
        )

    def bound_forms(self) -> list[AskedForm]:
        """What the answer will be held to: its own form, and those of the calls that bind."""
        asked = self.asked_form()
        return [*([] if asked is None else [asked]), *self.bound_arguments()]

    def check_keys(self) -> None:
        """Raise `InvalidRequest`, or `UnsupportedParameter`, where keys are at odds."""
        self.check_sampling()
        self.check_tools()
        self.asked_form()
        if self.top_logprobs and not self.logprobs:
            raise InvalidRequest("`top_logprobs` needs `logprobs` true", param="top_logprobs")
        self.check_continuation()
        self.check_migration(self.n or self.n_cmpl or 1)


def parse_chat(data: Mapping[str, Any]) -> ChatRequest:
    """The checked request. Raises `InvalidRequest`, or `UnsupportedParameter`."""
    asked = check(ChatRequest, data)
    asked.check_keys()
    return asked
