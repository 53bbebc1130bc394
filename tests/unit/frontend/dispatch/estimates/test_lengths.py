"""How long answers become, learned from those that came before."""

from __future__ import annotations

from frontend.dispatch.estimates.lengths import CLIENTS, ENOUGH, KEPT, Lengths


def known(*tokens: int, client: str = "ann", cut: bool = False) -> Lengths:
    made = Lengths()
    for each in tokens:
        made.learn(client, each, cut=cut)
    return made


def test_half_of_what_may_be_written_is_expected_until_something_is_known() -> None:
    assert Lengths().rest("ann", 100) == 50.0
    assert Lengths().rest("ann", 100, written=40) == 30.0


def test_answers_become_as_long_as_they_were_and_no_longer_than_they_may() -> None:
    lengths = known(10, 20, 30)
    assert lengths.rest("ann", 100) == 20.0
    assert lengths.rest("ann", 15) == (10 + 15 + 15) / 3


def test_an_answer_that_was_cut_would_have_gone_on() -> None:
    assert known(16, 16, cut=True).rest("ann", 200) == 200.0


def test_what_is_left_is_that_of_answers_that_became_longer() -> None:
    lengths = known(10, 20, 60)
    assert lengths.rest("ann", 100, written=15) == (5 + 45) / 2
    assert lengths.rest("ann", 100, written=80) == 20.0  # the limit comes first
    assert lengths.rest("ann", 1000, written=80) == 40.0  # half as much again


def test_a_client_of_whom_little_is_known_is_taken_for_anybody() -> None:
    lengths = known(*[10] * ENOUGH)
    lengths.learn("bob", 100, cut=False)
    assert lengths.rest("bob", 1000) == 25.0
    for _ in range(ENOUGH):
        lengths.learn("bob", 100, cut=False)
    assert lengths.rest("bob", 1000) == 100.0


def test_a_length_is_usual_where_most_are_alike() -> None:
    assert known(*[95, 100, 105] * 2, 900).usual("ann", 1000) == 100
    assert known(10, 50, 100, 200, 300, 400).usual("ann", 1000) is None
    assert known(*[100] * (ENOUGH - 1)).usual("ann", 1000) is None
    assert known(*[100] * 9).usual("bob", 1000) is None
    assert known(*[16] * 9, cut=True).usual("ann", 64) == 64


def test_what_is_kept_is_bounded() -> None:
    lengths = known(*[10] * 100, *[20] * KEPT)
    assert lengths.rest("ann", 100) == 20.0
    for number in range(CLIENTS):
        lengths.learn(f"client-{number}", 1, cut=False)
    assert lengths.usual("ann", 100) is None  # forgotten, having asked first
    assert lengths.rest(f"client-{CLIENTS - 1}", 100) == 1.0
