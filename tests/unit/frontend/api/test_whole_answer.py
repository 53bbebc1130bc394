"""A chat's answer put together: its blocks in the order in which they were written."""

from __future__ import annotations

import pytest

from frontend.api.whole_answer import (
    WholeAnswer,
    WholeCall,
    WholeChoice,
    WholeReasoning,
    WholeText,
)
from ipc.messages.errors import InternalError
from ipc.messages.events import (
    CallArguments,
    CallOpened,
    ChatResult,
    Delta,
    Piece,
    Reasoning,
    TokenLogprob,
    Usage,
)

A, B = (TokenLogprob(id=at, data=data, logprob=-1.0) for at, data in enumerate([b"a", b"b"]))


def choice(*pieces: Piece) -> WholeChoice:
    answer = WholeAnswer()
    for piece in pieces:
        answer.add(piece)
    ((found, _),) = answer.choices(ChatResult(finish="stop", usage=Usage()))
    return found


def test_blocks_are_in_the_order_of_the_answer() -> None:
    found = choice(
        Reasoning("j", "Rain"),
        Reasoning("j", "?"),
        Delta("j", "One "),
        Delta("j", "moment."),
        CallOpened("j", 0, "call_a", "weather"),
        CallArguments("j", 0, '{"town":'),
        CallArguments("j", 0, '"Rome"}'),
        Delta("j", "Done."),
    )
    assert found.blocks == [
        WholeReasoning(["Rain", "?"]),
        WholeText(["One ", "moment."]),
        WholeCall("call_a", "weather", ['{"town":', '"Rome"}']),
        WholeText(["Done."]),
    ]
    assert (found.texts, found.reasoning) == (["One ", "moment.", "Done."], ["Rain", "?"])
    assert found.calls == [found.blocks[2]]


def test_a_piece_that_says_nothing_begins_no_block() -> None:
    assert choice(Delta("j", ""), Reasoning("j", "")).blocks == []


def test_log_probabilities_belong_to_the_text_that_they_came_with() -> None:
    found = choice(
        Delta("j", "a", logprobs=[A]), Reasoning("j", "x"), Delta("j", "b", logprobs=[B])
    )
    assert found.blocks[0] == WholeText(["a"], [A])
    assert found.logprobs == [A, B]
    assert choice(Delta("j", "a")).logprobs is None


@pytest.mark.parametrize(
    "pieces",
    [
        [CallOpened("j", 1, "c", "f")],
        [CallArguments("j", 0, "{}")],
        [CallOpened("j", 0, "c", "f"), CallArguments("j", 1, "{}")],
    ],
)
def test_calls_come_in_order(pieces: list[Piece]) -> None:
    with pytest.raises(InternalError, match="out of order"):
        choice(*pieces)
