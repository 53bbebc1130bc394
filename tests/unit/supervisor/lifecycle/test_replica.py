"""The life of a supervised process as histories: what happens, when, and what is done."""

from __future__ import annotations

import signal
from itertools import pairwise

from ipc.messages.control import Counters
from ipc.messages.spec import Loaded
from supervisor.fleet.member import FRONTEND_PATIENCE
from supervisor.lifecycle.actions import (
    Action,
    AskToDrain,
    Signal,
    Spawn,
    Warn,
)
from supervisor.lifecycle.escalation import NOTICE_S
from supervisor.lifecycle.happenings import (
    Beat,
    BecameReady,
    Begin,
    Blocked,
    CouldNotBoot,
    Exited,
    Garbled,
    Happening,
    Progressed,
    Resumed,
    Sampled,
    Stop,
    Suspended,
    Tick,
    Worked,
)
from supervisor.lifecycle.recycle import Limits
from supervisor.lifecycle.replica import Replica

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


def test_a_trial_that_crashes_is_no_failure_for_good() -> None:
    gone = CouldNotBoot("no such file", permanent=True)
    replica, _ = play([(0, Begin()), (0, gone), (0, CRASH), (300, Tick()), (301, CRASH)])
    assert replica.state == "backoff"


def test_a_boot_failure_tells_its_own_reason() -> None:
    history: History = [
        (0, Begin()),
        (1, CouldNotBoot("the GPU is busy", permanent=False)),
        (1, Exited("exited with status 3")),
    ]
    replica, _ = play(history)
    assert (replica.state, replica.reason) == ("backoff", "the GPU is busy")
    assert replica.last_exit == "the GPU is busy (exited with status 3)"


def test_a_load_that_fails_for_what_may_pass_is_tried_again_like_a_crash() -> None:
    replica, _ = play([(0, Begin())])
    waits = []
    for at in (10, 20, 40, 80):
        replica.on(CouldNotBoot("the GPU is busy", permanent=False), at)
        replica.on(Exited("exited with status 3"), at)
        assert (replica.state, replica.explained) == ("backoff", "the GPU is busy")
        assert replica.next_start_at is not None
        waits.append(replica.next_start_at - at)
        replica.on(Tick(), replica.next_start_at)
    assert waits == [0, 1, 2, 4]
    replica.on(CouldNotBoot("the GPU is busy", permanent=False), 160)
    replica.on(Exited("exited with status 3"), 160)
    assert (replica.state, replica.explained) == (
        "failed",
        "the GPU is busy (5 failures in 10 minutes; tried again each 5 minutes, or at once by "
        "`edge-serve load MODEL`)",
    )


def test_a_load_that_fails_for_what_stays_says_that_waiting_does_not_mend_it() -> None:
    replica, _ = play([(0, Begin()), (0, CouldNotBoot("no such file", permanent=True)), (0, CRASH)])
    assert (replica.state, replica.explained) == (
        "failed",
        "no such file (waiting does not mend this; once mended it starts within 5 minutes, or at "
        "once by `edge-serve load MODEL`)",
    )


def test_ten_healthy_minutes_wipe_out_what_went_before() -> None:
    replica, _ = play([(0, Begin()), (0, READY)])
    for at in (1, 2, 3, 4):
        replica.on(CRASH, at)
        replica.on(Tick(), 100 + at)
        replica.on(READY, 100 + at)
    replica.on(CRASH, 1000)
    assert (replica.state, replica.next_start_at) == ("backoff", 1000)


def test_a_silent_process_says_where_it_is_before_it_is_killed() -> None:
    replica, actions = play([(0, Begin()), (1, READY), (2, Beat(Counters())), (7.0, Tick())])
    assert signals(actions) == []
    assert signals(replica.on(Tick(), 7.1)) == [signal.SIGABRT]
    assert signals(replica.on(Tick(), 7.3)) == []
    assert signals(replica.on(Tick(), 8.2)) == [signal.SIGKILL]
    replica.on(CRASH, 8.3)
    assert replica.last_exit == "no heartbeat for 5 s (killed by SIGKILL)"
    assert replica.hung == 1


def test_only_sigkill_ends_a_stopped_process_which_is_sent_no_other() -> None:
    replica, _ = play([(0, Begin()), (1, READY), (2, Beat(Counters())), (7.0, Suspended(4.9))])
    assert signals(replica.on(Tick(), 7.1)) == [signal.SIGKILL]
    assert signals(replica.on(Tick(), 8.2)) == []


