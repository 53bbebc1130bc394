"""Crashes, hangs, memory and GPUs: what is done about each, and when."""

from __future__ import annotations

import errno
from pathlib import Path

import msgspec
import pytest

from ipc.messages.control import BootFailed, Counters, Misbehaved
from supervisor.children.cgroup import Tree
from supervisor.children.process import Exit
from tests.unit.supervisor.histories.world import (
    CHAT,
    EMBED,
    ENDED,
    KILLED,
    Happens,
    World,
    becomes_ready,
    connects,
    exits,
    falls_silent,
    grows,
    is_sent,
    late,
    run,
    says,
    turn,
    works,
)

CRASHED = "frontend.1 <- embed backoff"
STARTING = "frontend.1 <- embed starting"
UNWELL = "frontend.1 <- embed ready embed-1.1"  # with a reason why it will not be for long
READY_AGAIN = ["frontend.1 <- embed ready embed-1.2"]


# --- crashes ---


def test_systemd_is_told_of_a_crash_and_of_its_repair() -> None:
    world = run(EMBED)
    world.statuses.clear()
    exits("embed-1.1")(world)
    becomes_ready("embed-1.2")(world)
    assert world.statuses == ["0 of 1 models ready", "1 of 1 models ready"]


def test_a_first_crash_is_repaired_at_once() -> None:
    run(EMBED).play(
        (5.0, exits("embed-1.1"), [CRASHED, STARTING, "start embed-1.2"]),
        (5.25, connects("embed-1.2"), ["embed-1.2 <- load embed on cpu"]),
        (6.0, becomes_ready("embed-1.2"), READY_AGAIN),
    )


def test_the_second_crash_in_a_row_waits_a_second() -> None:
    run(EMBED).play(
        (5.0, exits("embed-1.1"), [CRASHED, STARTING, "start embed-1.2"]),
        (7.0, exits("embed-1.2"), [CRASHED]),
        (8.0, turn, [STARTING, "start embed-1.3"]),
    )


def test_crashes_in_a_row_wait_ever_longer_until_the_circuit_opens_for_five_minutes() -> None:
    world = run(EMBED)
    waits = []
    for generation in range(1, 6):
        ended_at = world.at
        exits(f"embed-1.{generation}")(world)
        while f"embed-1.{generation + 1}" not in world.children:
            world.at += 0.5
            late(world)
        waits.append(world.at - ended_at)
    assert waits == [0.0, 1.0, 2.0, 4.0, 300.0]


def test_a_reason_that_waiting_does_not_mend_opens_the_circuit_at_once() -> None:
    gone = BootFailed(reason="no such file", permanent=True)
    world = run(EMBED).play(
        (5.0, says("embed-1.1", gone), [UNWELL, "embed-1.1 <- noted"]),
        (5.0, exits("embed-1.1", ENDED), ["frontend.1 <- embed failed"]),
    )
    world.at = 304.75
    late(world)
    assert "start embed-1.2" not in world.done
    world.at = 305.0
    late(world)
    assert "start embed-1.2" in world.done


def in_hand(world: World) -> list[int]:
    """How many requests were in hand at each exit that nobody had asked for."""
    exits = [one for one in world.events if one.type == "replica.exit"]
    return [one.facts["in_hand"] for one in exits if not one.facts["planned"]]


def test_a_request_that_no_heartbeat_has_told_of_was_in_hand_when_its_worker_died() -> None:
    world = run(msgspec.structs.replace(EMBED, replicas=2))
    is_sent("embed-2.1")(world)
    exits("embed-1.1", KILLED)(world)
    exits("embed-2.1", KILLED)(world)
    assert in_hand(world) == [0, 1]


def test_what_was_sent_to_a_dead_worker_is_not_in_hand_at_the_next() -> None:
    world = run(EMBED)
    is_sent("embed-1.1")(world)
    exits("embed-1.1", KILLED)(world)
    is_sent("embed-1.1")(world)  # said before it heard of that
    exits("embed-1.2", KILLED)(world)
    assert in_hand(world) == [1, 0]


def test_a_frontend_that_died_has_nothing_in_hand_and_heartbeats_still_tell() -> None:
    world = run(EMBED)
    is_sent("embed-1.1", 3)(world)
    works("embed-1.1")(world)
    exits("frontend.1", KILLED)(world)
    connects("frontend.2")(world)
    becomes_ready("frontend.2")(world)
    exits("embed-1.1", KILLED)(world)
    assert in_hand(world) == [0, 1]


