"""What the dispatcher does about what happens, as histories."""

from __future__ import annotations

import math

import msgspec
import pytest

from frontend.dispatch.dispatcher import Dispatcher
from ipc.messages.errors import (
    CircuitOpen,
    InvalidRequest,
    ModelNotFound,
    PoisonRequest,
    Unavailable,
)
from ipc.messages.spec import Spec
from ipc.messages.state import ModelState, Route
from tests.unit.frontend.dispatch.history import SPEC, History, Step, World

ONE: list[Step] = [("start w.1", ["connect w.1"]), ("open w.1", [])]
TWO: list[Step] = [("start w.1*2", ["connect w.1"]), ("open w.1", [])]


def changed(**changes: object) -> Spec:
    return msgspec.structs.replace(SPEC, **changes)


# --- admission ---


def test_a_model_that_was_never_ready_takes_nothing_and_says_why() -> None:
    history = History().play(("ask a", ["a: model_loading"]))
    assert history.errors["a"].message == "model 'm' is loading"
    failed = ModelState(name="m", routes=[], state="backoff", reason="no memory")
    history.dispatcher.set_states([failed])
    history.play(("ask a", ["a: model_loading"]))
    assert history.errors["a"].message == "model 'm' is loading; its last start failed: no memory"


def test_a_model_with_a_worker_takes_requests_whatever_was_before() -> None:
    history = History()
    route = Route(replica="w", generation=1, endpoint="", credit=1)
    history.dispatcher.set_states([ModelState(name="m", routes=[route], state="ready")])
    history.play(("ask a", ["connect w.1"]), ("open w.1", ["send a to w.1"]))


def test_a_model_whose_circuit_is_open_takes_nothing_and_gives_up_its_queue() -> None:
    history = History().play(
        *ONE,
        ("ask a", ["send a to w.1"]),
        ("ask b", []),
        ("fails too many crashes", ["drain w.1", "b: circuit_open"]),
        ("ask c", ["c: circuit_open"]),
        ("closed w.1", ["close w.1", "a: worker_crashed"]),
    )
    assert history.errors["b"].message == "model 'm' is not available: too many crashes"
    assert history.errors["c"].retry_after_s == 60.0


def test_the_supervisor_says_when_an_open_circuit_closes() -> None:
    history = History()
    history.dispatcher.set_states(
        [ModelState(name="m", routes=[], state="failed", retry_after_s=7.0)]
    )
    history.play(("ask a", ["a: circuit_open"]))
    assert isinstance(history.errors["a"], CircuitOpen)
    assert (history.errors["a"].retry_after_s, history.errors["a"].message) == (
        7.0,
        "model 'm' is not available: see /health",
    )


def test_a_stopped_model_takes_nothing() -> None:
    history = History().play(("stops", []), ("ask a", ["a: unavailable"]))
    assert history.errors["a"].retry_after_s == 60.0


def test_a_full_queue_refuses_and_holds_nothing_of_what_it_refused() -> None:
    history = History().play(
        *ONE,
        ("ask a", ["send a to w.1"]),
        ("ask b", []),
        ("ask c", []),
        ("ask d", ["d: rate_limit_exceeded"]),
    )
    assert history.budget.held_bytes == 3 * (300 << 10)
    history.play(("done a", ["send b to w.1", "a: done"]), ("ask e", []))


def test_a_queue_that_is_full_is_told_of_at_once_and_then_every_ten_seconds() -> None:
    history = History().play(*ONE, ("ask a", ["send a to w.1"]), ("ask b", []), ("ask c", []))
    refused = [(f"ask {name}", [f"{name}: rate_limit_exceeded"]) for name in "def"]
    history.play(*refused)
    assert history.world.events == [("queue.full", "m", {"refused": 1, "limit": 2})]
    history.play(("wait 10", []), ("ask g", ["g: rate_limit_exceeded"]))
    assert history.world.events[1:] == [("queue.full", "m", {"refused": 3, "limit": 2})]


