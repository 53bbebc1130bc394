"""What is remembered of conversations, and for how long."""

from __future__ import annotations

from frontend.wyoming.conversations import KEPT_S, MOST, MOST_TURNS, Conversations, Turn


class Clock:
    def __init__(self) -> None:
        self.at = 0.0

    def __call__(self) -> float:
        return self.at


def turn(number: int) -> Turn:
    return Turn(f"question {number}", f"answer {number}")


def test_the_last_turns_are_kept_of_each_conversation() -> None:
    kept = Conversations()
    for number in range(MOST_TURNS + 3):
        kept.add("a", turn(number))
    kept.add("b", turn(99))
    assert kept.turns("a") == [turn(number) for number in range(3, MOST_TURNS + 3)]
    assert kept.turns("b") == [turn(99)]


def test_without_a_name_nothing_is_kept() -> None:
    kept = Conversations()
    kept.add(None, turn(1))
    assert kept.turns(None) == []
    assert kept.turns("a") == []


def test_a_conversation_is_forgotten_after_a_quarter_of_an_hour() -> None:
    clock = Clock()
    kept = Conversations(clock)
    kept.add("a", turn(1))
    clock.at = KEPT_S - 1
    kept.add("b", turn(2))
    assert kept.turns("a") == [turn(1)]
    clock.at = KEPT_S
    assert kept.turns("a") == []
    assert kept.turns("b") == [turn(2)]


def test_of_too_many_the_one_that_is_silent_for_longest_goes() -> None:
    kept = Conversations()
    for number in range(MOST):
        kept.add(str(number), turn(number))
    kept.add("0", turn(0))
    kept.add("new", turn(7))
    assert kept.turns("1") == []
    assert len(kept.turns("0")) == 2
