"""When prefixes are read again: histories of a worker after its load."""

from __future__ import annotations

from collections.abc import Sequence

from ipc.messages.jobs import ChatInput, Job, Tokens
from worker.chat.prefixes.account import PrefixAccount
from worker.chat.prefixes.form import decode
from worker.chat.prefixes.rereading import (
    IDLE_S,
    MOST_S,
    MOST_TRIES,
    PIECE_TOKENS,
    TELL_S,
    GiveUp,
    Rereading,
)

SYSTEM = list(range(1000, 1100))
OTHER = list(range(2000, 2100))
THIRD = list(range(3000, 3100))
UNRELATED = list(range(9000, 9050))


def known(*prefixes: list[int]) -> PrefixAccount:
    """An account in which each of ``prefixes`` was hit, the first most often."""
    account = PrefixAccount()
    for at, prefix in enumerate(prefixes):
        for tail in range(len(prefixes) - at + 1):
            account.note([*prefix, tail])
    return account


def rereading(*prefixes: list[int], prompts: int = 8, tokens: int = 10_000) -> Rereading:
    return Rereading(known(*prefixes), "m", prompts, tokens)


def begun(model: Rereading, now: float) -> Job:
    """The job that it wants done now."""
    job = model.turn(now, busy=False)
    assert isinstance(job, Job)
    return job


def read(job: Job) -> Sequence[int]:
    assert isinstance(job.input, ChatInput)
    (prompt,) = job.input.prompts
    assert isinstance(prompt, Tokens)
    return prompt.ids


def test_it_begins_once_nobody_has_asked_for_a_moment() -> None:
    model = rereading(SYSTEM)
    assert model.turn(100.0, busy=False) is None
    assert model.turn(100.9, busy=True) is None
    assert model.turn(101.3, busy=False) is None
    job = begun(model, 101.4)
    assert read(job) == SYSTEM
    assert job.model == "m"


def test_one_after_the_other_is_read_the_hottest_first() -> None:
    model = rereading(SYSTEM, OTHER)
    model.turn(0.0, busy=False)
    for prefix in (SYSTEM, OTHER):
        job = begun(model, IDLE_S)
        assert read(job) == prefix
        assert model.turn(IDLE_S, busy=False) is None  # one at a time
        model.end("job-of-a-client", IDLE_S, well=True)
        model.end(job.id, IDLE_S, well=True)
    assert model.turn(IDLE_S, busy=False) is None
    assert model.read_tokens == len(SYSTEM) + len(OTHER)


def test_a_long_one_is_read_in_pieces_each_on_the_one_before() -> None:
    long = list(range(2 * PIECE_TOKENS + 5))
    model = rereading(long)
    model.turn(0.0, busy=False)
    job = begun(model, 1.0)
    assert read(job) == long[:PIECE_TOKENS]
    model.end(job.id, 1.0, well=True)
    job = begun(model, 1.0)  # at once
    assert read(job) == long[: 2 * PIECE_TOKENS]
    assert model.turn(1.5, busy=True) == GiveUp(job.id)
    job = begun(model, 3.0)
    assert read(job) == long[: 2 * PIECE_TOKENS]
    model.end(job.id, 3.0, well=True)
    assert model.read_tokens == 0
    job = begun(model, 3.0)
    assert read(job) == long
    model.end(job.id, 3.0, well=True)
    assert model.read_tokens == len(long)


def test_it_is_given_up_for_a_request_and_taken_up_again() -> None:
    model = rereading(SYSTEM)
    model.turn(0.0, busy=False)
    job = begun(model, 1.0)
    assert model.turn(1.5, busy=True) == GiveUp(job.id)
    assert model.turn(1.6, busy=True) is None
    assert model.turn(2.0, busy=False) is None
    assert read(begun(model, 2.6)) == SYSTEM
    assert model.read_tokens == 0


def test_what_is_given_up_again_and_again_lets_the_others_have_their_turn() -> None:
    model = rereading(SYSTEM, OTHER)
    model.turn(0.0, busy=False)
    seen = []
    for at in range(2, 2 * (2 * MOST_TRIES + 2), 2):
        job = model.turn(float(at), busy=False)
        seen.append(read(job)[0] if isinstance(job, Job) else None)
        model.turn(at + 0.5, busy=True)
    assert seen == [SYSTEM[0]] * MOST_TRIES + [OTHER[0]] * MOST_TRIES + [None]


def test_what_a_request_has_had_read_is_not_read_again() -> None:
    model = rereading(SYSTEM, OTHER)
    model.turn(0.0, busy=True)
    model.note([*SYSTEM, 77])
    assert read(begun(model, 1.0)) == OTHER


def test_requests_have_their_places_first() -> None:
    model = rereading(SYSTEM, OTHER, THIRD, prompts=3)
    model.turn(0.0, busy=True)
    model.note(UNRELATED)
    model.note([*SYSTEM, 77])  # in the place that was for it
    job = begun(model, 1.0)
    assert read(job) == OTHER
    model.end(job.id, 1.0, well=True)
    assert model.turn(1.0, busy=False) is None


def test_so_have_their_tokens() -> None:
    model = rereading(SYSTEM, OTHER, tokens=220)
    model.turn(0.0, busy=True)
    model.note(UNRELATED)
    job = begun(model, 1.0)
    assert read(job) == SYSTEM
    model.end(job.id, 1.0, well=True)
    assert model.turn(1.0, busy=False) is None


def test_there_is_an_end_to_it_however_slow_the_model_is() -> None:
    model = rereading(SYSTEM, OTHER)
    model.turn(0.0, busy=False)
    job = begun(model, 1.0)
    assert model.turn(1.0 + MOST_S - 0.1, busy=False) is None
    assert model.turn(1.0 + MOST_S, busy=False) == GiveUp(job.id)
    assert model.turn(500.0, busy=False) is None


def test_what_the_model_does_not_take_is_left_alone() -> None:
    model = rereading(SYSTEM, OTHER)
    model.turn(0.0, busy=False)
    job = begun(model, 1.0)
    model.end(job.id, 1.0, well=False)
    assert model.read_tokens == 0
    assert read(begun(model, 1.0)) == OTHER


def test_what_is_new_is_told_and_not_too_often() -> None:
    model = Rereading(PrefixAccount(), "m", 8, 10_000)
    assert model.news(10.0) is None
    model.note([*SYSTEM, 1])
    assert model.news(20.0) is None  # nothing has come again
    model.note([*SYSTEM, 2])
    assert model.news(20.0 + TELL_S / 2) is None
    told = model.news(20.0 + TELL_S)
    assert told is not None
    assert decode(told).hottest(8, 1000) == [SYSTEM]
    assert model.news(50.0) is None


def test_what_was_known_before_is_no_news() -> None:
    model = rereading(SYSTEM)
    model.note(UNRELATED)
    assert model.news(10.0) is None
