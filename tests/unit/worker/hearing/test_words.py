"""When a word is said, and which are shown at once."""

from __future__ import annotations

from typing import Any

from worker.hearing.words import Said, cues, said


def aligned(*words: tuple[str, float, float]) -> list[dict[str, Any]]:
    """As faster-whisper has them; each has one token."""
    return [
        {"word": word, "tokens": [at], "start": start, "end": end, "probability": 0.5}
        for at, (word, start, end) in enumerate(words)
    ]


def spans(words: list[Said]) -> list[tuple[float, float]]:
    return [(word.start, word.end) for word in words]


def test_punctuation_belongs_to_its_word() -> None:
    found = said(aligned((" so", 0.0, 0.3), (",", 0.3, 0.4), (" he", 0.4, 0.8)), [])
    assert [word.text for word in found] == [" so,", " he"]
    assert [word.tokens for word in found] == [[0, 1], [2]]


def test_a_pause_is_no_part_of_the_word_before_it() -> None:
    found = said(aligned((" so", 0.0, 1.9), (" he", 1.9, 2.3)), [(0.5, 2.0)])
    assert spans(found) == [(0.0, 0.6), (1.9, 2.3)]


def test_nor_of_the_word_behind_it() -> None:
    found = said(aligned((" so", 0.0, 0.5), (" he", 0.5, 2.6)), [(0.5, 2.0)])
    assert spans(found) == [(0.0, 0.5), (1.9, 2.6)]


def test_a_short_silence_is_a_part_of_a_word() -> None:
    words = aligned((" stop", 0.0, 0.9))
    assert spans(said(words, [(0.4, 0.6)])) == [(0.0, 0.9)]


def test_no_word_is_longer_than_one_can_be() -> None:
    assert spans(said(aligned((" so", 1.0, 9.0)), [])) == [(1.0, 3.0)]


def word(text: str, start: float, end: float) -> Said:
    return Said(text, [1], start, end, 0.5)


def shown(*words: Said) -> list[str]:
    return ["".join(word.text for word in cue) for cue in cues(words)]


def test_a_sentence_is_a_cue_if_a_breath_follows() -> None:
    assert shown(word(" No.", 0, 1), word(" Yes.", 1.3, 2)) == [" No.", " Yes."]
    assert shown(word(" Mr.", 0, 1), word(" Smith", 1.1, 2)) == [" Mr. Smith"]


def test_a_pause_ends_a_cue_in_a_sentence_too() -> None:
    assert shown(word(" so", 0, 1), word(" he", 1.5, 2)) == [" so he"]
    assert shown(word(" so", 0, 1), word(" he", 1.6, 2)) == [" so", " he"]


def test_a_cue_is_no_longer_than_one_reads_at_once() -> None:
    assert shown(*[word(" so", at, at + 1) for at in range(9)]) == [" so" * 7, " so so"]
    assert shown(*[word(" " + "a" * 40, at, at + 1) for at in range(3)]) == [
        (" " + "a" * 40) * 2,
        " " + "a" * 40,
    ]


def test_no_words_are_no_cue() -> None:
    assert shown() == []