def test_a_silent_process_that_works_has_longer() -> None:
    """A library may hold the GIL throughout a long step, and nobody then sends heartbeats."""
    replica, _ = play([(0, Begin()), (0, READY)])
    for at in range(1, 60):
        assert signals(play([(at, Worked()), (at, Tick())], replica)[1]) == []
    assert signals(play([(61, Worked()), (61, Tick())], replica)[1]) == [signal.SIGABRT]
    assert signals(play([(62, Worked()), (62, Tick())], replica)[1]) == [signal.SIGKILL]


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


def test_work_that_comes_after_a_long_rest_has_the_whole_time() -> None:
    history: History = [(0, Begin()), (0, READY)]
    history += [(at, Beat(Counters(progress=3))) for at in range(1, 300)]
    assert signals(play([*history, (300, busy(progress=3)), (300, Tick())])[1]) == []


def test_one_that_is_being_killed_is_not_spared_by_a_stop() -> None:
    replica, _ = play([(0, Begin()), (0, READY), (1, busy(7))])
    play([(at, busy(7)) for at in range(2, 63)], replica)
    assert signals(replica.on(Tick(), 62)) == [signal.SIGABRT]
    assert replica.on(Stop(30.0), 62.5) == []
    assert signals(replica.on(Tick(), 63)) == [signal.SIGKILL]


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
    steps = []
    for at in (39.9, 40.0, 49.9, 50.0, 51.0):
        replica.on(Beat(Counters()), at)
        steps.append((at, signals(replica.on(Tick(), at))))
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


def limited(memory_mb: int = 0, jobs: int = 0, drain_s: float = 30.0) -> Replica:
    return Replica("chat-1", 60.0, 300.0, Limits(memory_mb, jobs, drain_s))


OOM = Exited("killed by SIGKILL: the kernel had no memory for it", oom=True)
OVER: History = [(0, Begin()), (1, READY), (1, Sampled(50.0)), (2, Sampled(101.0))]


def test_over_its_memory_limit_it_finishes_what_it_has_and_starts_afresh() -> None:
    replica, actions = play(OVER, limited(memory_mb=100, drain_s=30.0))
    assert (replica.state, replica.serving) == ("draining", True)
    # Its route is closed, and the frontend has a moment to hear of that.
    assert not [action for action in actions if isinstance(action, AskToDrain)]
    assert replica.on(Tick(), 2 + NOTICE_S) == [AskToDrain(30.0)]
    _, actions = play([(9, Exited("exited with status 0")), (9, Tick())], replica)
    assert actions == [Spawn(2)]
    assert (replica.recycles, replica.restarts) == (1, 0)
    why = "recycled: it takes 101 MB, over its memory_limit_mb of 100 (exited with status 0)"
    assert replica.last_exit == why


def test_a_recycle_counts_neither_for_the_backoff_nor_for_the_circuit() -> None:
    replica, _ = play([(0, Begin()), (0, READY), (0, Sampled(50.0))], limited(memory_mb=100))
    for at in range(100, 1500, 100):
        history: History = [(at, Sampled(200.0)), (at + 1, Exited("exited with status 0"))]
        history += [(at + 1, Tick()), (at + 2, READY), (at + 2, Sampled(50.0))]
        play(history, replica)
        assert replica.state == "ready"
    assert (replica.recycles, replica.restarts) == (14, 0)


def test_a_recycle_that_the_kernel_overtakes_is_a_failure_for_memory() -> None:
    replica, _ = play(OVER, limited(memory_mb=100))
    play([(3, OOM), (3, Tick()), (4, READY)], replica)
    assert (replica.recycles, replica.restarts, replica.state) == (0, 1, "ready")
    assert (replica.crashed, replica.last_exit) == (
        1,
        "recycled: it takes 101 MB, over its memory_limit_mb of 100 "
        "(killed by SIGKILL: the kernel had no memory for it)",
    )
    play([(4, Sampled(50.0)), (64, Sampled(101.0)), (65, OOM)], replica)
    assert replica.state == "failed"
    assert "the kernel had no memory for it" in str(replica.explained)


def test_a_recycle_that_does_not_drain_is_ended_by_the_ladder_and_still_planned() -> None:
    replica, _ = play(OVER, limited(memory_mb=100, drain_s=30.0))
    assert signals(play([(at, Beat(Counters())) for at in range(2, 32)], replica)[1]) == []
    assert signals(replica.on(Tick(), 32 + NOTICE_S)) == [signal.SIGTERM]
    play([(33, Exited("killed by SIGTERM")), (33, Tick())], replica)
    assert (replica.state, replica.generation, replica.restarts) == ("starting", 2, 0)


