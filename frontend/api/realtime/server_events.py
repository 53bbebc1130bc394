"""What a session tells its client, as OpenAI's API words it. Pure but for the names it makes up."""

from __future__ import annotations

import random
from typing import Any

from ipc.messages.errors import ServeError
from ipc.messages.events import Turn

Event = dict[str, Any]
_TRANSCRIPTION = "conversation.item.input_audio_transcription"
_BUFFER = "input_audio_buffer"


def new_id(prefix: str) -> str:
    return f"{prefix}_{random.getrandbits(96):024x}"


def error_event(error: ServeError, culprit: str | None = None) -> Event:
    """``culprit`` is the `event_id` of the client's event that was wrong, where it had one."""
    return {"type": "error", "error": {**error.body()["error"], "event_id": culprit}}


class Items:
    """The turns of a session as items of a conversation, each with an id of its own."""

    def __init__(self) -> None:
        self._ids: dict[int, str] = {}
        self._last: str | None = None

    def tell(self, turn: Turn) -> Event:
        """What is told of it."""
        item_id = self._ids.setdefault(turn.turn, new_id("item"))
        match turn.what:
            case "started":
                kind = f"{_BUFFER}.speech_started"
                return {"type": kind, "audio_start_ms": turn.at_ms, "item_id": item_id}
            case "stopped":
                kind = f"{_BUFFER}.speech_stopped"
                return {"type": kind, "audio_end_ms": turn.at_ms, "item_id": item_id}
            case "committed":
                before, self._last = self._last, item_id
                kind = f"{_BUFFER}.committed"
                return {"type": kind, "item_id": item_id, "previous_item_id": before}
            case "words":
                return {**_of(item_id, "delta"), "delta": turn.text}
            case "unstable":
                return {**_of(item_id, "unstable"), "text": turn.text}
            case "ended":
                del self._ids[turn.turn]
                usage = {"type": "duration", "seconds": round(turn.at_ms / 1000, 3)}
                return {**_of(item_id, "completed"), "transcript": turn.text, "usage": usage}
            case "cleared":
                del self._ids[turn.turn]
                return {"type": f"{_BUFFER}.cleared"}

    def fail(self, turn: int, error: ServeError) -> Event:
        """It gets no transcript."""
        item_id = self._ids.pop(turn, None) or new_id("item")
        return {**_of(item_id, "failed"), "error": error.body()["error"]}


def _of(item_id: str, what: str) -> Event:
    return {"type": f"{_TRANSCRIPTION}.{what}", "item_id": item_id, "content_index": 0}
