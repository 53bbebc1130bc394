"""Twenty seconds of random faults under load; `bin/test chaos` has more of them."""

from __future__ import annotations

import random

from tests.process.faults.chaos import play
from tests.process.faults.ledger import CUT, LEFT, Ledger, Outcome, stream_outcome


def test_every_request_has_one_outcome_and_nothing_leaks() -> None:
    seed = random.SystemRandom().randrange(10**6)
    report = play(seed, seconds=20)
    print(report)
    assert not report.problems, f"seed {seed}"
    assert report.outcomes["200"] > 10  # hundreds on a free machine


def ledger(*outcomes: tuple[str, int]) -> Ledger:
    made = Ledger()
    for name, status in outcomes:
        made.write(Outcome(name, status, "", 10.0, 11.0))
    return made


def test_the_ledger_finds_what_is_missing_double_or_told_differently() -> None:
    line = "INFO frontend.1: request status={} request_id={}"
    books = ledger(("a", 200), ("b", 503), ("c", LEFT))
    good = [line.format(200, "a"), line.format(503, "b"), line.format(499, "c")]
    assert books.disputes(good) == []
    assert books.disputes(good[1:]) == ["a: 200 , and no line"]
    assert books.disputes([*good, good[0]]) == ["a: 2 lines"]
    assert books.disputes([line.format(500, "a"), *good[1:]]) == ["a: 200 , log: [500]"]
    assert books.disputes([*good, line.format(200, "z")]) == ["z: only the log knows of it"]


def test_only_the_death_of_a_frontend_excuses_a_missing_line() -> None:
    books = ledger(("a", CUT))
    assert books.disputes([], deaths=[10.5]) == []
    assert books.disputes([], deaths=[9.0, 13.0]) != []


def test_a_stream_without_its_end_is_an_outcome_of_its_own() -> None:
    failed = 'data: {"error":{"message":"m","type":"t","param":null,"code":"worker_crashed"}}'
    assert stream_outcome(["data: {}", "data: [DONE]"]) == (200, "")
    assert stream_outcome(["data: {}", failed]) == (503, "worker_crashed")
    assert stream_outcome(["data: {}"]) == (CUT, "cut")
