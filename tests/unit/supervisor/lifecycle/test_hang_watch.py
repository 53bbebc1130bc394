"""What is taken for a hang, by when a process was heard and came further."""

from __future__ import annotations

import pytest

from ipc.messages.state import ReplicaState
from supervisor.lifecycle.hang_watch import SILENCE_S, Hang, HangWatch

STALL_S, LOAD_STALL_S = 60.0, 300.0
LATE = SILENCE_S + 0.1


@pytest.fixture
def watch() -> HangWatch:
    """Of a process that was last heard, and came last further, at second 0."""
    one = HangWatch(STALL_S, LOAD_STALL_S)
    one.on_start(0.0)
    return one


def look(
    one: HangWatch, at: float, state: ReplicaState = "ready", in_flight: int = 0
) -> Hang | None:
    return one.look(state, at, serving=state != "starting", in_flight=in_flight)


def test_one_that_serves_may_be_silent_for_so_long(watch: HangWatch) -> None:
    assert look(watch, SILENCE_S) is None
    assert look(watch, LATE) == Hang("no heartbeat for 5 s", stacks=True, excused=False)


def test_one_that_is_stopped_by_a_signal_cannot_say_where_it_is(watch: HangWatch) -> None:
    watch.is_suspended = True
    found = look(watch, LATE)
    assert found is not None
    assert not found.stacks


def test_one_that_works_in_silence_has_as_long_as_a_step_may_take(watch: HangWatch) -> None:
    watch.on_worked(STALL_S)
    assert look(watch, STALL_S) is None
    assert look(watch, STALL_S + 1.0) == Hang(
        "no heartbeat for 61 s, though it works", stacks=True, excused=False
    )


def test_work_in_hand_without_progress_is_a_hang_and_idleness_is_none(watch: HangWatch) -> None:
    late = STALL_S + 1.0
    watch.on_beat(late)
    assert look(watch, late, in_flight=0) is None
    found = look(watch, late, in_flight=1)
    assert found is not None
    assert found.why == "no progress for 61 s with work in hand"


def test_one_that_loads_says_nothing_and_has_to_come_further(watch: HangWatch) -> None:
    assert look(watch, LOAD_STALL_S, "starting") is None
    watch.on_progress(LOAD_STALL_S)
    assert look(watch, LOAD_STALL_S + 1.0, "starting") is None
    found = look(watch, 2 * LOAD_STALL_S + 1.0, "starting")
    assert found is not None
    assert found.why == "no progress for 301 s while loading"


def test_one_that_stays_silent_after_a_pause_is_excused(watch: HangWatch) -> None:
    watch.on_resumed(100.0)
    watch.begin(100.0)
    found = look(watch, 100.0 + LATE)
    assert found is not None
    assert found.excused
    watch.on_beat(101.0)
    found = look(watch, 101.0 + LATE)
    assert found is not None
    assert not found.excused
