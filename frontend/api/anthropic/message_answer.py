"""A message in its two shapes: one object, or a stream of events."""

from __future__ import annotations

import uuid
from typing import Any, assert_never

import orjson
from pydantic_core import from_json, to_json

from frontend.api.anthropic.message_events import MessageEvents
from frontend.api.anthropic.objects import call_block, stop_of, usage_object
from frontend.api.whole_answer import Block, WholeAnswer, WholeCall, WholeReasoning, WholeText
from ipc.messages.events import ChatResult


class MessageAnswer:
    """What one answer's parts have in common. Where the request ``only_reads``, nothing that was
    written is told; without ``shows_thinking`` only that it thought is."""

    def __init__(
        self,
        model: str,
        request_id: str,
        *,
        only_reads: bool = False,
        shows_thinking: bool = True,
    ) -> None:
        self._request_id = request_id
        self._only_reads = only_reads
        self._shows_thinking = shows_thinking
        self._head = {
            "id": f"msg_{uuid.uuid4().hex[:24]}",
            "type": "message",
            "role": "assistant",
            "model": model,
        }

    def whole(self, answer: WholeAnswer, result: ChatResult) -> bytes:
        (choice, _), *_others = answer.choices(result)
        blocks = [] if self._only_reads else choice.blocks
        return orjson.dumps(
            {
                **self._head,
                "content": [self._block(block) for block in blocks],
                **stop_of(result, only_reads=self._only_reads),
                "usage": usage_object(result.usage, only_reads=self._only_reads),
            }
        )

    def streamed(self) -> MessageEvents:
        return MessageEvents(
            self._head,
            self._request_id,
            only_reads=self._only_reads,
            shows_thinking=self._shows_thinking,
        )

    def _block(self, block: Block) -> dict[str, Any]:
        match block:
            case WholeText():
                return {"type": "text", "text": "".join(block.texts)}
            case WholeReasoning():
                thought = "".join(block.texts) if self._shows_thinking else ""
                return {"type": "thinking", "thinking": thought, "signature": ""}
            case WholeCall():
                return call_block(block.id, block.name, _given("".join(block.arguments)))
            case _:
                assert_never(block)


def _given(text: str) -> Any:
    """The arguments of a call; of one that was cut off what is there, as clients that stream put it
    together."""
    try:
        if isinstance(from_json(text), dict):
            return orjson.Fragment(text)
    except ValueError:
        pass
    try:
        begun = from_json(text, allow_partial=True)
    except ValueError:
        begun = None
    return orjson.Fragment(to_json(begun)) if isinstance(begun, dict) else {}
