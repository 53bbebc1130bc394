"""A lane's promises, each as a short history."""

from __future__ import annotations

import msgspec
import pytest

from frontend.dispatch.lane import (
    ALONE_S,
    BACKGROUND_LIMIT,
    MAX_ATTEMPTS,
    QUIET_S,
    Lane,
    route_id,
)
from frontend.dispatch.terms import Terms
from frontend.dispatch.waiting import Ticket
from ipc.messages.errors import QueueFull
from ipc.messages.jobs import EmbedInput, Job
from ipc.messages.spec import Spec
from ipc.messages.state import Route

SPEC = Spec(
    name="m",
    task="embed",
    engine="echo",
    path="",
    queue_limit=2,
    queue_bytes=100,
)
ONE = Route(replica="embed-1", generation=1, endpoint="ipc://one", credit=1)
TWO = Route(replica="embed-2", generation=1, endpoint="ipc://two", credit=2)
THREE = Route(replica="embed-3", generation=1, endpoint="ipc://three", credit=3)
ONE_AGAIN = Route(replica="embed-1", generation=2, endpoint="ipc://one.2", credit=1)


def ticket(
    name: str,
    at: float = 0.0,
    size_bytes: int = 10,
    *,
    background: bool = False,
    client: str = "",
) -> Ticket:
    job = Job(id=name, model="m", input=EmbedInput(texts=["x"]), deadline_at=1e9)
    terms = Terms(background=background, client=client)
    return Ticket(job, size_bytes, at, max_wait_s=60.0, terms=terms)


def serve(made: Lane, *routes: Route) -> list[str]:
    """These are the workers, and all of them are reached."""
    gone = made.set_routes(routes)
    for route in routes:
        made.set_connected(route_id(route), True)
    return gone


def lane(*names: str, routes: tuple[Route, ...] = ()) -> Lane:
    made = Lane(SPEC)
    serve(made, *routes)
    for name in names:
        made.admit(ticket(name))
    return made


def taken(of: Lane, now: float = 0.0) -> list[tuple[str, str]]:
    """Everything the lane hands over now, as (job, replica)."""
    found = []
    while (pair := of.take(now)) is not None:
        found.append((pair[0].id, pair[1].replica))
    return found


def test_jobs_leave_in_the_order_they_came() -> None:
    assert taken(lane("a", "b", routes=(TWO,))) == [("a", "embed-2"), ("b", "embed-2")]


def test_a_worker_holds_no_more_than_its_credit() -> None:
    full = lane("a", "b", routes=(ONE,))
    assert taken(full) == [("a", "embed-1")]
    full.end("a", now=1.0)
    assert taken(full) == [("b", "embed-1")]


def test_the_worker_with_most_room_is_preferred() -> None:
    assert taken(lane("a", "b", "c", routes=(ONE, TWO))) == [
        ("a", "embed-2"),
        ("b", "embed-1"),
        ("c", "embed-2"),
    ]


def test_a_full_queue_refuses_and_says_when_to_come_back() -> None:
    full = lane("a", "b")
    with pytest.raises(QueueFull) as refused:
        full.admit(ticket("c"))
    assert refused.value.retry_after_s == 2.0  # two jobs, one second each until measured
    assert full.depth == 2


def test_free_credit_does_not_count_against_the_queue() -> None:
    busy = lane("a", "b", "c", "d", routes=(TWO,))  # two run at once, two wait
    assert len(taken(busy)) == 2
    with pytest.raises(QueueFull):
        busy.admit(ticket("e"))


def test_bytes_are_bounded_too_but_one_large_job_alone_is_taken() -> None:
    made = lane()
    made.admit(ticket("a", size_bytes=500))
    with pytest.raises(QueueFull):
        made.admit(ticket("b", size_bytes=1))
    assert made.waiting_bytes == 500


def test_retry_after_is_the_time_that_those_who_wait_take_within_its_bounds() -> None:
    told = []
    for pace_s in (0.1, 5.0, 1000.0):
        made = Lane(SPEC, pace_s=lambda pace_s=pace_s: pace_s)  # type: ignore[misc]
        made.admit(ticket("a"))
        made.admit(ticket("b"))
        told.append(made.retry_after_s())
    assert told == [1.0, 10.0, 60.0]