# --- hangs ---


def test_silence_is_ended_after_five_heartbeats_by_a_signal_that_writes_down_its_stacks() -> None:
    world = run(EMBED).play(
        (5.0, falls_silent("embed-1.1"), []),
        (9.75, turn, [UNWELL, "SIGABRT to embed-1.1"]),
        (10.75, turn, ["SIGKILL to embed-1.1"]),
        (11.0, exits("embed-1.1", KILLED), [CRASHED, STARTING, "start embed-1.2"]),
    )
    (died,) = [event for event in world.events if event.type == "replica.exit"]
    assert (died.facts["cause"], died.facts["rss_mb"], died.facts["loading"]) == (
        "hang",
        50.0,
        False,
    )


def test_one_that_was_stopped_is_ended_by_the_only_signal_that_it_takes() -> None:
    def is_stopped(world: World) -> None:
        falls_silent("embed-1.1")(world)
        world.children["embed-1.1"].stopped_at = world.at

    run(EMBED).play((5.0, is_stopped, []), (9.75, turn, [UNWELL, "SIGKILL to embed-1.1"]))


def test_one_to_which_the_system_accounts_work_is_busy_and_has_until_its_stall_limit() -> None:
    def computes(world: World) -> None:
        falls_silent("embed-1.1")(world)
        child = world.children["embed-1.1"]
        child.work_done = lambda: world.at  # type: ignore[method-assign]

    run(EMBED).play(
        (5.0, computes, []),
        (14.75, turn, [UNWELL, "SIGABRT to embed-1.1"]),
        (15.75, turn, ["SIGKILL to embed-1.1"]),
    )


def test_work_in_hand_without_progress_is_ended_with_its_stacks_in_the_log() -> None:
    run(EMBED).play(
        (5.0, works("embed-1.1", progress=7), []),
        (15.25, turn, [UNWELL, "SIGABRT to embed-1.1"]),
        (16.25, turn, ["SIGKILL to embed-1.1"]),
    )


def test_the_signals_of_one_generation_never_reach_the_next() -> None:
    """It dies of the first of them; the second is due when its successor already runs."""
    run(EMBED).play(
        (5.0, works("embed-1.1", progress=7), []),
        (15.25, turn, [UNWELL, "SIGABRT to embed-1.1"]),
        (15.5, exits("embed-1.1"), [CRASHED, STARTING, "start embed-1.2"]),
        (24.0, turn, []),
    )


def test_a_load_without_any_sign_of_progress_is_ended_after_its_own_limit() -> None:
    run(EMBED).play(
        (5.0, exits("embed-1.1"), [CRASHED, STARTING, "start embed-1.2"]),
        (25.25, turn, [STARTING, "SIGABRT to embed-1.2"]),
        (26.25, turn, ["SIGKILL to embed-1.2"]),
    )


def test_cpu_seconds_are_progress_in_loading() -> None:
    world = run(EMBED).play(
        (5.0, exits("embed-1.1"), [CRASHED, STARTING, "start embed-1.2"]),
    )
    world.children["embed-1.2"].work_done = lambda: world.at  # type: ignore[method-assign]
    world.play((60.0, turn, []))


def test_what_a_dead_generation_has_computed_is_no_progress_of_the_next() -> None:
    world = World(EMBED)
    world.supervisor.begin()
    world.children["embed-1.1"].work = 1000.0
    world.turn()
    exits("embed-1.1")(world)
    world.children["embed-1.2"].work_done = lambda: world.at  # type: ignore[method-assign]
    world.at, world.ready = 0.0, {"frontend.1": Counters()}
    world.done.clear()
    world.play((15.0, turn, []), (30.0, turn, []))


def test_one_that_is_stopped_by_a_signal_while_it_loads_is_ended_soon() -> None:
    def is_stopped(world: World) -> None:
        world.children["embed-1.2"].stopped_at = world.at

    run(EMBED).play(
        (5.0, exits("embed-1.1"), [CRASHED, STARTING, "start embed-1.2"]),
        (6.0, is_stopped, []),
        (11.25, turn, [STARTING, "SIGKILL to embed-1.2"]),
    )


def test_one_that_the_frontend_cannot_understand_is_ended() -> None:
    nonsense = Misbehaved(replica="embed-1", generation=1, why="a frame of 3 bytes")
    run(EMBED).play((5.0, says("frontend.1", nonsense), [UNWELL, "SIGKILL to embed-1.1"]))


