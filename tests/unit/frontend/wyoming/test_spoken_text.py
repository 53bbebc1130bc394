"""Texts that are said while they are written."""

from __future__ import annotations

import asyncio

import pytest

from frontend.wyoming.spoken_text import MAX_CHARS, PIECE_CHARS, SpokenText
from ipc.messages.errors import InvalidRequest


async def rest(text: SpokenText) -> list[str]:
    found = []
    while (piece := await text.next()) is not None:
        found.append(piece)
    return found


def whole(text: str) -> list[str]:
    one = SpokenText()
    one.add(text)
    one.end()
    return asyncio.run(rest(one))


def test_a_sentence_is_said_while_the_next_one_is_written() -> None:
    async def history() -> None:
        text = SpokenText()
        assert text.is_empty
        waiting = asyncio.ensure_future(text.next())
        text.add("The lamp")
        await asyncio.sleep(0)
        text.add(" is on. It")
        assert await waiting == "The lamp is on. "
        text.add(" is late. Good")
        text.add(" night. So")
        assert await text.next() == "It is late. Good night. "
        text.end()
        assert await rest(text) == ["So"]

    asyncio.run(history())


def test_what_has_no_word_waits_for_one() -> None:
    assert whole("*** \n\nHello. 🙂") == ["*** \n\nHello. 🙂"]
    assert whole("🙂 …\n") == []
    assert whole("") == []


def test_a_long_text_is_asked_for_in_pieces() -> None:
    sentence = "This sentence has forty-one characters. "
    pieces = whole(sentence * 300)
    assert "".join(pieces) == sentence * 300
    assert all(len(piece) <= PIECE_CHARS for piece in pieces)
    assert all(piece.endswith(". ") for piece in pieces)
    assert [len(piece) for piece in whole("x" * 5_000)] == [PIECE_CHARS, 5_000 - PIECE_CHARS]


def test_a_text_has_an_end() -> None:
    text = SpokenText()
    text.add("x" * MAX_CHARS)
    with pytest.raises(InvalidRequest):
        text.add("x")
