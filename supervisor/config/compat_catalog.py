"""Catalog entries written for the reference server, whose `handler` names a class of its own.

What such a class could do is a task here; its engine is chosen by the device and the files.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from ipc.messages.jobs import Task


class Handler(NamedTuple):
    task: Task
    vision: bool = False

    @property
    def keys(self) -> dict[str, Any]:
        """The keys of an entry that say the same."""
        return {"task": self.task} | ({"vision": True} if self.vision else {})


HANDLERS: dict[str, Handler] = {
    "app.models.hf_embedding.HFEmbeddingModel": Handler("embed"),
    "app.models.qwen_vl.QwenVLChat": Handler("chat", vision=True),
    "app.models.text_chat.TextChatModel": Handler("chat"),
    "app.models.whisper.WhisperASR": Handler("speech"),
}


def translate(raw: dict[str, Any]) -> tuple[dict[str, Any], str | None]:
    """An entry without such a handler, and what to write instead, where it had one."""
    handler = HANDLERS.get(str(raw.get("handler")))
    if handler is None:
        return raw, None
    rest = {key: value for key, value in raw.items() if key != "handler"}
    instead = ", ".join(f"{key}: {str(value).lower()}" for key, value in handler.keys.items())
    return {**handler.keys, **rest}, f"{raw['name']}: instead of {raw['handler']} write {instead}"