@pytest.mark.parametrize(
    ("sender", "replica", "generation"),
    [("embed-1.1", "embed-1", 1), ("frontend.1", "embed-1", 2), ("frontend.1", "frontend", 1)],
)
def test_only_the_frontend_may_say_so_and_only_of_a_living_worker(
    sender: str, replica: str, generation: int
) -> None:
    nonsense = Misbehaved(replica=replica, generation=generation, why="a frame of 3 bytes")
    run(EMBED).play((5.0, says(sender, nonsense), []))


# --- pauses ---


def test_who_was_silent_while_the_whole_box_stood_still_has_all_the_time_again() -> None:
    run(EMBED).play(
        (5.0, falls_silent("embed-1.1"), []),
        (8.0, wake(at=600.0), []),
        (605.25, turn, [UNWELL, "SIGABRT to embed-1.1"]),
        # It counts neither for the backoff nor for the circuit.
        (605.5, exits("embed-1.1", KILLED), [CRASHED, STARTING, "start embed-1.2"]),
        (607.0, exits("embed-1.2"), [CRASHED, STARTING, "start embed-1.3"]),
    )


def test_what_was_said_meanwhile_is_read_first() -> None:
    def wakes(world: World) -> None:
        world.at = 600.0
        world.unread = [("embed-1.1", BootFailed(reason="the GPU is gone"))]
        late(world)

    run(EMBED).play((8.0, wakes, [UNWELL, "embed-1.1 <- noted"]))


def test_since_when_one_was_stopped_is_forgotten_with_a_pause() -> None:
    def wakes(world: World) -> None:
        child = world.children["embed-1.2"]
        child.stopped_at = world.at
        world.at += 100.0
        late(world)
        assert child.stopped_at is None

    run(EMBED).play(
        (5.0, exits("embed-1.1"), [CRASHED, STARTING, "start embed-1.2"]),
        (6.0, wakes, []),
    )


def test_a_turn_that_is_less_than_a_second_late_is_no_pause() -> None:
    def wakes(world: World) -> None:
        world.at += 1.0
        late(world)

    run(EMBED).play(
        (5.0, falls_silent("embed-1.1"), []),
        (8.75, wakes, [UNWELL, "SIGABRT to embed-1.1"]),
    )


def wake(at: float) -> Happens:
    """The next turn comes at that second."""

    def happens(world: World) -> None:
        world.at = at
        late(world)

    return happens


# --- memory ---

LIMITED = msgspec.structs.replace(EMBED, memory_limit_mb=100)
TWO_LIMITED = msgspec.structs.replace(LIMITED, replicas=2)


def test_over_its_memory_limit_a_worker_is_drained_and_started_afresh() -> None:
    run(LIMITED).play(
        (5.0, grows("embed-1.1", 101.0), []),
        # The frontend hears of it first, so that no job is sent to a worker that ends.
        (5.5, turn, ["frontend.1 <- embed draining (embed-1)"]),
        (5.75, turn, ["embed-1.1 <- drain within 30 s"]),
        (7.0, exits("embed-1.1", ENDED), [CRASHED, STARTING, "start embed-1.2"]),
    )


def test_the_signals_of_a_drain_never_reach_the_next_generation() -> None:
    run(LIMITED).play(
        (5.0, grows("embed-1.1", 101.0), []),
        (5.5, turn, ["frontend.1 <- embed draining (embed-1)"]),
        (5.75, turn, ["embed-1.1 <- drain within 30 s"]),
        (35.75, turn, ["SIGTERM to embed-1.1"]),
        (37.0, exits("embed-1.1", ENDED), [CRASHED, STARTING, "start embed-1.2"]),
        (38.0, connects("embed-1.2"), ["embed-1.2 <- load embed on cpu"]),
        (39.0, becomes_ready("embed-1.2"), READY_AGAIN),
        (50.0, turn, []),
    )


