"""Live words as histories: when a turn begins and ends, and which words are told when."""

from __future__ import annotations

import pytest

from ipc.messages.jobs import TurnRules
from worker.audio.cut import FRAME_S
from worker.hearing.live.told_words import SURE_S, ToldWords, guessed
from worker.hearing.live.turn_finder import TurnFinder
from worker.hearing.words import Said

RULES = TurnRules(threshold=0.5, silence_ms=round(4 * FRAME_S * 1000), padding_ms=0)


def words(text: str, start_s: float = 0.0, each_s: float = 0.5) -> list[Said]:
    """Each takes so long, one after the other."""
    return [
        Said(f" {word}", [], start_s + at * each_s, start_s + (at + 1) * each_s, 0.9)
        for at, word in enumerate(text.split())
    ]


@pytest.mark.parametrize(
    ("voices", "told"),
    [
        ("111", "..+"),
        ("110111", ".....+"),  # a click, and then a voice
        ("1110000", "..+...-"),
        ("11100010000", "..+.......-"),  # a pause, shorter than the end of a turn
        ("111~~~~0000", "..+.......-"),  # quieter, and still a voice
        ("1110000111", "..+...-..+"),
    ],
)
def test_a_turn_begins_with_a_voice_and_ends_with_a_silence(voices: str, told: str) -> None:
    finder = TurnFinder(RULES)
    heard = [finder.push({"1": 0.9, "0": 0.1, "~": 0.4}[voice]) for voice in voices]
    assert "".join({"started": "+", "stopped": "-", None: "."}[one] for one in heard) == told


def test_a_turn_that_was_ended_by_its_client_may_begin_anew() -> None:
    finder = TurnFinder(RULES)
    for _ in range(5):
        finder.push(0.9)
    finder.reset()
    assert [finder.push(0.9) for _ in range(3)] == [None, None, "started"]


def test_a_word_is_told_once_two_runs_have_it_behind_a_guard() -> None:
    told = ToldWords(0.4)
    assert told.hear(words("and so"), 1.1) == ""
    assert told.unstable == "and so"
    # `so` is in both, and `my` ends less than the guard before the edge.
    assert told.hear(words("and so my"), 1.6) == "and so"
    assert told.unstable == "my"
    assert told.hear(words("and so my fellow"), 2.1) == " my"
    assert told.text == "and so my"


def test_what_two_runs_hear_differently_waits_until_it_is_far_from_the_edge() -> None:
    told = ToldWords(0.4)
    told.hear(words("and show"), 1.1)
    assert told.hear(words("and so"), 1.1) == "and"
    assert told.hear(words("and sow"), 1.0 + 0.4 + SURE_S - 0.01) == ""
    assert told.hear(words("and so"), 1.0 + 0.4 + SURE_S) == " so"


def test_case_and_punctuation_are_no_difference_and_words_are_told_once() -> None:
    told = ToldWords(0.4)
    assert told.hear(words("And so,"), 1.45) == ""
    assert told.hear(words("and so"), 1.45) == "and so"
    assert told.hear(words("And so. My"), 1.6) == ""
    assert told.text == "and so"


def test_a_told_word_is_found_again_though_its_time_has_moved() -> None:
    told = ToldWords(0.4)
    told.hear(words("one two three"), 2.0)
    told.hear(words("one two three"), 2.0)
    assert told.text == "one two three"
    assert told.hear(words("one two three four", 0.3), 4.0) == " four"


def test_a_told_word_that_is_not_heard_again_holds_its_time() -> None:
    told = ToldWords(0.4)
    told.hear(words("one two"), 2.0)
    told.hear(words("one two"), 2.0)
    assert told.hear(words("won too three"), 4.0) == " three"


def test_the_end_only_adds_and_says_where_it_would_differ() -> None:
    told = ToldWords(0.4)
    told.hear(words("one two"), 2.0)
    told.hear(words("one two"), 2.0)
    assert told.end(words("one two three.")) == (" three.", False)
    assert told.text == "one two three."
    told = ToldWords(0.4)
    told.hear(words("one two"), 2.0)
    told.hear(words("one two"), 2.0)
    assert told.end(words("one too three.")) == (" three.", True)


def test_an_end_without_words_has_none() -> None:
    assert ToldWords(0.4).end([]) == ("", False)


def test_guessed_times_are_never_enough_without_a_second_run() -> None:
    told = ToldWords(0.4)
    assert told.hear(guessed("one two three", 0.0, 3.0), 9.0, timed=False) == ""
    assert told.hear(guessed("one two four", 0.0, 3.0), 9.0, timed=False) == "one two"


def test_guessed_times_are_in_order_and_end_with_the_sound() -> None:
    found = guessed("a longer text", 1.0, 4.0)
    assert found[0].start == 1.0
    assert found[-1].end == pytest.approx(4.0)
    assert "".join(word.text for word in found) == " a longer text"


def test_the_parts_of_a_word_stay_together() -> None:
    told = ToldWords(0.4)
    parts = [Said(" ill", [], 0.0, 0.5, 0.9), Said("-disposed", [], 0.5, 1.0, 0.9)]
    told.hear(parts[:1], 5.0)
    assert told.hear(parts, 5.0) == "-disposed"
    assert told.text == "ill-disposed"


def test_languages_without_spaces_get_none() -> None:
    told = ToldWords(0.4)
    japanese = [Said("今日", [], 0.0, 0.5, 0.9), Said("は", [], 0.5, 1.0, 0.9)]
    told.hear(japanese, 1.5)
    assert told.hear(japanese, 1.5) == "今日は"
    assert told.end([*japanese, Said("雨", [], 1.0, 1.5, 0.9)]) == ("雨", False)
