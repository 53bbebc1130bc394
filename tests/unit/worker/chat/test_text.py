"""Text that leaves a worker is whole: no half characters, no part of a stop text."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.chat.text import StopFilter, TextStream
from worker.chat.vocabulary import Control, Vocabulary


def no_encoder(texts: Sequence[str]) -> list[list[int]]:
    raise NotImplementedError(texts)


PIECES = [bytes([byte]) for byte in range(256)]
BYTES = Vocabulary(PIECES, {}, no_encoder)


def streamed(vocabulary: Vocabulary, tokens: list[int]) -> list[str]:
    stream = TextStream(vocabulary)
    return [*map(stream.push, tokens), stream.finish()]


@given(st.text())
def test_all_text_comes_out_whole_however_it_is_cut(text: str) -> None:
    data = text.encode("utf-8", "replace")
    assert "".join(streamed(BYTES, list(data))) == data.decode()


@given(st.binary())
def test_bytes_that_are_no_text_are_replaced_as_python_replaces_them(data: bytes) -> None:
    assert "".join(streamed(BYTES, list(data))) == data.decode("utf-8", "replace")


@given(st.lists(st.binary(max_size=6)))
def test_where_tokens_are_cut_changes_nothing(pieces: list[bytes]) -> None:
    vocabulary = Vocabulary(pieces, {}, no_encoder)
    whole = b"".join(pieces).decode("utf-8", "replace")
    assert "".join(streamed(vocabulary, list(range(len(pieces))))) == whole


def test_only_what_is_not_yet_whole_is_held_back() -> None:
    assert streamed(BYTES, list("é!🎉?".encode())) == ["", "é", "!", "", "", "", "🎉", "?", ""]
    assert streamed(BYTES, [0xF0, 0x9F, 0x41]) == ["", "", "\ufffdA", ""]


def test_an_answer_that_ends_inside_a_character_still_ends() -> None:
    assert streamed(BYTES, [0x61, 0xC3]) == ["a", "", "\ufffd"]


def test_control_tokens_and_those_beyond_the_vocabulary_are_no_text() -> None:
    vocabulary = Vocabulary([b"a", b"<end>", b"b"], {"<end>": Control(1)}, no_encoder)
    assert streamed(vocabulary, [0, 1, 2, 3, 70000]) == ["a", "", "b", "", "", ""]


def test_the_first_space_is_the_tokenizers_where_it_puts_one_there() -> None:
    vocabulary = Vocabulary([b" one", b" two", b""], {}, no_encoder, drops_first_space=True)
    assert streamed(vocabulary, [2, 0, 1, 0]) == ["", "one", " two", " one", ""]


@pytest.mark.parametrize(
    ("stop", "pieces", "out", "found"),
    [
        (["END"], ["one E", "N", "D two"], "one ", "END"),
        (["END"], ["one E", "N", "T two"], "one ENT two", None),
        (["END"], ["one EN"], "one EN", None),
        (["b", "ab"], ["xab"], "x", "ab"),
        (["b", "a"], ["xab"], "x", "a"),
        (["\n\n"], ["a\n", "b\n", "\nc"], "a\nb", "\n\n"),
        (["🎉🎉"], ["a🎉", "b🎉", "🎉c"], "a🎉b", "🎉🎉"),
        ([""], ["abc"], "abc", None),
        ([], ["abc"], "abc", None),
    ],
)
def test_a_stop_text_ends_the_answer_and_is_never_part_of_it(
    stop: list[str], pieces: list[str], out: str, found: str | None
) -> None:
    stream = StopFilter(stop)
    assert "".join([*map(stream.push, pieces), stream.finish()]) == out
    assert stream.found == found


@given(st.text(alphabet="ab"), st.text(alphabet="ab", min_size=1), st.integers(1, 3))
def test_cutting_never_changes_where_a_stop_text_is_found(text: str, stop: str, width: int) -> None:
    stream = StopFilter([stop])
    pieces = [stream.push(text[at : at + width]) for at in range(0, len(text), width)]
    assert "".join([*pieces, stream.finish()]) == text.split(stop, 1)[0]
