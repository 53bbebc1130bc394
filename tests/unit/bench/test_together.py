"""The table of models measured together."""

from __future__ import annotations

from bench.load.embeddings import Embeddings
from bench.together import Kind, table


def test_shares_are_of_each_round_and_their_sum_is_shown() -> None:
    work = Embeddings("a", 1, 1)
    kinds = {"one": Kind(work, 1, "texts"), "two": Kind(work, 1, "audio_seconds")}
    rounds = [
        ({"one": 100.0, "two": 10.0}, {"one": 50.0, "two": 5.0}),
        ({"one": 200.0, "two": 10.0}, {"one": 60.0, "two": 4.0}),
        ({"one": 100.0, "two": 0.0}, {"one": 40.0, "two": 1.0}),
    ]
    assert table(kinds, rounds).splitlines()[2:] == [
        "| one, texts/s | 100 | 50 | 0.40 |",
        "| two, audio seconds/s | 10 | 4 | 0.40 |",
        "| sum | | | 0.70 |",
    ]