def test_replicas_of_one_model_are_recycled_one_after_the_other() -> None:
    def both_grow(world: World) -> None:
        grows("embed-1.1", 101.0)(world)
        grows("embed-2.1", 101.0)(world)

    run(TWO_LIMITED).play(
        (5.0, both_grow, []),
        (5.5, turn, ["frontend.1 <- embed ready (embed-1) embed-2.1"]),
        (5.75, turn, ["embed-1.1 <- drain within 30 s"]),
        (
            8.0,
            exits("embed-1.1", ENDED),
            ["frontend.1 <- embed ready embed-2.1", "start embed-1.2"],
        ),
        (8.5, connects("embed-1.2"), ["embed-1.2 <- load embed on cpu"]),
        (
            9.5,
            becomes_ready("embed-1.2"),
            [
                "frontend.1 <- embed ready embed-1.2 embed-2.1",
            ],
        ),
        (10.5, turn, ["frontend.1 <- embed ready embed-1.2 (embed-2)"]),
        (10.75, turn, ["embed-2.1 <- drain within 30 s"]),
    )


def test_replicas_of_other_models_do_not_wait_for_each_other() -> None:
    other = msgspec.structs.replace(LIMITED, name="other")

    def both_grow(world: World) -> None:
        grows("embed-1.1", 101.0)(world)
        grows("embed-2.1", 101.0)(world)

    run(LIMITED, other).play(
        (5.0, both_grow, []),
        (
            5.5,
            turn,
            [
                "frontend.1 <- embed draining (embed-1), other ready embed-2.1",
                "frontend.1 <- embed draining (embed-1), other draining (embed-2)",
            ],
        ),
        (5.75, turn, ["embed-1.1 <- drain within 30 s", "embed-2.1 <- drain within 30 s"]),
    )


def test_after_its_jobs_a_worker_is_recycled_within_the_drain_time_of_the_server() -> None:
    run(msgspec.structs.replace(EMBED, recycle_jobs=10), drain_s=5.0).play(
        (5.0, works("embed-1.1", jobs=9), []),
        (6.0, works("embed-1.1", jobs=10), []),
        (6.5, turn, ["frontend.1 <- embed draining (embed-1)"]),
        (6.75, turn, ["embed-1.1 <- drain within 5 s"]),
    )


def test_a_worker_without_limits_is_never_recycled() -> None:
    run(EMBED).play((5.0, grows("embed-1.1", 1e6), []), (60.0, turn, []))


KERNEL_FILES = ("cgroup.procs", "memory.oom.group", "memory.max", "cgroup.kill")


@pytest.fixture
def cells(tmp_path: Path) -> Path:
    """The cgroup of the service, with one for each generation of a worker, as plain files."""
    for name in ("embed-1.1", "embed-1.2", "embed-1.3"):
        (tmp_path / name).mkdir()
        for file in KERNEL_FILES:
            (tmp_path / name / file).touch()
        (tmp_path / name / "memory.events").write_text("oom 0\noom_kill 0\n")
    return tmp_path


def test_a_worker_has_a_cgroup_from_its_start_and_its_limit_from_when_it_is_ready(
    cells: Path,
) -> None:
    world = run(EMBED, tree=Tree(cells))
    pid = world.children["embed-1.1"].pid
    assert (cells / "embed-1.1" / "cgroup.procs").read_text() == f"{pid}\n"
    assert (cells / "embed-1.1" / "memory.max").read_text() == ""  # it has no limit


def test_the_kernel_holds_a_worker_to_half_as_much_again_as_its_limit(cells: Path) -> None:
    run(LIMITED, tree=Tree(cells))
    assert (cells / "embed-1.1" / "memory.max").read_text() == f"{150 << 20}\n"


def test_a_second_end_for_memory_opens_the_circuit(cells: Path) -> None:
    def killed_for_memory(child: str) -> Happens:
        def happens(world: World) -> None:
            (cells / child / "memory.events").write_text("oom 1\noom_kill 1\n")
            exits(child, KILLED)(world)

        return happens

    run(EMBED, tree=Tree(cells)).play(
        (5.0, killed_for_memory("embed-1.1"), [CRASHED, STARTING, "start embed-1.2"]),
        (6.0, killed_for_memory("embed-1.2"), ["frontend.1 <- embed failed"]),
    )


def test_a_kill_is_the_kernels_if_the_machines_count_has_just_risen(tmp_path: Path) -> None:
    vmstat = tmp_path / "vmstat"
    vmstat.write_text("oom_kill 4\n")

    def killed_for_memory(child: str, count: int) -> Happens:
        def happens(world: World) -> None:
            vmstat.write_text(f"oom_kill {count}\n")
            exits(child, KILLED)(world)

        return happens

    run(EMBED, vmstat=vmstat).play(
        (5.0, killed_for_memory("embed-1.1", 5), [CRASHED, STARTING, "start embed-1.2"]),
        (6.0, killed_for_memory("embed-1.2", 6), ["frontend.1 <- embed failed"]),
    )


