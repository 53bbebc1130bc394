"""Which dialect a model has, found out by having its template write a history once."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from worker.chat.dialects.deepseek import DEEPSEEK_V3, DEEPSEEK_V3_1
from worker.chat.dialects.dialect import CallFormat, Turn
from worker.chat.dialects.gemma import FUNCTION_GEMMA, GEMMA4
from worker.chat.dialects.generic import GENERIC, NATIVE
from worker.chat.dialects.harmony import GPT_OSS, HARMONY_ANALYSIS
from worker.chat.dialects.mistral import MISTRAL, MISTRAL_NAMED
from worker.chat.dialects.model_dialect import ModelDialect, TemplateCan
from worker.chat.dialects.pythonic import LFM2, OLMO3, PYTHONIC
from worker.chat.dialects.tagged_json import GRANITE4, HERMES, LLAMA3, PHI4_MINI, SMOLLM3
from worker.chat.dialects.xml_calls import MINICPM5, QWEN3_CODER
from worker.chat.parsing.reading import Thinking

# What is asked of a template once; its words are no part of any template.
_NAME, _KEY, _VALUE, _RESULT, _TOLD = "zqcallqz", "zqkeyqz", "zqvalueqz", "zqresultqz", "zqtoldqz"
_ID = "zqidqz123"  # Mistral's templates demand so many letters and digits
_USER: Turn = {"role": "user", "content": "a"}
_CALL: Turn = {"name": _NAME, "arguments": {_KEY: _VALUE}}
_TOOL: Turn = {
    "type": "function",
    "function": {
        "name": _NAME,
        "description": _TOLD,
        "parameters": {"type": "object", "properties": {_KEY: {"type": "string"}}},
    },
}
_AS_TEXT = f'{{"{_KEY}": "{_VALUE}"}}'
# SmolLM3's template reads the tools under this name, or `python_tools`; with both it tells of them
# twice.
_OTHER_NAMES = ("xml_tools",)

# The known forms of calls, those first whose marks contain another's.
FORMATS: tuple[CallFormat, ...] = (
    GPT_OSS,
    DEEPSEEK_V3,
    DEEPSEEK_V3_1,
    QWEN3_CODER,
    MINICPM5,
    SMOLLM3,
    HERMES,
    GRANITE4,
    MISTRAL_NAMED,
    MISTRAL,
    PHI4_MINI,
    FUNCTION_GEMMA,
    GEMMA4,
    LFM2,
    OLMO3,
    PYTHONIC,
    LLAMA3,
    GENERIC,
)
# How reasoning is marked: `Thinking` by a text that stands in the templates of such models.
_THINKING = {
    "<|channel|>analysis": HARMONY_ANALYSIS,
    "<|channel>thought": Thinking("<|channel>thought\n", "<channel|>", "\n<channel|>"),
    "</seed:think>": Thinking("<seed:think>", "</seed:think>", "\n</seed:think>\n"),
    "</think>": Thinking("<think>", "</think>", "\n</think>\n\n"),
    "[/THINK]": Thinking("[THINK]", "[/THINK]", "[/THINK]"),
}


class Render(Protocol):
    """Has a template write turns; nothing where it refuses them."""

    def __call__(
        self,
        turns: Sequence[Turn],
        tools: Sequence[Turn] = (),
        arguments: Mapping[str, Any] = {},
    ) -> str: ...


def dialect_of(render: Render, source: str = "", wanted: str = "auto") -> ModelDialect:
    """The dialect of the model whose template ``render`` runs and ``source`` is; its calls are
    written as ``wanted``, if that is no "auto"."""
    probe = _probe(render)
    thinking = next((how for mark, how in _THINKING.items() if mark in source), None)
    found = _format_of(probe, wanted)
    is_native = found not in (GENERIC, NATIVE)
    return ModelDialect(
        found,
        probe.template,
        thinking,
        is_native=is_native,
        offered=is_native or wanted != "auto",
    )


def _format_of(probe: _Probe, wanted: str) -> CallFormat:
    if wanted != "auto":
        return next(one for one in FORMATS if one.name == wanted)
    if probe.template.tools_as:
        return SMOLLM3
    for one in FORMATS:
        if re.search(one.in_probe, probe.written):
            return one
    return NATIVE if probe.template.calls and probe.template.results else GENERIC


class _Probe(NamedTuple):
    """What a template can do, and all that it ``written`` to show it."""

    template: TemplateCan
    written: str


def _probe(render: Render) -> _Probe:
    told = render([_USER], [_TOOL])
    other = "" if _TOLD in told else render([_USER], [_TOOL], {n: [_TOOL] for n in _OTHER_NAMES})
    as_object, as_text = (render(_history(one)) for one in (_CALL["arguments"], _AS_TEXT))
    shows = [_NAME in text and _VALUE in text for text in (as_object, as_text)]
    # A template that writes the Python value of an object was meant to get a text.
    wants_text = shows[1] and (not shows[0] or f"{{'{_KEY}'" in as_object)
    history = as_text if wants_text else as_object
    takes_tools = _TOLD in told or _TOLD in other
    return _Probe(
        TemplateCan(
            tools=takes_tools,
            calls=any(shows),
            # One that writes whatever role there is has not thought of results.
            results=_RESULT in history and (takes_tools or any(shows)),
            text_arguments=wants_text,
            tools_as=_OTHER_NAMES if _TOLD in other else (),
        ),
        "\n".join((told, other, history)),
    )


def _history(arguments: Any) -> list[Turn]:
    function = {"name": _NAME, "arguments": arguments}
    call = {"id": _ID, "type": "function", "function": function}
    return [
        _USER,
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "content": _RESULT, "tool_call_id": _ID, "name": _NAME},
    ]