def test_what_an_operator_cancels_is_never_sent_or_is_dropped_by_its_worker() -> None:
    History().play(
        *ONE,
        ("ask a", ["send a to w.1"]),
        ("ask b", []),
        ("cancels b", ["b: cancelled_by_operator"]),
        ("ask c", []),
        ("cancels a", ["cancel a at w.1", "a: cancelled_by_operator"]),
        ("failed a", ["send c to w.1"]),
        ("done c", ["c: done"]),
    )


def test_a_model_answers_to_its_aliases_also_where_it_could_not_be_fetched() -> None:
    aliases = {"small": "m", "big": "org/big"}
    dispatcher = Dispatcher([SPEC], World(), aliases=aliases)
    assert dispatcher.spec("small", "embed") is dispatcher.spec("m", "embed") is SPEC
    failed = ModelState(name="org/big", routes=[], state="failed", reason="no network")
    dispatcher.set_states([failed])
    with pytest.raises(Unavailable, match=r"'big' is not available: no network"):
        dispatcher.spec("big", "embed")
    with pytest.raises(ModelNotFound, match=r"'other'; what it has for text-embedding: m, small$"):
        dispatcher.spec("other", "embed")
    with pytest.raises(ModelNotFound, match=r"'hibari', and no other for text-to-speech; `"):
        dispatcher.spec("hibari", "speak")
    with pytest.raises(InvalidRequest, match="'small' is served at /v1/embeddings"):
        dispatcher.spec("small", "chat")


def test_a_request_without_a_model_gets_the_only_one_for_its_task() -> None:
    dispatcher = Dispatcher([SPEC, changed(name="n", task="chat")], World())
    assert dispatcher.only("embed") is SPEC
    with pytest.raises(InvalidRequest, match=r"^this server has no model for audio-transcription"):
        dispatcher.only("speech")
    with pytest.raises(InvalidRequest, match="one of: m, n"):
        Dispatcher([SPEC, changed(name="n")], World()).only("embed")


def test_request_ids_may_repeat_and_jobs_have_ids_of_their_own() -> None:
    History().play(
        *TWO,
        ("ask a", ["send a to w.1"]),
        ("ask a", ["send a#2 to w.1"]),
        ("ask a", []),
        ("done a#2", ["send a#3 to w.1", "a#2: done"]),
        ("ask a", []),
        ("done a a#3", ["send a#2 to w.1", "a: done", "a#3: done"]),
        ("ask a", ["send a to w.1"]),
    )


# --- dispatch ---


def test_jobs_leave_in_their_order_as_credit_comes_back() -> None:
    History().play(
        *ONE,
        ("ask a", ["send a to w.1"]),
        ("ask b", []),
        ("ask c", []),
        ("says a hello", ["a: hello"]),
        ("done a", ["send b to w.1", "a: done"]),
        ("failed b", ["send c to w.1", "b: internal_error"]),
        ("done c", ["c: done"]),
    )


def test_what_ends_is_held_no_longer() -> None:
    history = History().play(
        *TWO,
        ("ask a", ["send a to w.1"]),
        ("ask b", ["send b to w.1"]),
        ("done a", ["a: done"]),
        ("failed b", ["b: internal_error"]),
    )
    assert history.budget.held_bytes == 0
    assert history.dispatcher.queues()["m"] == {
        "depth": 0,
        "limit": 2,
        "bytes": 0,
        "in_flight": 0,
        "credit": 2,
        "background": 0,
        "oldest_s": 0.0,
        "eta_s": 0.0,
    }


def test_a_queue_says_how_full_it_is() -> None:
    history = History().play(*ONE, ("ask a", ["send a to w.1"]), ("ask b", []), ("wait 3", []))
    assert history.dispatcher.queues()["m"] == {
        "depth": 1,
        "limit": 2,
        "bytes": 10,
        "in_flight": 1,
        "credit": 1,
        "background": 0,
        "oldest_s": 3.0,
        "eta_s": math.nan,  # no job has been measured
    }


def test_jobs_wait_for_a_worker_that_is_not_connected_yet_or_no_longer() -> None:
    History().play(
        ("start w.1*2", ["connect w.1"]),
        ("ask a", []),
        ("open w.1", ["send a to w.1"]),
        ("lost w.1", []),
        ("ask b", []),
        ("broken w.1 its connection broke", ["replace w.1: its connection broke"]),
        ("end w.1", ["drain w.1"]),
        ("closed w.1", ["close w.1", "a: worker_crashed"]),
        ("start w.2", ["connect w.2"]),
        ("open w.2", ["send b to w.2"]),
    )