def test_after_its_jobs_it_is_recycled() -> None:
    history: History = [(0, Begin()), (0, READY), (0, Sampled(50.0))]
    history += [(1, Beat(Counters(jobs=9))), (1, Sampled(50.0))]
    replica, actions = play(history, limited(jobs=10))
    assert actions == [Spawn(1)]
    play([(2, Beat(Counters(jobs=10))), (2, Sampled(50.0))], replica)
    assert (replica.state, replica.reason) == (
        "draining",
        "recycled: it has done 10 jobs, and recycle_jobs is 10",
    )


def test_what_the_last_generation_has_done_and_taken_is_not_counted_for_the_next() -> None:
    replica, _ = play(
        [(0, Begin()), (0, READY), (0, Sampled(50.0))], limited(memory_mb=100, jobs=9)
    )
    play([(1, Beat(Counters(jobs=9))), (1.5, CRASH), (1.5, Tick()), (2, READY)], replica)
    assert replica.hard_limit_mb is None
    assert play([(2, Sampled(60.0))], replica)[1] == []
    assert replica.state == "ready"


def test_an_engine_that_says_it_is_worn_is_recycled() -> None:
    history: History = [(0, Begin()), (0, READY), (1, Beat(Counters()))]
    replica, _ = play(history, limited())
    assert not replica.limited
    play([(2, Beat(Counters(worn="it keeps too much")))], replica)
    assert replica.limited
    play([(2, Sampled(50.0)), (3, Sampled(50.0))], replica)
    assert replica.reason == "recycled: it keeps too much"
    play([(4, Exited("exited with status 0")), (4, Tick())], replica)
    assert (replica.recycles, replica.restarts, replica.limited) == (1, 0, False)


def test_two_recycles_have_a_minute_between_them() -> None:
    replica, _ = play(OVER, limited(memory_mb=100))
    again: History = [(3, Exited("exited with status 0")), (3, Tick()), (4, READY)]
    again += [(4, Sampled(50.0)), (5, Sampled(101.0)), (61, Sampled(101.0))]
    play(again, replica)
    assert replica.state == "ready"
    again = [(62, Sampled(101.0))]
    assert play(again, replica)[0].state == "draining"


def test_a_memory_limit_below_what_the_model_takes_is_said_and_not_used() -> None:
    history: History = [(0, Begin()), (0, READY), (0, Sampled(150.0)), (1, Sampled(151.0))]
    replica, actions = play(history, limited(memory_mb=100))
    (warning,) = [action for action in actions if isinstance(action, Warn)]
    assert "takes 150 MB as soon as it is loaded" in warning.what
    assert replica.state == "ready"


def test_a_memory_limit_of_just_what_the_model_takes_is_too_tight() -> None:
    _, actions = play([(0, Begin()), (0, READY), (0, Sampled(100.0))], limited(memory_mb=100))
    assert [action for action in actions if isinstance(action, Warn)]


def test_a_stop_during_a_recycle_is_final() -> None:
    replica, _ = play(OVER, limited(memory_mb=100))
    play([(3, Stop(1.0)), (3, Exited("exited with status 0")), (9, Tick())], replica)
    assert (replica.state, replica.generation) == ("stopped", 1)


def test_one_that_stops_while_it_drains_does_not_keep_its_drain_waiting() -> None:
    replica, _ = play([(0, Begin()), (1, READY), (2, Beat(Counters())), (2, Stop(30.0))])
    assert signals(play([(7.0, Suspended(4.9)), (7.0, Tick())], replica)[1]) == []
    assert signals(replica.on(Tick(), 7.1)) == [signal.SIGKILL]
    assert signals(replica.on(Tick(), 40)) == []


def test_one_that_talks_nonsense_is_killed_at_once_and_that_is_a_failure() -> None:
    replica, actions = play([(0, Begin()), (1, READY), (2, Garbled("sends nonsense"))])
    assert signals(actions) == [signal.SIGKILL]
    assert signals(play([(2, Garbled("again")), (3, Tick())], replica)[1]) == []
    play([(3, CRASH), (3, Tick())], replica)
    assert (replica.generation, replica.restarts) == (2, 1)
    assert replica.last_exit == "sends nonsense (killed by SIGKILL)"


