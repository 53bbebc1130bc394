"""An answer of another edge-serve whose tokens are named: what has come can be gone on with."""

from __future__ import annotations

from typing import Any

import pytest

from ipc.messages.events import CallArguments, CallOpened, Delta, Piece, Reasoning
from ipc.messages.jobs import Tool
from tests.unit.worker.engines.streams import chat, chunk, end, read, stream
from worker.engines.upstream.answer import ChatAnswer
from worker.engines.upstream.chat import chat_body
from worker.engines.upstream.events import EventReader
from worker.engines.upstream.servers import SERVERS

OURS = SERVERS["edge-serve"]


def named(delta: dict[str, Any], *ids: int, finish: Any = None) -> dict[str, Any]:
    one = chunk(delta, finish)
    if ids:
        one["choices"][0]["token_ids"] = [*ids]
    return one


def told(pieces: list[Piece]) -> list[tuple[Any, int, list[int]]]:
    def said(piece: Piece) -> Any:
        match piece:
            case Delta() | Reasoning() | CallArguments():
                return piece.text
            case CallOpened():
                return piece.index, piece.name
        return None

    return [(said(piece), piece.tokens, piece.ids) for piece in pieces]


def call(at: int, text: str, name: str | None = None) -> dict[str, Any]:
    more = {"id": "c", "type": "function"} if name else {}
    function = ({"name": name} if name else {}) | {"arguments": text}
    return {"tool_calls": [{"index": at, "function": function, **more}]}


def test_each_piece_has_the_names_of_its_tokens() -> None:
    body = stream([named({"content": "a"}, 5), named({"content": "b"}, 6, 7), *end()])
    pieces, _ = read(body, server=OURS, written={})
    assert told(pieces) == [("a", 1, [5]), ("b", 2, [6, 7])]


def test_what_comes_without_names_waits_for_them_and_the_first_has_all() -> None:
    body = stream(
        [named({"reasoning_content": "so"}), named({"content": "yes"}, 5, 6), *end()],
    )
    pieces, _ = read(body, server=OURS, written={})
    assert told(pieces) == [("so", 2, [5, 6]), ("yes", 0, [])]


def test_what_was_cut_off_before_its_names_is_not_told() -> None:
    """It is said again by whoever goes on."""
    reader, answer = EventReader(), ChatAnswer("j", chat(), OURS, {})
    body = stream([named({"content": "a"}, 5), named({"content": "b"})])
    pieces = [piece for each in reader.feed(body) for piece in answer.feed(each)]
    assert told(pieces) == [("a", 1, [5])]


def test_names_of_markup_go_with_what_follows_and_the_rest_with_the_end() -> None:
    body = stream(
        [named({}, 1), named({"content": "a"}, 2), named({"content": "b"}), named({}, 3), *end()]
    )
    pieces, _ = read(body, server=OURS, written={})
    assert told(pieces) == [("a", 2, [1, 2]), ("b", 1, [3])]


def test_a_call_that_had_begun_elsewhere_goes_on() -> None:
    asked = chat(tools=[Tool(name="look")])
    body = stream(
        [
            named(call(1, '"x"}'), 7),
            named(call(2, "", "look"), 8),
            named(call(2, "{}"), 9),
            *end("tool_calls"),
        ]
    )
    pieces, result = read(body, server=OURS, asked=asked, written={0: [1, 2]})
    assert told(pieces) == [('"x"}', 1, [7]), ((2, "look"), 1, [8]), ("{}", 1, [9])]
    assert result.finish == "tool_calls"


@pytest.mark.parametrize("reason", ["stop", "length", "tool_calls"])
def test_an_answer_may_have_been_whole_but_for_its_end(reason: str) -> None:
    pieces, result = read(stream(end(reason)), server=OURS, written={0: [1, 2]})
    assert (pieces, result.finish) == ([], reason)


def test_it_is_asked_for_behind_the_tokens_of_each_choice() -> None:
    asked = chat({"n": 3})
    assert "migration" not in chat_body(asked, "m", OURS)
    assert chat_body(asked, "m", OURS, {})["migration"] == {"written": []}
    body = chat_body(asked, "m", OURS, {2: [5], 0: []})
    assert body["migration"] == {"written": [[], None, [5]]}