def test_a_request_that_no_message_can_carry_gives_its_place_to_the_next() -> None:
    history = History().play(
        *ONE,
        ("ask huge", ["huge: invalid_value"]),
        ("ask a", ["send a to w.1"]),
    )
    assert history.errors["huge"].message == "the request is too large: 4 GiB"
    assert history.budget.held_bytes == 300 << 10


def test_a_worker_whose_socket_takes_nothing_fails_the_job_and_keeps_no_credit() -> None:
    history = History().play(*ONE)
    history.world.takes_nothing = {"w.1"}
    history.play(("ask a", ["a: worker_crashed"]))
    assert history.errors["a"].retry_after_s == 1.0
    history.world.takes_nothing = set()
    history.play(("ask a", ["send a to w.1"]))


def test_the_times_of_a_job_are_those_of_its_way() -> None:
    history = History().play(*ONE, ("ask a", ["send a to w.1"]), ("ask b", []))
    waiting = history._streams["b"]
    assert (waiting.submitted_at, waiting.dispatched_at, waiting.first_at) == (1000.0, None, None)
    history.play(("wait 4", []), ("done a", ["send b to w.1", "a: done"]), ("wait 2", []))
    history.play(("says b hello", ["b: hello"]))
    assert (waiting.submitted_at, waiting.dispatched_at, waiting.first_at) == (
        1000.0,
        1004.0,
        1006.0,
    )


def test_clients_take_turns_and_one_that_comes_later_has_room() -> None:
    history = History().play(
        *ONE,
        ("ask_by x x1 x2 x3", ["send x1 to w.1"]),
        ("ask_by x x4", ["x4: rate_limit_exceeded"]),
        ("ask_by y y1", ["x3: rate_limit_exceeded"]),
        ("ask_by y y2", ["y2: rate_limit_exceeded"]),
        ("done x1", ["send y1 to w.1", "x1: done"]),
        ("done y1", ["send x2 to w.1", "y1: done"]),
    )
    assert history.errors["x3"].status == 429
    assert [history.errors[name].retry_after_s for name in ("x4", "x3", "y2")] == [2.0, 3.0, 4.0]


# --- clients that leave, and time that runs out ---


def test_a_job_whose_client_leaves_while_it_waits_is_never_sent() -> None:
    history = History().play(
        *ONE,
        ("ask a", ["send a to w.1"]),
        ("ask b", []),
        ("leave b", []),
        ("done a", ["a: done"]),
    )
    assert history.budget.held_bytes == 0


def test_a_job_whose_client_leaves_keeps_its_place_and_its_memory_until_it_has_ended() -> None:
    history = History().play(
        *ONE,
        ("ask a", ["send a to w.1"]),
        ("ask b", []),
        ("leave a", ["cancel a at w.1"]),
    )
    assert history.budget.held_bytes == 2 * (300 << 10)
    history.play(("failed a", ["send b to w.1"]), ("done b", ["b: done"]))
    assert history.budget.held_bytes == 0


def test_what_an_ended_job_still_says_is_nobodys() -> None:
    History().play(
        *ONE,
        ("ask a", ["send a to w.1"]),
        ("done a", ["a: done"]),
        ("says a more", []),
        ("done a", []),
        ("failed a", []),
        ("unbegun a", []),
        ("ask b", ["send b to w.1"]),
        ("ask c", []),
    )


def test_a_request_waits_for_so_long_and_no_longer() -> None:
    history = History().play(
        *ONE,
        ("ask a", ["send a to w.1"]),
        ("ask b", []),
        ("wait 60", []),
        ("wait 0.1", ["b: queue_timeout"]),
        ("done a", ["a: done"]),
    )
    assert history.errors["b"].retry_after_s == 1.0
    assert history.budget.held_bytes == 0