def test_one_that_is_stopped_while_it_loads_is_killed_like_any_other() -> None:
    replica, actions = play([(0, Begin()), (3, Suspended(3.0)), (4, Suspended(0.0))])
    assert signals(actions) == []
    replica, actions = play([(9, Suspended(5.1)), (9.1, Exited("killed by SIGKILL"))], replica)
    assert signals(actions) == [signal.SIGKILL]
    assert replica.last_exit == "stopped by a signal for 5 s (killed by SIGKILL)"


def test_the_second_kill_for_memory_opens_the_circuit() -> None:
    replica, _ = play([(0, Begin()), (1, READY), (2, OOM)])
    assert replica.state == "backoff"
    play([(2, Tick()), (3, READY), (4, OOM)], replica)
    assert (replica.state, replica.next_start_at) == ("failed", 304.0)
    assert replica.reason == "killed by SIGKILL: the kernel had no memory for it"


def test_kills_for_memory_that_lie_far_apart_are_forgotten() -> None:
    replica, _ = play([(0, Begin()), (1, READY), (2, OOM), (2, Tick()), (3, READY), (700, OOM)])
    assert replica.state == "backoff"


def test_the_hard_limit_is_known_once_the_model_is_ready_and_fits_under_the_soft_one() -> None:
    replica, _ = play([(0, Begin())], limited(memory_mb=100))
    assert replica.hard_limit_mb is None
    play([(1, READY), (1, Sampled(60.0))], replica)
    assert replica.hard_limit_mb == 150.0
    too_tight, _ = play([(0, Begin()), (1, READY), (1, Sampled(101.0))], limited(memory_mb=100))
    assert too_tight.hard_limit_mb is None


# --- the supervisor did not run ---

LONG_AGO = 100.0


def test_who_said_nothing_while_the_supervisor_did_not_run_was_not_silent() -> None:
    replica, _ = play([(0, Begin()), (1, READY), (2, Beat(Counters()))])
    away: History = [
        (LONG_AGO, Resumed(LONG_AGO - 2)),
        (LONG_AGO, Tick()),
        (LONG_AGO + 4.9, Tick()),
    ]
    assert signals(play(away, replica)[1]) == []
    assert signals(replica.on(Tick(), LONG_AGO + 5.1)) == [signal.SIGABRT]


def test_a_pause_is_no_stall_of_a_load_or_of_work_in_hand() -> None:
    loading: History = [(0, Begin()), (1, Progressed("loading"))]
    working: History = [(0, Begin()), (0, READY), (1, busy(progress=7))]
    for history in (loading, working):
        replica, _ = play(history)
        play([(1000, Resumed(999.0)), (1000, Tick())], replica)
        assert signals(play([(1001, busy(7)), (1001, Tick())], replica)[1]) == []


def test_a_drain_is_longer_by_the_time_that_nobody_watched_it() -> None:
    replica, _ = play([(0, Begin()), (1, READY), (2, Stop(30.0))])
    play([(22, Resumed(20.0))], replica)
    for at in range(23, 52):
        assert signals(play([(at, Beat(Counters())), (at, Tick())], replica)[1]) == []
    assert signals(play([(52, Beat(Counters())), (52, Tick())], replica)[1]) == [signal.SIGTERM]


def test_one_that_a_pause_has_killed_counts_for_nothing_and_is_back_at_once() -> None:
    replica, _ = play([(0, Begin()), (0, READY)])
    for at in range(100, 2100, 100):
        play([(at, Resumed(50.0)), (at + 5.1, Tick())], replica)
        play([(at + 5.2, CRASH), (at + 5.2, Tick()), (at + 6, READY)], replica)
    assert (replica.state, replica.generation, replica.restarts) == ("ready", 21, 20)
    assert replica.faulty == 0


def test_one_that_has_spoken_since_the_pause_is_judged_like_any_other() -> None:
    replica, _ = play([(0, Begin()), (0, READY), (100, Resumed(50.0)), (101, busy(7))])
    play([(at, busy(7)) for at in range(102, 162)], replica)
    assert signals(replica.on(Tick(), 162)) == [signal.SIGABRT]
    play([(163, Exited("killed by SIGABRT"))], replica)
    assert replica.faulty == 1


def test_what_was_seen_stopped_before_a_pause_has_the_whole_time_again() -> None:
    replica, _ = play([(0, Begin()), (1, READY), (4, Suspended(1.0)), (100, Resumed(96.0))])
    assert signals(play([(100, Suspended(0.0)), (100, Tick())], replica)[1]) == []


