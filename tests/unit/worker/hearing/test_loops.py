"""What a model has written in a circle, and what somebody says again and again."""

from __future__ import annotations

import pytest

from worker.hearing.loops import Loop, longest_loop, unlooped
from worker.hearing.model import Heard
from worker.hearing.units import plain, units, without
from worker.hearing.words import Said


def heard(text: str, *, logprob: float = -0.2, is_unended: bool = False) -> Heard:
    return Heard("en", text, [1], [], 0.0, logprob, 3.0, 0.1, is_unended)


@pytest.mark.parametrize(
    ("text", "loop"),
    [
        ("so " + "thank you " * 4, Loop(1, 2, 9)),
        ("no " * 8, Loop(0, 1, 8)),
        ("no " * 7, None),  # one says it in a row
        ("thank you " * 3, None),
        ("a b c d a b c d a b c d a b c d e", Loop(0, 4, 16)),
        ("one two three four five six seven eight nine ten", None),
        ("a b a b a b a b x y x y x y x y x y", Loop(8, 2, 18)),  # the longest of several
        ("thank you thank you thank you thank you tha", Loop(0, 2, 8)),
        ("", None),
    ],
)
def test_what_is_repeated_so_often_that_it_may_be_a_loop(text: str, loop: Loop | None) -> None:
    assert longest_loop(text.split()) == loop


CHANT = " No, no, no, no, no, no, no, no, no!"
CHORUS = " We will rock you." * 4
THANKS = " So it is." + " Thank you." * 70


# The chant and the chorus as whisper-base wrote them of voices that said them.
@pytest.mark.parametrize(
    ("found", "voice_s", "left"),
    [
        (heard(CHANT), 2.6, None),
        (heard(CHORUS), 5.2, None),
        (heard(" Thank you." * 5), 3.5, None),  # it is said to five people
        (heard(" One, two, three, four." * 4), 7.0, None),
        (heard(CHANT), 0.5, " No,"),  # nobody says nine words in half a second
        (heard(CHORUS, logprob=-1.2), 5.2, " We will rock you."),
        (heard(THANKS, is_unended=True), 27.0, " So it is. Thank you."),
        (heard(THANKS + " Tha", is_unended=True), 27.0, " So it is. Thank you."),
        (heard(THANKS + " And then he went.", is_unended=True), 27.0, None),
        (heard(" 谢谢观看" * 20, is_unended=True), 20.0, " 谢谢观看"),
        (heard(" はい、" * 30, is_unended=True), 20.0, " はい、"),
        (heard(" ha-ha-ha-ha-ha-ha-ha-ha-ha", is_unended=True), 3.0, " ha-"),
        (heard(" ask not what your country can do", is_unended=True), 0.1, None),
    ],
)
def test_a_loop_is_one_where_something_else_says_so_too(
    found: Heard, voice_s: float, left: str | None
) -> None:
    once = unlooped(found, voice_s)
    assert (once and once.text) == left


def test_the_words_of_a_loop_go_with_it() -> None:
    words = [
        Said(text, [at], float(at), at + 1.0, 0.9) for at, text in enumerate([" Go", " on."] * 4)
    ]
    once = unlooped(heard(" Go on." * 4, logprob=-1.5)._replace(words=words), 20.0)
    assert once is not None
    assert once.text == " Go on."
    assert once.words == words[:2]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (" Thank you, Mr. X!", ["thank", "you", "mr", "x"]),
        (" — a well-known «word» …", ["a", "well", "known", "word"]),
        ("谢谢观看。", ["谢", "谢", "观", "看"]),
        (" ...", []),
        ("", []),
    ],
)
def test_words_are_compared_without_case_and_marks(text: str, words: list[str]) -> None:
    found = units(text)
    assert [unit.plain for unit in found] == words
    assert (
        "".join(text[unit.start : unit.end] for unit in found)
        == text[found[0].start if found else len(text) :]
    )


def test_what_is_taken_out_of_a_text_is_taken_out_of_its_words() -> None:
    words = [Said(" a", [], 0.0, 1.0, 0.9), Said(" b", [], 1.0, 2.0, 0.9)]
    left = without(heard(" a b")._replace(words=words), 0, 2)
    assert (left.text, left.words) == (" b", words[1:])
    assert plain("It's") == "its"