def test_time_to_be_worked_on_begins_when_a_worker_is_given_the_request() -> None:
    """Who waits in a long queue has lost none of it."""
    history = History(changed(request_timeout_s=5.0)).play(
        *ONE,
        ("ask a", ["send a to w.1"]),
        ("ask b", []),
        ("wait 4", []),
        ("done a", ["send b to w.1", "a: done"]),
        ("wait 4.9", []),
        ("wait 0.2", ["cancel b at w.1", "b: deadline_exceeded"]),
        ("ask c", []),
        ("failed b", ["send c to w.1"]),
    )
    assert [job.deadline_at for job in history.world.sent[:2]] == [1005.0, 1009.0]
    assert history.errors["b"].message == "the request took longer than its limit of 5 s"


def test_a_job_that_nobody_waits_for_has_no_deadline_to_miss() -> None:
    History(changed(request_timeout_s=5.0, stall_s=600.0)).play(
        *ONE,
        ("ask a", ["send a to w.1"]),
        ("leave a", ["cancel a at w.1"]),
        ("wait 6", []),
        ("wait 6", []),
    )


def test_a_worker_that_never_ends_what_it_was_told_to_drop_is_replaced() -> None:
    """Its place would be taken for good, and a few such jobs take all of a model's places."""
    History().play(
        *ONE,
        ("ask a", ["send a to w.1"]),
        ("leave a", ["cancel a at w.1"]),
        ("ticks 9", []),
        ("ticks 1", ["replace w.1: it ended no job that was dropped 1 s ago"]),
        ("ticks 20", []),
        ("crash w.1", ["drain w.1"]),
        ("closed w.1", ["close w.1"]),
    )


def test_a_pause_of_ours_is_not_taken_for_the_workers() -> None:
    History().play(
        *ONE,
        ("ask a", ["send a to w.1"]),
        ("leave a", ["cancel a at w.1"]),
        ("wait 60", []),
        ("failed a", []),
        ("ticks 20", []),
    )


def test_a_worker_that_dies_with_what_it_was_told_to_drop_is_not_replaced_again() -> None:
    History().play(
        *ONE,
        ("ask a", ["send a to w.1"]),
        ("leave a", ["cancel a at w.1"]),
        ("end w.1", ["drain w.1"]),
        ("ticks 20", []),
        ("closed w.1", ["close w.1"]),
        ("ticks 20", []),
    )


# --- workers that come and go ---


def test_a_dead_workers_last_events_count_though_they_come_after_the_news() -> None:
    History().play(
        *TWO,
        ("ask a", ["send a to w.1"]),
        ("ask b", ["send b to w.1"]),
        ("end w.1", ["drain w.1"]),
        ("done a", ["a: done"]),
        ("closed w.1", ["close w.1", "b: worker_crashed"]),
    )


def test_a_model_that_was_ready_keeps_its_queue_for_the_next_worker() -> None:
    History().play(
        *ONE,
        ("ask a", ["send a to w.1"]),
        ("ask b", []),
        ("crash w.1", ["drain w.1"]),
        ("closed w.1", ["close w.1", "a: worker_crashed"]),
        ("ask c", []),
        ("start w.2*2", ["connect w.2"]),
        ("open w.2", ["send b to w.2", "send c to w.2"]),
    )


def test_a_closing_worker_finishes_what_it_has_and_takes_nothing_new() -> None:
    History().play(
        *TWO,
        ("ask a", ["send a to w.1"]),
        ("closing w.1", []),
        ("ask b", []),
        ("start w.2", ["connect w.2"]),
        ("open w.2", ["send b to w.2"]),
        ("done a", ["a: done"]),
        ("end w.1", ["drain w.1"]),
        ("closed w.1", ["close w.1"]),
    )


def test_an_unbegun_job_of_a_draining_worker_is_queued_again_before_the_others() -> None:
    history = History().play(
        *TWO,
        ("ask a", ["send a to w.1"]),
        ("ask b", ["send b to w.1"]),
        ("ask c", []),
        ("closing w.1", []),
        ("unbegun b", []),
        ("done a", ["a: done"]),
        ("end w.1", ["drain w.1"]),
        ("closed w.1", ["close w.1"]),
        ("start w.2", ["connect w.2"]),
        ("open w.2", ["send b to w.2, attempt 2"]),
        ("done b", ["send c to w.2", "b: done"]),
        ("done c", ["c: done"]),
    )
    assert history.budget.held_bytes == 0


