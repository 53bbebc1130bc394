"""Text that leaves a worker is whole: no half characters, no part of a stop text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.text import StopFilter, TextStream, Words


def decode(tokens: list[int]) -> str:
    """A byte-level tokenizer's decoding: each token is one byte."""
    return bytes(tokens).decode("utf-8", "replace")


@given(st.text(), st.integers(min_value=1, max_value=5))
def test_all_text_comes_out_whole_however_it_is_cut(text: str, width: int) -> None:
    tokens = list(text.encode("utf-8", "replace"))
    stream = TextStream(decode)
    pieces = [stream.push(tokens[at : at + width]) for at in range(0, len(tokens), width)]
    assert "".join([*pieces, stream.finish()]) == decode(tokens)


def test_a_character_waits_for_its_last_byte() -> None:
    stream = TextStream(decode)
    assert [stream.push([byte]) for byte in "é!".encode()] == ["", "é", "!"]


def test_an_answer_that_ends_inside_a_character_still_ends() -> None:
    stream = TextStream(decode)
    assert stream.push([0xC3]) == ""
    assert stream.finish() == "\N{REPLACEMENT CHARACTER}"


@given(st.text(), st.sampled_from([b"a b", "é".encode(), b""]))
def test_known_words_change_nothing(text: str, sample: bytes) -> None:
    tokens = list(text.encode("utf-8", "replace"))
    stream = TextStream(decode, words=Words(decode, list(sample)))
    pieces = [stream.push([token]) for token in tokens]
    assert "".join([*pieces, stream.finish()]) == decode(tokens)


def test_a_tokenizer_that_trims_its_first_token_is_decoded_in_context() -> None:
    texts = {1: " one", 2: " two"}

    def trimmed(tokens: list[int]) -> str:
        return "".join(texts[token] for token in tokens).removeprefix(" ")

    stream = TextStream(trimmed, words=Words(trimmed, [1, 2]))
    assert [stream.push([token]) for token in (1, 2, 2)] == ["one", " two", " two"]


def test_each_word_is_decoded_once() -> None:
    asked: list[list[int]] = []

    def counted(tokens: list[int]) -> str:
        asked.append(tokens)
        return decode(tokens)

    words = Words(counted, b"ab")
    asked.clear()
    for _ in range(2):
        assert TextStream(counted, words=words).push(b"xyx") == "xyx"
    assert asked == [[ord("x")], [ord("y")]]


@pytest.mark.parametrize(
    ("stop", "pieces", "out", "found"),
    [
        (["END"], ["one E", "N", "D two"], "one ", True),
        (["END"], ["one E", "N", "T two"], "one ENT two", False),
        (["END"], ["one EN"], "one EN", False),
        (["b", "ab"], ["xab"], "x", True),
        (["\n\n"], ["a\n", "b\n", "\nc"], "a\nb", True),
        ([""], ["abc"], "abc", False),
        ([], ["abc"], "abc", False),
    ],
)
def test_a_stop_text_ends_the_answer_and_is_never_part_of_it(
    stop: list[str], pieces: list[str], out: str, found: bool
) -> None:
    stream = StopFilter(stop)
    assert "".join([*map(stream.push, pieces), stream.finish()]) == out
    assert stream.found is found


@given(st.text(alphabet="ab"), st.text(alphabet="ab", min_size=1), st.integers(1, 3))
def test_cutting_never_changes_where_a_stop_text_is_found(text: str, stop: str, width: int) -> None:
    stream = StopFilter([stop])
    pieces = [stream.push(text[at : at + width]) for at in range(0, len(text), width)]
    assert "".join([*pieces, stream.finish()]) == text.split(stop, 1)[0]
