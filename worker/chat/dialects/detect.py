"""Which dialect a model has, found out by having its template write a history once."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from worker.chat.dialects.dialect import Dialect, Turn
from worker.chat.dialects.generic import GENERIC
from worker.chat.dialects.native import NATIVE

_NAME, _VALUE, _RESULT = "zqcallqz", "zqvalueqz", "zqresultqz"
# What a template is asked to render once. Mistral's demand an id of this length.
PROBE: list[Turn] = [
    {"role": "user", "content": "a"},
    {
        "role": "assistant",
        "content": "",
        "tool_calls": [
            {
                "id": "zqidqz123",
                "type": "function",
                "function": {"name": _NAME, "arguments": {"key": _VALUE}},
            }
        ],
    },
    {"role": "tool", "content": _RESULT, "tool_call_id": "zqidqz123", "name": _NAME},
]


def dialect_of(render: Callable[[Sequence[Turn]], str]) -> Dialect:
    """The dialect of the model whose template ``render`` runs; it returns nothing for turns that
    the template refuses."""
    rendered = render(PROBE)
    writes_calls = all(text in rendered for text in (_NAME, _VALUE, _RESULT))
    return NATIVE if writes_calls else GENERIC