def test_a_job_that_is_queued_again_has_its_time_to_wait_again() -> None:
    History(changed(request_timeout_s=5.0)).play(
        *ONE,
        ("ask a", ["send a to w.1"]),
        ("closing w.1", []),
        ("unbegun a", []),
        ("wait 20", []),
        ("wait 41", ["a: queue_timeout"]),
    )


def test_an_unbegun_job_whose_client_has_left_is_not_queued_again() -> None:
    history = History().play(
        *ONE,
        ("ask a", ["send a to w.1"]),
        ("leave a", ["cancel a at w.1"]),
        ("closing w.1", []),
        ("unbegun a", []),
        ("start w.2", ["connect w.2"]),
        ("open w.2", []),
    )
    assert history.budget.held_bytes == 0
    assert history.dispatcher.queues()["m"]["in_flight"] == 0


def test_a_job_is_tried_three_times_and_no_more() -> None:
    History().play(
        *ONE,
        ("ask a", ["send a to w.1"]),
        ("unbegun a", ["send a to w.1, attempt 2"]),
        ("unbegun a", ["send a to w.1, attempt 3"]),
        ("unbegun a", ["a: internal_error"]),
        ("ask b", ["send b to w.1"]),
    )


def test_a_job_that_had_begun_is_never_tried_again() -> None:
    History().play(
        *ONE,
        ("ask a", ["send a to w.1"]),
        ("crash w.1", ["drain w.1"]),
        ("closed w.1", ["close w.1", "a: worker_crashed"]),
        ("start w.2", ["connect w.2"]),
        ("open w.2", []),
    )


def test_the_same_states_again_change_nothing() -> None:
    History().play(
        *TWO,
        ("ask a", ["send a to w.1"]),
        ("publish", []),
        ("ask b", ["send b to w.1"]),
    )


def test_a_worker_that_takes_more_from_now_on_is_given_more() -> None:
    History().play(
        *ONE,
        ("ask a", ["send a to w.1"]),
        ("ask b", []),
        ("grow w.1*2", ["send b to w.1"]),
    )


def test_a_worker_that_goes_while_another_stays_takes_only_its_own_jobs() -> None:
    History().play(
        ("start v.1 w.1", ["connect v.1", "connect w.1"]),
        ("open v.1", []),
        ("open w.1", []),
        ("ask a", ["send a to v.1"]),
        ("ask b", ["send b to w.1"]),
        ("end v.1", ["drain v.1"]),
        ("closed v.1", ["close v.1", "a: worker_crashed"]),
        ("done b", ["b: done"]),
        ("ask c", ["send c to w.1"]),
    )


def test_a_worker_that_cannot_be_read_is_replaced_and_one_that_is_dead_is_not() -> None:
    History().play(
        *ONE,
        ("broken w.1 noise", ["replace w.1: noise"]),
        ("end w.1", ["drain w.1"]),
        ("broken w.1 noise", []),
        ("closed w.1", ["close w.1"]),
    )


def test_only_the_worker_that_cannot_be_read_is_replaced() -> None:
    History().play(
        ("start v.1 w.1", ["connect v.1", "connect w.1"]),
        ("broken w.1 noise", ["replace w.1: noise"]),
    )


def test_a_ready_model_is_starting_until_jobs_reach_it() -> None:
    history = History()
    dispatcher = history.dispatcher
    assert dispatcher.state("m").state == "starting"
    assert not dispatcher.informed.is_set()
    history.play(("start w.1", ["connect w.1"]))
    assert dispatcher.informed.is_set()
    assert (dispatcher.state("m").state, dispatcher.unconnected()) == ("starting", {"m"})
    assert dispatcher.state("m").reason == "this server has no connection to its worker"
    assert not dispatcher.connected.is_set()
    history.play(("open w.1", []))
    assert (dispatcher.state("m").state, dispatcher.unconnected()) == ("ready", set())
    assert dispatcher.connected.is_set()
    history.play(("lost w.1", []))
    assert (dispatcher.state("m").state, dispatcher.unconnected()) == ("starting", {"m"})
    assert not dispatcher.connected.is_set()
    history.play(("end w.1", ["drain w.1"]))
    assert dispatcher.connected.is_set()  # to all that there are


