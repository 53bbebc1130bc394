"""A stream that is passed on names its tokens: with the last piece that they say something in."""

from __future__ import annotations

import json
from typing import Any

import pytest

from frontend.api.openai.chat_chunks import Chunks
from frontend.api.openai.chat_objects import Shape
from frontend.api.openai.chat_request import parse_chat
from frontend.api.openai.token_ids import by_last
from ipc.messages.errors import InvalidRequest
from ipc.messages.events import CallArguments, CallOpened, ChatResult, Delta, Done, Piece, Usage
from ipc.messages.events import Reasoning as Thought

END = Done("j", ChatResult(finish="stop", usage=Usage()))


@pytest.mark.parametrize(
    ("events", "ids"),
    [
        ([Delta("j", "a", 1, ids=[1]), Delta("j", "b", 1, ids=[2])], [[1], [2]]),
        # One step: what was thought, its mark, and the first of the text.
        ([Thought("j", "so", 3, ids=[1, 2, 3]), Delta("j", "yes", 0), END], [[], [1, 2, 3], []]),
        (
            [Delta("j", "a", 1, ids=[1]), Delta("j", "b", 0), Delta("j", "c", 1, ids=[2])],
            [[], [1], [2]],
        ),
        # Two choices, whose steps come by turns.
        (
            [
                Delta("j", "a", 1, ids=[1]),
                Delta("j", "x", 1, choice=1, ids=[7]),
                Delta("j", "b", 0),
                Delta("j", "y", 1, choice=1, ids=[8]),
            ],
            [[], [7], [1], [8]],
        ),
        # Text that was held back and comes with no token of its own.
        ([Delta("j", "a", 0)], [[]]),
    ],
)
def test_whoever_has_the_names_has_what_they_say(
    events: list[Piece | Done], ids: list[list[int]]
) -> None:
    assert by_last(events) == ids


def chunks(events: list[Piece | Done], **shape: Any) -> list[dict[str, Any]]:
    body = Chunks({"id": "x"}, Shape(names_tokens=True, **shape), include_usage=False)
    lines = body.render(events).decode().splitlines()
    found = [json.loads(line[6:]) for line in lines if line.startswith("data: {")]
    return [choice for each in found for choice in each["choices"]]


def test_markup_and_what_is_not_shown_are_named_too() -> None:
    told = chunks(
        [
            Thought("j", "so", 1, ids=[1]),
            Delta("j", "", 1, ids=[2]),
            CallOpened("j", 0, "c", "look", ids=[3]),
            CallArguments("j", 0, "{}", 1, ids=[4]),
        ],
        shows_reasoning=False,
    )
    opening, *rest = [(one["delta"], one.get("token_ids")) for one in told]
    assert opening[0]["role"] == "assistant"
    assert [ids for _, ids in rest] == [[1], [2], [3], [4]]
    assert [bool(delta) for delta, _ in rest] == [False, False, True, True]


def asked(**more: Any) -> dict[str, Any]:
    return {"model": "m", "stream": True, "messages": [{"role": "user", "content": "hi"}], **more}


def test_what_is_written_is_told_by_choice() -> None:
    one = parse_chat(asked(n=3, migration={"written": [[1, 2], None, []]}))
    assert one.written == {0: [1, 2], 2: []}
    assert parse_chat(asked(migration={})).written == {}
    assert parse_chat(asked()).written is None


@pytest.mark.parametrize(
    "more",
    [
        {"migration": {"written": [[1], [2]]}},
        {"migration": {"written": [[-1]]}},
        {"migration": {"written": ["text"]}},
        {"migration": True},
    ],
)
def test_what_does_not_fit_is_refused(more: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest) as refused:
        parse_chat(asked(**more))
    assert (refused.value.param or "").startswith("migration")