def test_how_many_are_ahead_is_counted_in_the_order_in_which_they_are_taken() -> None:
    busy = lane("a", "b", "c", routes=(ONE,))
    busy.admit(ticket("line", background=True))
    assert [busy.ahead_of(name) for name in ("a", "b", "c", "line")] == [0, 1, 2, 3]
    taken(busy)
    busy.cancel("b")
    assert [busy.ahead_of(name) for name in ("a", "b", "c", "line")] == [None, None, 0, 1]


def refusal(by: Lane, now: float) -> float | None:
    with pytest.raises(QueueFull) as refused:
        by.admit(ticket("x", at=now))
    return refused.value.retry_after_s


def test_rejected_clients_are_told_one_after_the_other_when_a_place_is_free() -> None:
    full = Lane(SPEC, pace_s=lambda: 0.5)
    serve(full, TWO)
    for name in "abcd":
        full.admit(ticket(name))
    taken(full)  # two run
    assert [refusal(full, now=0.0) for _ in range(5)] == [1.0, 1.5, 2.0, 2.5, 3.0]
    assert refusal(full, now=2.0) == 1.5  # the sixth, told later, has the place after theirs


def test_appointments_never_go_past_the_longest_retry_after() -> None:
    full = lane("a", "b", "c", routes=(ONE,))
    taken(full)
    assert [refusal(full, now=0.0) for _ in range(100)][-1] == 60.0


def test_a_model_that_ran_out_of_work_has_no_appointments_left() -> None:
    made = lane("a", "b", "c", routes=(ONE,))
    taken(made)
    for _ in range(10):
        refusal(made, now=0.0)
    for name in "abc":
        made.end(name, now=1.0)
        taken(made, now=1.0)
    made.admit(ticket("d", at=2.0, size_bytes=101))
    assert refusal(made, now=2.0) == 1.0


def test_a_job_cancelled_while_queued_is_never_handed_over() -> None:
    made = lane("a", "b")
    assert made.cancel("a") is None
    serve(made, TWO)
    assert taken(made) == [("b", "embed-2")]
    assert made.waiting_bytes == 0


def test_a_job_cancelled_while_running_keeps_its_credit_until_it_has_ended() -> None:
    made = lane("a", "b", routes=(ONE,))
    taken(made)
    assert made.cancel("a") == "embed-1.1"
    assert taken(made) == []
    made.end("a", now=1.0)
    assert taken(made) == [("b", "embed-1")]


def test_a_dead_worker_takes_its_jobs_along_and_the_queue_waits_for_the_next() -> None:
    made = lane("a", "b", routes=(ONE,))
    taken(made)
    assert serve(made) == ["embed-1.1"]
    assert [ticket.job.id for ticket in made.remove("embed-1.1")] == ["a"]
    assert taken(made) == []
    assert serve(made, ONE_AGAIN) == []
    assert taken(made) == [("b", "embed-1")]


def test_what_a_dead_worker_holds_is_its_own_until_it_is_removed() -> None:
    made = lane("a", "b", routes=(ONE,))
    taken(made)
    serve(made)
    assert made.in_flight == 1
    made.end("a", now=1.0)
    assert made.remove("embed-1.1") == []
    assert made.depth == 1


def test_a_late_end_of_a_dead_workers_job_returns_no_credit_to_the_next() -> None:
    made = lane("a", "b", routes=(ONE,))
    taken(made)
    serve(made, ONE_AGAIN)
    taken(made)
    made.end("a", now=1.0)
    made.admit(ticket("c"))
    assert taken(made) == []


def test_a_closed_worker_keeps_its_jobs_and_takes_no_more() -> None:
    made = lane("a", "b", routes=(TWO,))
    made.take(0.0)
    closed = Route(replica="embed-2", generation=1, endpoint="ipc://two", credit=2, open=False)
    assert serve(made, closed) == []
    assert taken(made) == []
    assert made.in_flight == 1


def test_a_job_refused_unbegun_goes_to_the_front_and_counts_its_attempts() -> None:
    made = lane("a", "b", routes=(ONE,))
    for attempt in range(2, MAX_ATTEMPTS + 1):
        assert taken(made) == [("a", "embed-1")]
        assert made.requeue("a")
        assert made.depth == 2
        assert attempt <= MAX_ATTEMPTS
    assert taken(made) == [("a", "embed-1")]
    assert not made.requeue("a")
    assert taken(made) == [("b", "embed-1")]