# --- crashes ---


def crash(number: int, job: str) -> list[Step]:
    """A worker starts, is given ``job`` and crashes."""
    name = f"w.{number}"
    return [
        (f"start {name}", [f"connect {name}"]),
        (f"open {name}", []),
        (f"ask {job} poison", [f"send {job} to {name}"]),
        (f"crash {name}", [f"drain {name}"]),
        (f"closed {name}", [f"close {name}", f"{job}: worker_crashed"]),
    ]


def test_a_request_that_was_alone_at_two_crashes_is_refused() -> None:
    *second, _ = crash(2, "b")
    history = History().play(
        *crash(1, "a"),
        *second,
        ("closed w.2", ["close w.2", "b: poison_request"]),
        ("ask c poison", ["c: poison_request"]),
        ("ask d", []),
        ("wait 599", ["d: queue_timeout"]),
        ("ask e poison", ["e: poison_request"]),
        ("wait 1", []),
        ("ask f poison", []),
    )
    assert isinstance(history.errors["c"], PoisonRequest)


def test_planned_ends_prove_nothing() -> None:
    History().play(
        *ONE,
        ("ask a poison", ["send a to w.1"]),
        ("end w.1", ["drain w.1"]),
        ("closed w.1", ["close w.1", "a: worker_crashed"]),
        ("start w.2", ["connect w.2"]),
        ("open w.2", []),
        ("ask b poison", ["send b to w.2"]),
        ("end w.2", ["drain w.2"]),
        ("closed w.2", ["close w.2", "b: worker_crashed"]),
        ("start w.3", ["connect w.3"]),
        ("open w.3", []),
        ("ask c poison", ["send c to w.3"]),
    )


def test_it_counts_how_a_worker_ended_not_what_is_published_until_its_events_are_read() -> None:
    *first, _ = crash(1, "a")
    *second, _ = crash(2, "b")
    history = History().play(*first)
    history.states["m"] = msgspec.structs.replace(history.states["m"], faulty=[])
    history.play(
        ("publish", []),
        ("closed w.1", ["close w.1", "a: worker_crashed"]),
        *second,
        ("closed w.2", ["close w.2", "b: poison_request"]),
    )


def test_copies_of_a_request_in_one_crash_are_one_crash_and_alone() -> None:
    History().play(
        *TWO,
        ("ask a poison", ["send a to w.1"]),
        ("ask b poison", ["send b to w.1"]),
        ("crash w.1", ["drain w.1"]),
        ("closed w.1", ["close w.1", "a: worker_crashed", "b: worker_crashed"]),
        *crash(2, "c")[:-1],
        ("closed w.2", ["close w.2", "c: poison_request"]),
    )


def test_copies_in_one_worker_are_still_alone_there() -> None:
    History().play(
        ("start v.1 w.1*2", ["connect v.1", "connect w.1"]),
        ("open w.1", []),
        ("ask a poison", ["send a to w.1"]),
        ("ask b poison", ["send b to w.1"]),
        ("ask c poison", []),
        ("open v.1", ["send c to v.1"]),
        ("crash v.1", ["drain v.1"]),
        ("closed v.1", ["close v.1", "c: worker_crashed"]),
        ("crash w.1", ["drain w.1"]),
        ("closed w.1", ["close w.1", "a: poison_request", "b: poison_request"]),
    )


def test_who_waited_for_a_copy_to_run_alone_goes_when_that_is_refused() -> None:
    History(changed(queue_limit=3)).play(
        *crash(1, "a"),
        ("start v.2 w.2*2", ["connect v.2", "connect w.2"]),
        ("open v.2", []),
        ("open w.2", []),
        ("ask b", ["send b to w.2"]),
        ("ask c poison", ["send c to v.2"]),
        ("ask d poison", []),  # w.2 is to become empty for it
        ("ask e", []),
        ("crash v.2", ["drain v.2"]),
        ("closed v.2", ["close v.2", "send e to w.2", "c: poison_request", "d: poison_request"]),
    )


