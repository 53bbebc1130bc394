"""Texts cut into what is said at once."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.speaking.parts import MAX_CHARS, MAX_FIRST_CHARS, parts
from worker.speaking.scripts import without_others

FIRST = "Once upon a time, in a small house by the sea, there lived an old man who had three sons."


def sentences(paragraph: str) -> list[str]:
    """As simple as can be."""
    return re.split(r"(?<=\.) ", paragraph)


def texts(text: str) -> list[str]:
    return [part.text for part in parts(text, sentences)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One. Two. Three.", ["One.", "Two.", "Three."]),
        ("One.\n\nTwo.", ["One.", "Two."]),
        ("  \n ", []),
        ("a\x07b\x1b[31m", ["a b [31m"]),
        (FIRST, ["Once upon a time,", FIRST.removeprefix("Once upon a time, ")]),
        (f"Hi. {FIRST}", ["Hi.", FIRST]),
        ("Well, " + "long " * 30 + ", so.", ["Well, " + "long " * 30 + ", so."]),
        ("x" * 650, ["x" * 300, "x" * 300, "x" * 50]),
    ],
)
def test_a_text_is_cut_where_one_would_breathe(text: str, expected: list[str]) -> None:
    assert texts(text) == expected


def test_a_long_sentence_is_cut_at_its_last_clause_else_at_its_last_word() -> None:
    clauses = "Hi. " + "a few words, " * 40
    assert all(text.endswith(",") for text in texts(clauses)[1:-1])
    words = "Hi. " + "word " * 100
    assert {*" ".join(texts(words)[1:]).split()} == {"word"}


def test_silence_is_longer_after_a_sentence_and_longest_after_a_paragraph() -> None:
    pauses = [part.pause_s for part in parts(f"{FIRST} Two.\nThree.", sentences)]
    clause, sentence, paragraph, last = pauses
    assert clause < sentence < paragraph == last


@given(st.text(max_size=2000))
def test_nothing_is_lost_and_no_part_is_long(text: str) -> None:
    found = texts(text)
    assert all(0 < len(part) <= MAX_CHARS for part in found)
    kept = "".join(character for character in text if character.isprintable())
    said = "".join(character for character in "".join(found) if character.isprintable())
    assert said.replace(" ", "") == "".join(kept.split()).replace(" ", "")


def test_the_first_part_is_short_where_it_has_a_comma() -> None:
    assert len(texts(FIRST)[0]) <= MAX_FIRST_CHARS


@pytest.mark.parametrize(
    ("text", "kept", "left_out"),
    [
        ("Hello, café!", "Hello, café!", 0),
        ("cafe\u0301", "café", 0),
        ("Tokyo is 東京.", "Tokyo is   .", 2),
        ("Привет", " " * 6, 6),
        ("नमस्ते", " " * 6, 6),
        ("I ❤️ 5 °C 😀", "I ❤️ 5 °C 😀", 0),
        ("\uff11\uff12 ½", "\uff11\uff12 ½", 0),
    ],
)
def test_letters_of_other_scripts_are_left_out_and_counted(
    text: str, kept: str, left_out: int
) -> None:
    assert without_others(text, "LATIN") == (kept, left_out)