# --- whose doing it was ---


def test_a_crash_is_the_workers_own_doing_and_a_kill_from_outside_is_not() -> None:
    for exited, faulty in (
        (Exited("killed by SIGSEGV"), 1),
        (Exited("exited with status 7"), 1),
        (Exited("killed by SIGKILL", outside=True), 0),
        (Exited("killed by SIGKILL: the kernel had no memory for it", oom=True, outside=True), 0),
        (Exited("killed by SIGKILL: the kernel had no memory for it", oom=True), 1),
    ):
        replica, _ = play([(0, Begin()), (1, READY), (2, exited)])
        assert (replica.crashed, replica.faulty) == (1, faulty)


def test_each_generation_answers_for_itself() -> None:
    from_outside = Exited("killed by SIGKILL", outside=True)
    replica, _ = play([(0, Begin()), (1, READY), (2, from_outside), (2, Tick()), (3, CRASH)])
    assert (replica.crashed, replica.faulty) == (2, 2)


def test_one_that_a_signal_has_stopped_is_killed_for_what_others_did() -> None:
    replica, _ = play([(0, Begin()), (1, READY), (2, busy(1)), (5, Suspended(2.0)), (7.1, Tick())])
    replica.on(CRASH, 7.2)
    assert (replica.crashed, replica.faulty) == (1, 0)


def test_one_that_was_stopped_for_a_moment_and_hangs_later_does_so_by_itself() -> None:
    replica, _ = play([(0, Begin()), (1, READY), (4, Suspended(1.0)), (5, busy(1))])
    play([(at, busy(1)) for at in range(6, 67)], replica)
    assert signals(replica.on(Tick(), 66)) == [signal.SIGABRT]
    replica.on(Exited("killed by SIGABRT"), 67)
    assert replica.faulty == 1


def test_a_program_that_others_killed_is_no_fault_of_its_worker() -> None:
    gone = CouldNotBoot("llama-server was killed by SIGKILL", permanent=False, outside=True)
    replica, _ = play([(0, Begin()), (1, READY), (2, gone), (2, Exited("exited with status 3"))])
    assert (replica.crashed, replica.faulty) == (1, 0)


# --- the frontend ---


def endless() -> Replica:
    return Replica("frontend", 60.0, 60.0, patience=FRONTEND_PATIENCE, jitter=lambda _, high: high)


def test_one_without_an_end_to_its_patience_is_tried_again_for_ever() -> None:
    replica, _ = play([(0, Begin()), (0, READY)], endless())
    at, waits = 1.0, []
    for _ in range(2000):
        play([(at, Exited("exited with status 1"))], replica)
        assert (replica.state, replica.next_start_at is not None) == ("backoff", True)
        at = replica.next_start_at or 0.0
        waits.append(at)
        assert play([(at, Tick())], replica)[1] == [Spawn(replica.generation)]
        at += 0.1
    assert max(later - earlier for earlier, later in pairwise(waits)) <= 30.2


def test_a_minute_without_a_failure_lets_it_start_at_once_again() -> None:
    replica, _ = play([(0, Begin()), (0, READY)], endless())
    for at in (1, 2, 5, 10):
        play([(at, CRASH), (at + 60, Tick()), (at + 60, READY)], replica)
    replica.on(CRASH, 131)
    assert replica.next_start_at == 131


def test_one_that_was_never_ready_gives_up_all_the_same() -> None:
    replica, _ = play([(0, Begin())], endless())
    for at in (100, 200, 300, 400, 500):
        play([(at, Exited("exited with status 1")), (at + 40, Tick())], replica)
    assert replica.state == "failed"


def test_a_start_that_waits_for_something_says_so_until_it_is_made() -> None:
    replica, _ = play([(0, Begin()), (2, READY), (400, CRASH), (400.25, Blocked("GPU memory"))])
    assert (replica.state, replica.explained) == (
        "backoff",
        "waits for GPU memory; before: killed by SIGKILL",
    )
    replica, actions = play([(401, Tick())], replica)
    assert actions == [Spawn(2)]
    assert replica.explained is None


def test_only_a_start_that_is_due_waits_for_something_else() -> None:
    replica, _ = play([(0, Begin()), (2, READY), (400, CRASH), (400, Tick()), (401, CRASH)])
    assert replica.next_start_at is not None
    replica.on(Blocked("GPU memory"), replica.next_start_at - 0.5)
    assert replica.explained == "killed by SIGKILL"