def test_in_company_it_takes_a_third_crash() -> None:
    History().play(
        *TWO,
        ("ask a poison", ["send a to w.1"]),
        ("ask b", ["send b to w.1"]),
        ("crash w.1", ["drain w.1"]),
        ("closed w.1", ["close w.1", "a: worker_crashed", "b: worker_crashed"]),
        ("start w.2*2", ["connect w.2"]),
        ("open w.2", []),
        ("ask c poison", ["send c to w.2"]),
        ("wait 1", []),  # it was alone for as long as that could be
        ("ask d", ["send d to w.2"]),
        ("crash w.2", ["drain w.2"]),
        ("closed w.2", ["close w.2", "c: worker_crashed", "d: worker_crashed"]),
        *crash(3, "e")[:-1],
        ("closed w.3", ["close w.3", "e: poison_request"]),
    )


def test_copies_in_the_queue_are_refused_with_the_request_that_was_found_out() -> None:
    history = History().play(
        *crash(1, "a"),
        ("start w.2", ["connect w.2"]),
        ("open w.2", []),
        ("ask b poison", ["send b to w.2"]),
        ("ask c poison", []),
        ("ask d", []),
        ("crash w.2", ["drain w.2"]),
        ("closed w.2", ["close w.2", "b: poison_request", "c: poison_request"]),
        ("start w.3", ["connect w.3"]),
        ("open w.3", ["send d to w.3"]),
    )
    assert history.budget.held_bytes == 300 << 10


def test_a_suspect_that_completes_is_cleared() -> None:
    History().play(
        *crash(1, "a"),
        ("start w.2", ["connect w.2"]),
        ("open w.2", []),
        ("ask b poison", ["send b to w.2"]),
        ("done b", ["b: done"]),
        ("ask c poison", ["send c to w.2"]),
        ("crash w.2", ["drain w.2"]),
        ("closed w.2", ["close w.2", "c: worker_crashed"]),
    )


def test_while_a_suspect_runs_alone_others_wait_for_a_moment() -> None:
    History().play(
        *crash(1, "a"),
        ("start w.2*2", ["connect w.2"]),
        ("open w.2", []),
        ("ask b poison", ["send b to w.2"]),
        ("ask c", []),
        ("wait 0.9", []),
        ("wait 0.1", ["send c to w.2"]),
    )


# --- the end ---


def test_a_server_that_drains_takes_nothing_new_and_is_idle_when_nobody_waits() -> None:
    history = History().play(
        *ONE,
        ("ask a", ["send a to w.1"]),
        ("ask b", []),
        ("drain", []),
        ("ask c", ["c: draining"]),
        ("done a", ["send b to w.1", "a: done"]),
    )
    assert history.errors["c"].retry_after_s == 5.0
    assert not history.dispatcher.idle.is_set()
    history.play(("leave b", ["cancel b at w.1"]))
    assert history.dispatcher.idle.is_set()  # what a worker still holds is nobody's


def test_a_server_without_requests_is_idle_once_it_drains() -> None:
    history = History().play(*ONE, ("ask a", ["send a to w.1"]), ("done a", ["a: done"]))
    assert not history.dispatcher.idle.is_set()
    history.play(("drain", []))
    assert history.dispatcher.idle.is_set()


def test_what_is_left_at_the_end_gets_an_error_and_nothing_comes_after_it() -> None:
    history = History().play(
        *ONE,
        ("ask a", ["send a to w.1"]),
        ("ask b", []),
        ("drain", []),
        ("shut", ["a: draining", "b: draining"]),
        ("done a", []),
        ("end w.1", []),
        ("start w.2", []),
    )
    assert history.dispatcher.idle.is_set()
    assert history.budget.held_bytes == 0


# --- in the background ---


def test_work_in_the_background_waits_until_its_model_has_been_quiet_for_a_moment() -> None:
    History().play(
        *TWO,
        ("ask a", ["send a to w.1"]),
        ("batch x", []),
        ("done a", ["a: done"]),
        ("wait 0.4", []),
        ("wait 0.1", ["send x to w.1"]),
        ("done x", ["x: done"]),
    )


