"""The dialect for models without one: an object with ``tool_calls`` in the assistant's turn, one
with ``tool_response`` in the user's. OpenVINO GenAI writes the same for such templates."""

from __future__ import annotations

import json
from collections.abc import Sequence

from worker.chat.dialects.dialect import Turn
from worker.chat.dialects.in_text import CallsInText


def _calls(functions: Sequence[Turn]) -> str:
    made = [{"name": one["name"], "arguments": one["arguments"]} for one in functions]
    return json.dumps({"tool_calls": made}, ensure_ascii=False)


def _result(turn: Turn) -> str:
    named = {"name": turn["name"]} if turn.get("name") else {}
    return json.dumps({"tool_response": {**named, "content": turn["content"]}}, ensure_ascii=False)


GENERIC = CallsInText("generic", _calls, _result)
