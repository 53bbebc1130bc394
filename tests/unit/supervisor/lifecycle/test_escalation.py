"""The steps by which a process is ended, each at its time."""

from __future__ import annotations

from signal import SIGABRT, SIGKILL, SIGTERM

from supervisor.lifecycle.actions import Action, AskToDrain, Signal
from supervisor.lifecycle.escalation import ABORT_S, TERM_S, Escalation
from supervisor.lifecycle.happenings import Stop


def numbers(actions: list[Action]) -> list[int]:
    return [one.number for one in actions if isinstance(one, Signal)]


def test_a_drain_is_asked_for_after_its_notice_and_enforced_after_its_time() -> None:
    one = Escalation()
    assert one.drain(Stop(30.0, grace_s=3.0, notice_s=0.5), 10.0) == []
    assert one.due(10.5) == [AskToDrain(30.0)]
    assert one.due(43.4) == []
    assert numbers(one.due(43.5)) == [SIGTERM]
    assert numbers(one.due(43.5 + TERM_S)) == [SIGABRT]
    assert numbers(one.due(43.5 + TERM_S + ABORT_S)) == [SIGKILL]
    assert one.due(1e9) == []


def test_a_kill_takes_the_place_of_a_drain_and_is_not_taken_back() -> None:
    one = Escalation()
    one.drain(Stop(30.0), 0.0)
    one.kill("no heartbeat", 1.0, stacks=True)
    assert one.drain(Stop(0.0), 1.0) == []
    assert numbers(one.due(1.0)) == [SIGABRT]
    assert numbers(one.due(1.0 + ABORT_S)) == [SIGKILL]


def test_without_stacks_a_kill_is_at_once() -> None:
    one = Escalation()
    one.kill("stopped by a signal", 1.0, stacks=False)
    assert numbers(one.due(1.0)) == [SIGKILL]


def test_after_a_pause_what_is_to_come_has_as_much_longer() -> None:
    one = Escalation()
    one.drain(Stop(30.0), 0.0)
    one.delay(100.0)
    assert one.due(129.9) == []
    assert numbers(one.due(130.0)) == [SIGTERM]


def test_the_next_process_is_told_nothing_of_it() -> None:
    one = Escalation()
    one.kill("no heartbeat", 0.0, stacks=True)
    one.clear()
    assert (one.due(1e9), one.kills) == ([], False)
