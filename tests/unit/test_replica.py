"""The life of a supervised process as histories: what happens, when, and what is done."""

from __future__ import annotations

import signal

from ipc.control import Counters
from ipc.types import Loaded
from supervisor.replica import (
    Action,
    AskToDrain,
    Beat,
    BecameReady,
    Begin,
    CouldNotBoot,
    Exited,
    Happening,
    Progressed,
    Replica,
    Signal,
    Spawn,
    Stop,
    Tick,
)

READY = BecameReady(Loaded(device="cpu"), {"text-embedding": "ok"})
CRASH = Exited("killed by SIGKILL")

History = list[tuple[float, Happening]]


def play(history: History, replica: Replica | None = None) -> tuple[Replica, list[Action]]:
    """The replica after ``history`` and everything that it asked for on the way."""
    replica = replica or Replica("chat-1", 60.0, 300.0, jitter=lambda low, high: (low + high) / 2)
    actions: list[Action] = []
    for now, happening in history:
        actions += replica.on(happening, now)
    return replica, actions


def busy(progress: int) -> Beat:
    return Beat(Counters(progress=progress, in_flight=1))


def signals(actions: list[Action]) -> list[signal.Signals]:
    return [action.number for action in actions if isinstance(action, Signal)]


def test_it_starts_and_becomes_ready() -> None:
    replica, actions = play([(0, Begin()), (1, Progressed("loading")), (2, READY)])
    assert actions == [Spawn(1)]
    assert (replica.state, replica.generation, replica.serving) == ("ready", 1, True)


def test_a_crash_is_repaired_at_once_the_first_time() -> None:
    replica, actions = play([(0, Begin()), (1, READY), (5, CRASH), (5, Tick())])
    assert actions == [Spawn(1), Spawn(2)]
    assert replica.state == "starting"
    assert replica.restarts == 1
    assert replica.last_exit == "killed by SIGKILL"


def test_repeated_crashes_wait_longer_each_time() -> None:
    replica, _ = play([(0, Begin())])
    waits = []
    for at in (10, 20, 40, 80):
        replica.on(READY, at)
        replica.on(CRASH, at)
        assert replica.next_start_at is not None
        waits.append(replica.next_start_at - at)
        replica.on(Tick(), replica.next_start_at)
    assert waits == [0, 1, 2, 4]


def test_five_failures_in_ten_minutes_open_the_circuit_until_a_trial() -> None:
    replica, _ = play([(0, Begin())])
    for at in (1, 2, 5, 10, 20):
        replica.on(CRASH, at)
        if replica.state == "backoff":
            assert replica.on(Tick(), replica.next_start_at or 0) == [Spawn(replica.generation)]
    assert replica.state == "failed"
    assert replica.on(Tick(), 20 + 299) == []
    assert replica.on(Tick(), 20 + 300) == [Spawn(6)]
    replica.on(CRASH, 330)
    assert replica.state == "failed"
    assert replica.next_start_at == 330 + 300


def test_a_trial_that_succeeds_closes_the_circuit() -> None:
    replica, _ = play([(0, Begin()), (0, CouldNotBoot("no such file", permanent=True)), (0, CRASH)])
    assert (replica.state, replica.reason) == ("failed", "no such file")
    play([(300, Tick()), (301, READY)], replica)
    assert (replica.state, replica.reason) == ("ready", None)


def test_a_boot_failure_tells_its_own_reason() -> None:
    history: History = [
        (0, Begin()),
        (1, CouldNotBoot("the GPU is busy", permanent=False)),
        (1, Exited("exited with status 3")),
    ]
    replica, _ = play(history)
    assert (replica.state, replica.reason) == ("backoff", "the GPU is busy")
    assert replica.last_exit == "the GPU is busy (exited with status 3)"


def test_ten_healthy_minutes_wipe_out_what_went_before() -> None:
    replica, _ = play([(0, Begin()), (0, READY)])
    for at in (1, 2, 3, 4):
        replica.on(CRASH, at)
        replica.on(Tick(), 100 + at)
        replica.on(READY, 100 + at)
    replica.on(CRASH, 1000)
    assert (replica.state, replica.next_start_at) == ("backoff", 1000)


def test_silence_means_a_stopped_process_which_only_sigkill_ends() -> None:
    replica, actions = play([(0, Begin()), (1, READY), (2, Beat(Counters())), (7.0, Tick())])
    assert signals(actions) == []
    assert signals(replica.on(Tick(), 7.1)) == [signal.SIGKILL]
    assert signals(replica.on(Tick(), 7.3)) == []
    replica.on(CRASH, 7.4)
    assert replica.last_exit == "no heartbeat for 5 s (killed by SIGKILL)"


def test_work_in_hand_without_progress_is_a_hang_and_leaves_its_stacks() -> None:
    replica, _ = play([(0, Begin()), (0, READY), (1, busy(progress=7))])
    for at in range(2, 62):
        assert signals(play([(at, busy(progress=7)), (at, Tick())], replica)[1]) == []
    assert signals(play([(62, busy(7)), (62, Tick())], replica)[1]) == [signal.SIGABRT]
    assert signals(play([(63, busy(7)), (63, Tick())], replica)[1]) == [signal.SIGKILL]


def test_slow_progress_is_no_hang() -> None:
    history: History = [(0, Begin()), (0, READY)]
    for at in range(1, 300):
        history += [(at, busy(progress=at // 50)), (at, Tick())]
    assert signals(play(history)[1]) == []


def test_idleness_is_no_hang() -> None:
    history: History = [(0, Begin()), (0, READY)]
    for at in range(1, 300):
        history += [(at, Beat(Counters(progress=3))), (at, Tick())]
    assert signals(play(history)[1]) == []


def test_a_long_load_that_progresses_is_never_killed() -> None:
    history: History = [(0, Begin())]
    for at in range(1, 700, 100):
        history += [(at, Progressed()), (at + 99, Tick())]
    assert signals(play(history)[1]) == []


def test_a_load_without_progress_is_killed() -> None:
    _, actions = play([(0, Begin()), (10, Progressed("loading")), (309, Tick()), (310, Tick())])
    assert signals(actions) == []
    _, actions = play([(0, Begin()), (10, Progressed("loading")), (311, Tick()), (312, Tick())])
    assert signals(actions) == [signal.SIGABRT, signal.SIGKILL]


def test_stopping_asks_first_and_then_climbs_the_ladder() -> None:
    replica, actions = play([(0, Begin()), (1, READY), (10, Stop(30.0))])
    assert actions[1:] == [AskToDrain(30.0)]
    steps = [(at, signals(replica.on(Tick(), at))) for at in (39.9, 40.0, 49.9, 50.0, 51.0)]
    assert steps == [
        (39.9, []),
        (40.0, [signal.SIGTERM]),
        (49.9, []),
        (50.0, [signal.SIGABRT]),
        (51.0, [signal.SIGKILL]),
    ]


def test_what_exits_while_draining_is_stopped_and_stays_so() -> None:
    replica, actions = play(
        [
            (0, Begin()),
            (1, READY),
            (2, Stop(30.0)),
            (3, Exited("exited with status 0")),
            (9, Tick()),
        ]
    )
    assert replica.state == "stopped"
    assert actions == [Spawn(1), AskToDrain(30.0)]


def test_stopping_what_waits_for_its_restart_stops_it_at_once() -> None:
    replica, _ = play([(0, Begin()), (1, CRASH), (1, Tick()), (2, CRASH), (2, Stop(30.0))])
    assert replica.state == "stopped"
    assert replica.on(Tick(), 100) == []
