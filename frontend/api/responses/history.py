"""What a response goes on from, and what is kept of a request for the next one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import orjson
from pydantic import TypeAdapter, ValidationError

from frontend.api.responses.input_items import MAX_ITEMS, Item
from frontend.api.responses.queries import is_id
from frontend.api.responses.store import Stored
from ipc.messages.errors import InvalidRequest

PREVIOUS = "previous_response_id"
_ITEMS: TypeAdapter[list[Item]] = TypeAdapter(list[Item])


def listed(given: str | Iterable[Mapping[str, Any]], stem: str) -> list[dict[str, Any]]:
    """The items of a request as they are told to whoever lists them: each with its type and an id,
    which begins with ``stem`` where it had none; texts are parts."""
    items = [{"role": "user", "content": given}] if isinstance(given, str) else given
    return [_listed(item, f"item_{stem}_{at}") for at, item in enumerate(items)]


def _listed(item: Mapping[str, Any], item_id: str) -> dict[str, Any]:
    told = {**item, "id": item.get("id") or item_id, "type": item.get("type") or "message"}
    if told["type"] == "message" and isinstance(told["content"], str):
        told["content"] = [_part(told["role"], told["content"])]
    return told


def _part(role: str, text: str) -> dict[str, Any]:
    if role == "assistant":
        return {"type": "output_text", "text": text, "annotations": []}
    return {"type": "input_text", "text": text}


def said(chain: Iterable[Stored]) -> Iterator[dict[str, Any]]:
    """All items of a chain, of its requests and of its responses, in their order."""
    for stored in chain:
        yield from orjson.loads(stored.items)
        yield from orjson.loads(stored.response)["output"]


def told_apart(items: Iterable[dict[str, Any]], stem: str) -> list[dict[str, Any]]:
    """``items``, each with an id that no other has and that a query can name. Where a client's own
    is none, it is one that begins with ``stem``."""
    told: dict[str, dict[str, Any]] = {}
    for at, item in enumerate(items):
        own = item["id"]
        item_id = own if is_id(own) and own not in told else f"item_{stem}_{at}"
        told[item_id] = {**item, "id": item_id}
    return [*told.values()]


def placed(said_before: Sequence[Mapping[str, Any]]) -> list[tuple[str, Item]]:
    """The same as a request has them, each with its place in one. Raises `InvalidRequest` for more
    than one may have, and where one is a call that was cut off: nothing can go on from that."""
    if len(said_before) > MAX_ITEMS:
        raise InvalidRequest(
            f"`{PREVIOUS}` goes on from more than {MAX_ITEMS} items; send those that matter as "
            "`input`",
            param=PREVIOUS,
        )
    try:
        items = _ITEMS.validate_python(said_before)
    except ValidationError:
        raise InvalidRequest(
            f"`{PREVIOUS}` names a response with a call that was cut off; go on from the one "
            "before it, or allow it more `max_output_tokens`",
            param=PREVIOUS,
        ) from None
    return [(PREVIOUS, item) for item in items]