def test_one_that_dies_of_a_fault_was_not_killed_for_memory(tmp_path: Path) -> None:
    vmstat = tmp_path / "vmstat"
    vmstat.write_text("oom_kill 4\n")
    world = run(EMBED, vmstat=vmstat)
    vmstat.write_text("oom_kill 5\n")  # somebody else was
    world.play(
        (2.0, exits("embed-1.1"), [CRASHED, STARTING, "start embed-1.2"]),
        (3.0, exits("embed-1.2"), [CRASHED]),
    )


def test_a_start_that_fails_does_not_die_of_what_the_last_worker_died_of(cells: Path) -> None:
    world = run(EMBED, tree=Tree(cells))
    (cells / "embed-1.1" / "memory.events").write_text("oom 1\noom_kill 1\n")
    world.cannot_start = OSError(errno.EAGAIN, "Resource temporarily unavailable")
    exits("embed-1.1", KILLED)(world)
    assert "frontend.1 <- embed failed" not in world.done


def test_a_count_that_was_seen_to_rise_long_before_accuses_nobody(tmp_path: Path) -> None:
    vmstat = tmp_path / "vmstat"
    vmstat.write_text("oom_kill 4\n")
    world = run(EMBED, vmstat=vmstat)
    for generation, at in ((1, 5.0), (2, 15.0)):
        vmstat.write_text(f"oom_kill {4 + generation}\n")
        world.play((at, turn, []))  # somebody else was killed
        happens = exits(f"embed-1.{generation}", KILLED)
        if generation == 1:
            world.play((at + 5, happens, [CRASHED, STARTING, "start embed-1.2"]))
        else:
            world.play((at + 5, happens, [CRASHED]))  # tried again in a second, no open circuit


# --- what the dead leave behind ---


def test_what_a_dead_worker_has_left_running_is_ended_and_nobody_else() -> None:
    world = run(EMBED, CHAT)
    world.orphans.pids = {7, world.children["chat-1.1"].pid, world.children["frontend.1"].pid}
    world.play(
        (
            5.0,
            exits("embed-1.1"),
            [
                "frontend.1 <- embed backoff, chat ready chat-1.1",
                "kill orphan 7",
                "frontend.1 <- embed starting, chat ready chat-1.1",
                "start embed-1.2",
            ],
        )
    )
    world.play((5.25, turn, []))
    assert world.orphans.own == {child.pid for child in world.children.values()}


def test_its_socket_is_removed() -> None:
    world = run(EMBED)
    exits("embed-1.1")(world)
    assert world.removed == ["embed-1.1"]


def test_its_cgroup_is_emptied_and_removed_as_soon_as_that_can_be(cells: Path) -> None:
    def empties(_: World) -> None:
        for file in (cells / "embed-1.1").iterdir():
            file.unlink()

    run(EMBED, tree=Tree(cells)).play(
        (5.0, exits("embed-1.1"), [CRASHED, STARTING, "start embed-1.2"]),
        (6.0, empties, []),
        (7.0, turn, []),
    )
    assert not (cells / "embed-1.1").exists()
    assert (cells / "embed-1.2" / "cgroup.kill").read_text() == ""


def test_a_successor_waits_for_the_memory_of_its_gpu_but_not_for_ever() -> None:
    world = run(CHAT)
    held = ("cuda:1", world.children["chat-1.1"].pid)
    world.vram.add(held)
    world.play(
        (5.0, exits("chat-1.1"), ["frontend.1 <- chat backoff", "frontend.1 <- chat backoff"]),
        (20.0, lambda world: world.vram.clear(), []),
        (20.25, turn, ["frontend.1 <- chat starting", "start chat-1.2"]),
        (21.0, lambda world: world.vram.add(("cuda:1", world.children["chat-1.2"].pid)), []),
    )


def test_the_memory_of_other_processes_is_waited_for_by_nobody() -> None:
    world = run(CHAT)
    world.vram.add(("cuda:1", 4711))
    world.play(
        (
            5.0,
            exits("chat-1.1", Exit("killed by SIGSEGV")),
            ["frontend.1 <- chat backoff", "frontend.1 <- chat starting", "start chat-1.2"],
        ),
    )
