"""Where a text may be cut while it comes, and what of its marks is spoken."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frontend.wyoming.sentences import Sentences, plain


def taken(text: str, step: int = 1) -> list[str]:
    """What is handed on of ``text``, which comes in pieces of ``step``."""
    one, found = Sentences(), []
    for at in range(0, len(text), step):
        one.add(text[at : at + step])
        found.append(one.take())
    return [each for each in (*found, one.rest()) if each]


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("It is ten. The lamp is on.", ["It is ten. ", "The lamp is on."]),
        ("Really?! Yes… “No.” He left", ["Really?! ", "Yes… ", "“No.” ", "He left"]),
        ("one\ntwo\n", ["one\n", "two\n"]),
        ("今天。明天。好", ["今天。", "明天。", "好"]),
        ("Dr. Smith, e.g. J. Doe. 3. Item", ["Dr. Smith, e.g. J. Doe. ", "3. Item"]),
        ("At 3.5 degrees. www.example.com is up", ["At 3.5 degrees. www.example.com is up"]),
        ("**Done.** Next", ["**Done.** ", "Next"]),
    ],
)
def test_a_sentence_is_handed_on_once_another_one_begins(text: str, sentences: list[str]) -> None:
    assert taken(text) == sentences


def test_a_text_without_an_end_does_not_wait_for_ever() -> None:
    first, *_ = taken("word " * 200)
    assert len(first) <= 405


@given(st.text(alphabet="aB.!? \n,。*", max_size=900), st.integers(1, 50))
def test_nothing_is_lost_or_moved(text: str, step: int) -> None:
    assert "".join(taken(text, step)) == text


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("**Bold** and *thin*, __both__ and `code`.", "Bold and thin, both and code."),
        ("# Title\n\n- one\n* two\n+ three\n1. four", "Title\n\none\ntwo\nthree\n1. four"),
        ("> quoted\n---\nend", "quoted\n\nend"),
        ("See [the page](https://example.com/a_b) now.", "See the page now."),
        ("![A cat](cat.png)", "A cat"),
        ("```python\nprint(1)\n```\nDone", "print(1)\nDone"),
        (
            "3 * 4 is 12, -5 and snake_case stay; 2*3 too",
            "3 * 4 is 12, -5 and snake_case stay; 2*3 too",
        ),
        ("~~old~~ new", "old new"),
        ("**cut. ", "cut. "),
        ("It costs $5 (or 4 €) & more; really!", "It costs $5 (or 4 €) & more; really!"),
    ],
)
def test_marks_are_left_out_and_words_stay(written: str, said: str) -> None:
    assert plain(written) == said