def test_jobs_that_waited_too_long_leave() -> None:
    made = lane()
    made.admit(ticket("old", at=0.0))
    made.admit(ticket("young", at=30.0))
    assert [job.id for job in made.expired(now=61.0)] == ["old"]
    assert made.depth == 1
    assert made.oldest_wait_s(now=61.0) == 31.0


def test_a_job_that_must_be_alone_waits_for_an_idle_worker_and_has_it_for_itself() -> None:
    made = Lane(SPEC, alone=lambda job: job.id == "b")
    serve(made, TWO)
    for name in ("a", "b", "c"):
        made.admit(ticket(name))
    assert taken(made) == [("a", "embed-2")]
    made.end("a", now=1.0)
    assert taken(made) == [("b", "embed-2")]
    serve(made, TWO)  # whatever is announced meanwhile
    assert taken(made) == []
    made.end("b", now=2.0)
    assert taken(made) == [("c", "embed-2")]


def test_a_worker_takes_jobs_while_it_is_connected_and_at_no_other_time() -> None:
    made = Lane(SPEC)
    made.set_routes([ONE])
    made.admit(ticket("a"))
    assert (taken(made), made.credit, made.connected) == ([], 0, False)
    made.set_connected("embed-1.1", True)
    assert (taken(made), made.credit, made.connected) == ([("a", "embed-1")], 1, True)
    made.set_connected("embed-1.1", False)
    made.end("a", now=1.0)
    made.admit(ticket("b"))
    assert (taken(made), made.credit, made.connected) == ([], 0, False)


def test_a_connection_is_of_one_generation() -> None:
    made = lane("a", routes=(ONE,))
    made.set_routes([ONE_AGAIN])
    assert taken(made) == []
    made.set_connected("embed-1.1", True)  # late news
    assert taken(made) == []


def test_a_worker_that_takes_nothing_new_need_not_be_connected() -> None:
    made = Lane(SPEC)
    made.set_routes([Route(replica="x", generation=1, endpoint="ipc://x", credit=1, open=False)])
    assert made.connected


def suspicious(*names: str, routes: tuple[Route, ...], suspects: str) -> Lane:
    made = Lane(SPEC, alone=lambda job: job.id in suspects)
    serve(made, *routes)
    for name in names:
        made.admit(ticket(name))
    return made


def test_while_one_runs_alone_others_wait_a_moment_and_no_longer() -> None:
    made = suspicious("s", "a", routes=(TWO,), suspects="s")
    assert taken(made) == [("s", "embed-2")]
    assert taken(made, now=0.9 * ALONE_S) == []
    assert taken(made, now=ALONE_S) == [("a", "embed-2")]


def test_a_worker_that_does_not_become_empty_keeps_others_waiting_for_a_moment_only() -> None:
    made = suspicious("long", "s", "a", routes=(THREE,), suspects="s")
    assert taken(made) == [("long", "embed-3")]
    assert taken(made, now=0.9 * ALONE_S) == []
    assert taken(made, now=ALONE_S) == [("s", "embed-3"), ("a", "embed-3")]


def test_two_that_should_run_alone_never_share_a_worker_and_others_pass_by() -> None:
    made = suspicious("s", "t", "a", routes=(THREE,), suspects="st")
    assert taken(made) == [("s", "embed-3")]
    assert taken(made, now=100 * ALONE_S) == [("a", "embed-3")]
    made.end("s", now=101 * ALONE_S)
    made.end("a", now=101 * ALONE_S)
    assert taken(made, now=101 * ALONE_S) == [("t", "embed-3")]


def test_one_that_should_run_alone_takes_the_empty_worker_and_leaves_the_other_to_others() -> None:
    made = suspicious("a", "s", "b", routes=(ONE, TWO), suspects="s")
    assert taken(made) == [("a", "embed-2"), ("s", "embed-1"), ("b", "embed-2")]


# --- several clients ---


def asked(of: Lane, *names: str) -> list[str]:
    """These come, each from the client that its first letter names. Returns who made room."""
    return [job.id for name in names for job in of.admit(ticket(name, client=name[0]))]


