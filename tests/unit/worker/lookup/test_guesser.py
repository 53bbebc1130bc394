"""When tokens are guessed: where it has been paying, by histories."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from worker.chat.lookup.chances import Chance, expected_right
from worker.chat.lookup.guesser import PROBE_TOKENS, Guesser

LINE = list(range(100, 140))  # nothing in it repeats
MEMORY, ARITHMETIC = 0.02, 0.5  # what a token adds to a step of one second


class Step(NamedTuple):
    """What a step has guessed and how much of it was right."""

    guessed: int
    right: int


def write(
    guesser: Guesser, name: str, answer: list[int], added: float, limit: int = 10_000
) -> list[Step]:
    """Have ``answer`` written as an engine does, each token of a step beyond the first adding so
    many seconds."""
    steps: list[Step] = []
    at = 0
    while at < len(answer):
        room = min(limit, len(answer) - at - 1)
        guess = guesser.guesses({name: room}, 1).get(name, [])
        coming = answer[at : at + len(guess)]
        pairs = zip(guess, coming, strict=True)
        right = next((n for n, (one, other) in enumerate(pairs) if one != other), len(guess))
        if guess:
            guesser.checked(name, len(guess), right)
        guesser.took(1 + len(guess), 1 + added * len(guess))
        guesser.wrote(name, answer[at : at + right + 1])
        at += right + 1
        steps.append(Step(len(guess), right))
    return steps


def seconds(steps: list[Step], added: float) -> float:
    return sum(1 + added * step.guessed for step in steps)


def test_a_text_that_is_said_again_is_written_in_a_few_steps() -> None:
    guesser = Guesser()
    guesser.begin("edit", [*LINE, 1, 2])
    steps = write(guesser, "edit", LINE, MEMORY)
    guessed = [0, 0, 0, 4, 4, 8, 16, 0]
    assert steps == [Step(count, count) for count in guessed]


def test_where_nothing_repeats_nothing_is_guessed() -> None:
    guesser = Guesser()
    guesser.begin("chat", LINE)
    assert {step.guessed for step in write(guesser, "chat", list(range(1000, 1500)), MEMORY)} == {0}


def astray(times: int) -> list[int]:
    """Runs of the text that go on otherwise each time."""
    return [token for at in range(times) for token in (*LINE[:3], 1000 + at)]


def test_guesses_that_are_wrong_are_left_and_tried_again_rarely() -> None:
    guesser = Guesser()
    guesser.begin("chat", LINE)
    steps = write(guesser, "chat", astray(600), 0.2)
    tries = [at for at, step in enumerate(steps) if step.guessed]
    late = [at for at in tries if at > 200]
    assert 0 < len(late) <= 600 / PROBE_TOKENS
    assert seconds(steps, 0.2) < 1.02 * 4 * 600


def test_of_a_text_that_repeats_itself_by_chance_little_is_guessed() -> None:
    guesser = Guesser()
    guesser.begin("chat", LINE)
    steps = write(guesser, "chat", astray(20), 0.2)
    assert [step.guessed for step in steps if step.guessed] == [4, 2, 2]


def test_what_was_seen_of_requests_that_begin_alike_counts_for_the_next() -> None:
    guesser = Guesser()
    guesser.begin("first", LINE)
    write(guesser, "first", astray(100), 0.2)
    guesser.end("first")
    guesser.begin("alike", LINE)
    guesser.begin("other", [7, *LINE])
    assert not any(step.guessed for step in write(guesser, "alike", astray(10), 0.2))
    assert any(step.guessed for step in write(guesser, "other", astray(10), 0.2))


def test_a_request_that_turns_to_repeating_is_guessed_for_again() -> None:
    guesser = Guesser()
    guesser.begin("chat", LINE)
    write(guesser, "chat", astray(100), 0.2)
    steps = write(guesser, "chat", [*LINE[4:], *LINE, *LINE], 0.2)
    assert sum(step.right for step in steps) > 2 * len(LINE)


def test_where_each_token_costs_as_much_as_a_step_nothing_pays() -> None:
    guesser = Guesser()
    guesser.begin("edit", [*LINE, 1, 2])
    write(guesser, "edit", LINE, 1.5)
    steps = write(guesser, "edit", [*LINE, *LINE], 1.5)
    assert not any(step.guessed for step in steps)


@pytest.mark.parametrize("slow_s", [10.0, 30.0])
def test_one_slow_step_is_no_reason_to_guess_fewer_for_good(slow_s: float) -> None:
    """The first of its size, beside others that computed."""
    guesser = Guesser()
    guesser.took(1, 1.0)
    guesser.took(5, slow_s)
    guesser.begin("edit", [*LINE, 1, 2])
    steps = write(guesser, "edit", LINE * 200, MEMORY)
    assert {step.guessed for step in steps[-20:-2]} == {16}


def test_guesses_of_more_tokens_that_do_not_pay_are_tried_rarely() -> None:
    """All of them are right, and arithmetic bounds a step of more than five tokens."""
    guesser = Guesser()
    guesser.begin("edit", [*LINE, 1, 2])
    guesser.wrote("edit", LINE)
    counts = []
    for _ in range(2000):
        guess = guesser.guesses({"edit": 100}, 1)["edit"]
        guesser.checked("edit", len(guess), len(guess))
        guesser.took(1 + len(guess), max(1.0, len(guess) - 3.0))
        guesser.wrote("edit", guess)
        counts.append(len(guess))
    assert set(counts[20:]) == {4, 8}
    assert 1 <= counts[1000:].count(8) <= 4


def test_no_more_is_guessed_than_there_is_room_for() -> None:
    guesser = Guesser()
    guesser.begin("edit", [*LINE, 1, 2])
    steps = write(guesser, "edit", LINE, MEMORY, limit=3)
    assert max(step.guessed for step in steps) == 3
    assert guesser.guesses({"edit": 0, "unknown": 5}, 1) == {}


def test_many_answers_beside_each_other_share_what_a_step_can_bear() -> None:
    """Arithmetic bounds a step of many tokens: then guesses of one cost the others as much."""
    guesser = Guesser()
    for tokens in (1, 2, 4, 8, 16, 32):
        guesser.took(tokens, 1 + ARITHMETIC * max(0, tokens - 8))
    names = [f"edit-{at}" for at in range(8)]
    for name in names:
        guesser.begin(name, [*LINE, 1, 2])
        guesser.wrote(name, LINE[:3])
    alone = guesser.guesses({names[0]: 100}, 1)
    assert len(alone[names[0]]) == 4
    assert sum(map(len, guesser.guesses(dict.fromkeys(names, 100), 8).values())) < 8


def test_a_request_that_has_ended_is_forgotten() -> None:
    guesser = Guesser()
    guesser.begin("edit", [*LINE, 1, 2])
    guesser.wrote("edit", LINE[:3])
    guesser.end("edit")
    guesser.end("edit")
    guesser.wrote("edit", [1])
    guesser.checked("edit", 2, 1)
    assert guesser.guesses({"edit": 8}, 1) == {}


def test_a_refused_guess_says_nothing_of_those_behind_it() -> None:
    chance = Chance(0, 0.0001)
    for guessed, right in ((4, 4), (4, 1), (4, 0)):
        chance.observe(guessed, right)
    assert chance.value == pytest.approx(5 / 7, abs=0.001)


def test_how_many_of_a_row_will_be_right() -> None:
    assert expected_right(0.5, 3) == pytest.approx(0.875)
    assert expected_right(1.0, 8) == 8
