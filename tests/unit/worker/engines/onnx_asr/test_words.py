"""From tokens to words, and to their times."""

from __future__ import annotations

import pytest

from worker.engines.onnx_asr.recogniser import Token
from worker.engines.onnx_asr.words import aligned, text_of


def tokens(*texts: str, starts: tuple[float, ...] = ()) -> list[Token]:
    """Numbered from 0, a tenth of a second apart."""
    times = starts or tuple(0.1 * at for at in range(len(texts)))
    return [
        Token(at, text, start, -0.5)
        for at, (text, start) in enumerate(zip(texts, times, strict=True))
    ]


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        ((" and", " so"), " and so"),
        ((" coun", "try", ".", " Ask"), " country. Ask"),
        # Pieces without a space before the first word, as where a recording is cut in one.
        (("ing", " it"), " ing it"),
        # Punctuation that a vocabulary has with a space.
        ((" yes", " ,", " no", " ?"), " yes, no?"),
        # Signs that keep their space.
        ((" it", " costs", " $", "5", ",", ' "', "said", '"'), ' it costs $5, "said"'),
        # Letters, and the space by itself.
        ((" ", "d", "o", " ", "n", "e", "."), " do ne."),
        ((" ", " a", " "), " a"),
        (("你", "好"), " 你好"),
        ((" ",), ""),
        ((), ""),
    ],
)
def test_the_text_of_tokens(texts: tuple[str, ...], expected: str) -> None:
    assert text_of(tokens(*texts)) == expected


def test_a_word_ends_where_the_next_begins() -> None:
    found = aligned(tokens(" coun", "try", " do", ".", starts=(0.08, 0.24, 0.4, 0.56)), end_s=0.72)
    assert [(word["word"], word["start"], word["end"]) for word in found] == [
        (" country", 0.08, 0.4),
        (" do.", 0.4, 0.72),
    ]
    assert found[0]["tokens"] == [0, 1]
    assert found[0]["probability"] == pytest.approx(0.6065, abs=1e-3)


def test_a_word_is_no_longer_than_its_last_token_may_be() -> None:
    found = aligned(tokens(" ask", "ed", " me", starts=(1.0, 1.2, 9.0)), end_s=28.0)
    assert [(word["start"], word["end"]) for word in found] == [(1.0, 2.0), (9.0, 9.8)]


def test_a_word_begins_with_its_first_letter() -> None:
    found = aligned(tokens("a", " ", "b", starts=(0.0, 0.2, 1.6)), end_s=2.0)
    assert [(word["start"], word["end"]) for word in found] == [(0.0, 0.8), (1.6, 2.0)]


def test_without_words_there_is_nothing_to_time() -> None:
    assert aligned([], end_s=3.0) == []
    assert aligned(tokens(" "), end_s=3.0) == []