def test_clients_take_turns() -> None:
    made = lane(routes=(THREE,))
    made.set_limits(msgspec.structs.replace(SPEC, queue_limit=9))
    asked(made, "a1", "a2", "a3", "a4", "b1", "b2")
    assert [name for name, _ in taken(made)] == ["a1", "b1", "a2"]
    assert [made.ahead_of(name) for name in ("b2", "a3", "a4")] == [0, 1, 2]


def test_one_that_is_given_back_was_paid_for() -> None:
    made = lane(routes=(ONE,))
    made.set_limits(msgspec.structs.replace(SPEC, queue_limit=9))
    asked(made, "a1", "a2", "b1")
    order = []
    for _ in range(2):
        order += taken(made)
        made.requeue(order[-1][0])
    for now in range(4):
        order += taken(made)
        made.end(order[-1][0], now=now)
    assert [name for name, _ in order] == ["a1", "a1", "a1", "b1", "a2"]


def test_a_queue_that_one_client_has_filled_has_room_for_another() -> None:
    made = lane()
    assert asked(made, "a1", "a2") == []
    assert asked(made, "b1") == ["a2"]
    assert made.depth == 2
    for name in ("a3", "b2", "c1"):
        with pytest.raises(QueueFull):
            asked(made, name)


def test_what_runs_is_paid_by_what_it_took() -> None:
    made = lane(routes=(ONE,))
    made.set_limits(msgspec.structs.replace(SPEC, queue_limit=99, queue_bytes=10_000))
    for client, cost in (("a", 300.0), ("b", 100.0)):
        asked(made, f"{client}0")
        taken(made)
        made.end(f"{client}0", now=1.0, cost=cost)
    asked(made, *(f"{client}{number}" for number in range(1, 13) for client in "ab"))
    order = []
    for _ in range(16):
        order += taken(made)
        made.end(order[-1][0], now=2.0)
    assert 11 <= sum(name[0] == "b" for name, _ in order) <= 13  # three for each of a's


# --- in the background ---


def behind(made: Lane, *names: str) -> Lane:
    """``made``, with these jobs in the background."""
    for name in names:
        made.admit(ticket(name, background=True))
    return made


def test_background_jobs_fill_the_slots_of_all_workers_and_no_more() -> None:
    made = Lane(Spec(name="m", task="embed", engine="echo", path="", slots=2, prefetch=1))
    serve(made, THREE, ONE)
    behind(made, "x", "y", "z", "w")
    assert taken(made) == [("x", "embed-3"), ("y", "embed-1"), ("z", "embed-3")]
    made.end("x", now=0.0)
    assert taken(made) == [("w", "embed-3")]


def test_none_of_them_runs_beside_a_live_job_or_right_after_one() -> None:
    made = behind(lane("a", routes=(TWO,)), "x")
    assert taken(made) == [("a", "embed-2")]
    made.end("a", now=5.0)
    assert taken(made, now=5.0 + QUIET_S - 0.1) == []
    assert taken(made, now=5.0 + QUIET_S) == [("x", "embed-2")]


def test_a_live_job_ends_all_of_them_and_each_once() -> None:
    made = behind(lane(routes=(TWO,)), "x", "y", "z")
    taken(made)
    assert made.give_way(0.0) == []
    made.admit(ticket("a"))
    assert made.give_way(0.0) == ["x", "y"]
    assert made.give_way(0.0) == []
    assert taken(made) == []
    made.end("x", now=1.0)
    assert taken(made, now=1.0) == [("a", "embed-2")]


def test_they_never_count_against_the_queue_of_live_jobs() -> None:
    made = behind(lane(routes=(TWO,)), "x", "y", *(f"x{index}" for index in range(50)))
    taken(made)
    for name in ("a", "b", "c", "d"):  # two have places a step from now, two wait
        made.admit(ticket(name))
    assert made.full
    assert made.retry_after_s() == 4.0  # what is in the background is not counted
    with pytest.raises(QueueFull):
        made.admit(ticket("e"))


def test_they_are_bounded_too() -> None:
    made = behind(lane(), *(f"x{index}" for index in range(BACKGROUND_LIMIT)))
    with pytest.raises(QueueFull, match="enough to do in the background"):
        made.admit(ticket("y", background=True))
    made.admit(ticket("a"))
