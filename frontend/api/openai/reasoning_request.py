"""Whether and how a model is to think before it answers, as clients of several servers say it.

Models have no such switch beside their chat template, so what is wished for becomes keywords for
it: `enable_thinking` (Qwen, SmolLM, GLM), `thinking` (DeepSeek, Granite), `reasoning_effort`
(gpt-oss). A template that knows none of them writes the same prompt as ever.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints, Tag

from frontend.api.fields import MAX_INT32, WHOLE, OneOf, Text
from frontend.api.validate import Body
from ipc.messages.errors import UnsupportedParameter

MAX_ARGUMENTS = 64
MAX_ARGUMENT_CHARS = 4096

Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]
# -1 is how vLLM and llama.cpp's server say "no limit".
Budget = Annotated[int, Field(ge=-1, le=MAX_INT32), WHOLE]


class Reasoning(Body):
    """OpenRouter's form, of which OpenAI and Ollama have the ``effort``."""

    effort: Effort | None = None
    enabled: bool | None = None
    max_tokens: Budget | None = None
    exclude: bool | None = None


class Thinking(Body):
    """Anthropic's form, which DeepSeek and others have taken over."""

    type: Literal["enabled", "disabled", "adaptive", "auto"]
    budget_tokens: Budget | None = None


_EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")


def _switch_kind(given: object) -> str | None:
    if isinstance(given, bool):
        return "<switch>"
    return "<object>" if isinstance(given, dict) else None


def _think_kind(given: object) -> str | None:
    if isinstance(given, bool):
        return "<switch>"
    return "<effort>" if isinstance(given, str) and given in _EFFORTS else None


ThinkingSwitch = Annotated[
    Annotated[bool, Tag("<switch>")] | Annotated[Thinking, Tag("<object>")],
    OneOf(_switch_kind, "must be true, false or an object with a `type`"),
]
# Ollama's.
Think = Annotated[
    Annotated[bool, Tag("<switch>")] | Annotated[Effort, Tag("<effort>")],
    OneOf(_think_kind, f"must be true, false or one of {', '.join(_EFFORTS)}"),
]

# --- keywords of templates ---

# What a template is given anyway, and what the prompt would be another by.
_TAKEN = frozenset(
    {"messages", "tools", "documents", "chat_template", "add_generation_prompt", "tokenize"}
    | {"continue_final_message", "bos_token", "eos_token", "pad_token", "unk_token", "sep_token"}
    | {"cls_token", "mask_token", "xml_tools", "python_tools", "builtin_tools", "functions"}
    | {
        "raise_exception",
        "strftime_now",
        "namespace",
        "dict",
        "range",
        "cycler",
        "joiner",
        "lipsum",
    }
)
_Keyword = Annotated[str, StringConstraints(pattern="^[A-Za-z][A-Za-z0-9_]{0,63}$")]


def _scalar_kind(given: object) -> str | None:
    if isinstance(given, bool):
        return "<flag>"
    if isinstance(given, int | float):
        return "<number>"
    return "<text>" if isinstance(given, str) else None


_Value = Annotated[
    Annotated[bool, Tag("<flag>")]
    | Annotated[int | float, Tag("<number>")]
    | Annotated[Text, Field(max_length=MAX_ARGUMENT_CHARS), Tag("<text>")],
    OneOf(_scalar_kind, "must be true, false, a number or a string"),
]
TemplateArguments = Annotated[
    dict[_Keyword, _Value | None],
    Field(
        max_length=MAX_ARGUMENTS,
        json_schema_extra={
            "additionalProperties": False,
            "properties": {key: {"type": "null"} for key in sorted(_TAKEN)},
        },
    ),
]


class ReasoningRequest(Body):
    """Where keys say different things, the first holds that is named here."""

    chat_template_kwargs: TemplateArguments | None = None
    enable_thinking: bool | None = None
    think: Think | None = None
    thinking: ThinkingSwitch | None = None
    reasoning_effort: Effort | None = None
    reasoning: Reasoning | None = None
    thinking_token_budget: Budget | None = None
    thinking_budget_tokens: Budget | None = None
    reasoning_budget: Budget | None = None
    reasoning_format: Literal["auto", "none", "deepseek", "parsed", "raw", "hidden"] | None = None
    separate_reasoning: bool | None = None
    include_reasoning: bool | None = None

    @property
    def template_arguments(self) -> dict[str, bool | int | float | str]:
        """Keywords for the template. Raises `UnsupportedParameter` for those that are not the
        client's."""
        found: dict[str, bool | int | float | str] = {}
        if (thinks := self._thinks()) is not None:
            found |= {"enable_thinking": thinks, "thinking": thinks}
        if (effort := self._effort()) not in (None, "none"):
            found["reasoning_effort"] = effort
        for name, value in (self.chat_template_kwargs or {}).items():
            if value is None:
                continue
            if name in _TAKEN:
                path = f"chat_template_kwargs.{name}"
                raise UnsupportedParameter(
                    f"`{path}` is not supported: the server gives it to the template; leave it out",
                    param=path,
                )
            found[name] = value
        return found

    @property
    def reasoning_tokens(self) -> int | None:
        """How long it may think; None: as long as it likes."""
        wishes = (
            self.thinking_token_budget,
            self.thinking_budget_tokens,
            self.reasoning_budget,
            self.thinking.budget_tokens if isinstance(self.thinking, Thinking) else None,
            self.reasoning.max_tokens if self.reasoning else None,
        )
        found = next((wish for wish in wishes if wish is not None), -1)
        return None if found < 0 else found

    @property
    def splits_reasoning(self) -> bool:
        """Whether what the model thinks is told apart from its answer."""
        return self.reasoning_format not in ("none", "raw") and self.separate_reasoning is not False

    @property
    def shows_reasoning(self) -> bool:
        """Whether it is told at all, where it is told apart."""
        left_out = self.include_reasoning is False or self.reasoning_format == "hidden"
        return not left_out and not (self.reasoning and self.reasoning.exclude)

    def _thinks(self) -> bool | None:
        """Whether it is to think; None where nothing is said of it."""
        effort = self._effort()
        wishes = (
            self.enable_thinking,
            self.think if isinstance(self.think, bool) else None,
            _switch(self.thinking),
            self.reasoning.enabled if self.reasoning else None,
            None if effort is None else effort != "none",
        )
        return next((wish for wish in wishes if wish is not None), None)

    def _effort(self) -> Effort | None:
        wishes = (
            None if isinstance(self.think, bool) else self.think,
            self.reasoning_effort,
            self.reasoning.effort if self.reasoning else None,
        )
        return next((wish for wish in wishes if wish is not None), None)


def _switch(given: bool | Thinking | None) -> bool | None:
    if isinstance(given, Thinking):
        return {"enabled": True, "disabled": False}.get(given.type)
    return given