def test_work_in_the_background_is_given_up_at_once_for_a_live_job_and_told_so() -> None:
    History().play(
        *TWO,
        ("batch x", ["send x to w.1"]),
        ("batch y", ["send y to w.1"]),
        ("says x half", ["x: half"]),
        ("ask a", ["cancel x at w.1", "cancel y at w.1", "x: gave_way", "y: gave_way"]),
        ("failed x", ["send a to w.1"]),
        ("failed y", []),
        ("batch x", []),
        ("done a", ["a: done"]),
        ("wait 1", ["send x to w.1"]),
    )


def test_a_live_job_goes_out_behind_what_it_ends_where_a_worker_takes_one_more() -> None:
    spec = changed(slots=1, prefetch=1)
    History(spec).play(
        *TWO,
        ("batch x", ["send x to w.1"]),
        ("batch y", []),
        ("ask a", ["cancel x at w.1", "send a to w.1", "x: gave_way"]),
    )


def test_work_in_the_background_waits_longer_than_any_client_would() -> None:
    History().play(
        *ONE,
        ("batch x", ["send x to w.1"]),
        ("batch y", []),
        ("wait 599", []),
        ("done x", ["send y to w.1", "x: done"]),
        ("wait 599", []),
        ("wait 1", ["cancel y at w.1", "y: deadline_exceeded"]),
    )


def test_work_in_the_background_is_refused_and_lost_like_any_other() -> None:
    History().play(("batch x", ["x: model_loading"]))
    History().play(
        *ONE,
        ("batch x", ["send x to w.1"]),
        ("batch y", []),
        ("fails too many crashes", ["drain w.1", "y: circuit_open"]),
        ("closed w.1", ["close w.1", "x: worker_crashed"]),
        ("batch z", ["z: circuit_open"]),
    )


def test_work_in_the_background_that_crashes_its_worker_alone_is_poison() -> None:
    History().play(
        *ONE,
        ("batch x", ["send x to w.1"]),
        ("crash w.1", ["drain w.1"]),
        ("closed w.1", ["close w.1", "x: worker_crashed"]),
        ("start w.2*2", ["connect w.2"]),
        ("open w.2", []),
        ("batch y", ["send y to w.2"]),
        ("batch x", []),  # a suspect waits for an empty worker,
        ("batch z", []),  # and nothing overtakes it
        ("done y", ["send x to w.2", "y: done"]),
        ("crash w.2", ["drain w.2"]),
        ("closed w.2", ["close w.2", "x: poison_request"]),
        ("batch x", ["x: poison_request"]),
    )


def test_what_a_draining_worker_had_not_begun_of_it_goes_first() -> None:
    History().play(
        *ONE,
        ("batch x", ["send x to w.1"]),
        ("batch y", []),
        ("closing w.1", []),
        ("unbegun x", []),
        ("start v.1", ["connect v.1"]),
        ("open v.1", ["send x to v.1, attempt 2"]),
    )


def test_a_server_that_stops_waits_for_clients_and_for_nothing_in_the_background() -> None:
    history = History().play(
        *ONE,
        ("batch x", ["send x to w.1"]),
        ("batch y", []),
        ("drain", ["cancel x at w.1", "x: draining", "y: draining"]),
    )
    assert history.dispatcher.idle.is_set()
    assert history.budget.held_bytes == 300 << 10  # until the worker says that it has ended
    history.play(("failed x", []))
    assert history.budget.held_bytes == 0


def test_a_model_that_leaves_ends_its_work_in_the_background_first() -> None:
    History().play(
        *ONE,
        ("batch x", ["send x to w.1"]),
        ("batch y", []),
        ("models", []),
        ("done x", ["send y to w.1", "x: done"]),
        ("wait 1", []),
        ("done y", ["y: done"]),
        ("wait 1", ["left m"]),
    )


def test_who_gives_up_work_in_the_background_has_it_dropped() -> None:
    History().play(
        *ONE,
        ("batch x", ["send x to w.1"]),
        ("batch y", []),
        ("leave y", []),
        ("leave x", ["cancel x at w.1"]),
        ("ask a", []),  # x is given up once
        ("ticks 10", ["replace w.1: it ended no job that was dropped 1 s ago"]),
    )
