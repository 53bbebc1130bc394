"""Models that join and leave while the server runs, as histories."""

from __future__ import annotations

import msgspec
import pytest

from frontend.dispatch.dispatcher import Dispatcher
from ipc.messages.errors import ModelNotFound, Unavailable
from ipc.messages.state import ModelState
from tests.unit.frontend.dispatch.history import SPEC, History, Step, World

ONE: list[Step] = [("start w.1", ["connect w.1"]), ("open w.1", [])]
JOINS: list[Step] = [
    ("models m n", []),
    ("start n.1", ["connect n.1"]),
    ("open n.1", []),
]


def test_a_model_that_joins_is_starting_and_then_served_like_any() -> None:
    history = History().play(("ask_of n a", ["a: model_not_found"]), ("models m n", []))
    assert history.dispatcher.state("n").state == "starting"
    history.play(
        ("ask_of n b", ["b: model_loading"]),
        ("start n.1", ["connect n.1"]),
        ("ask_of n c", []),
        ("open n.1", ["send c to n.1"]),
        ("done c", ["c: done"]),
    )


def test_a_model_that_joins_changes_nothing_for_the_others() -> None:
    History().play(
        *ONE,
        ("ask a", ["send a to w.1"]),
        ("ask b", []),
        *JOINS,
        ("ask_of n c", ["send c to n.1"]),
        ("done a", ["send b to w.1", "a: done"]),
    )


def test_a_drained_model_takes_nothing_new_and_goes_on_with_what_it_was_asked() -> None:
    history = History().play(
        *ONE,
        ("ask a", ["send a to w.1"]),
        ("ask b", []),
        ("drains", []),
        ("ask c", ["c: model_draining"]),
        ("done a", ["send b to w.1", "a: done"]),
        ("done b", ["b: done"]),
        ("resumes", []),
        ("ask d", ["send d to w.1"]),
    )
    assert history.errors["c"].retry_after_s


def test_a_model_without_requests_leaves_at_once() -> None:
    history = History().play(
        *ONE,
        *JOINS,
        ("models m", ["left n"]),
        ("publish", []),
        ("wait 1", []),
        ("ask_of n a", ["a: model_not_found"]),
        ("ask b", ["send b to w.1"]),
        ("end n.1", ["drain n.1"]),
        ("closed n.1", ["close n.1"]),
        ("forget n", []),
    )
    assert list(history.dispatcher.queues()) == ["m"]
    assert list(history.dispatcher.specs) == ["m"]


def test_a_model_leaves_when_its_last_request_has_ended_and_says_so_once() -> None:
    history = History().play(
        *JOINS,
        ("ask_of n a", ["send a to n.1"]),
        ("ask_of n b", []),
        ("models m", []),
        ("ask_of n c", ["c: model_not_found"]),
        ("wait 1", []),
        ("done a", ["send b to n.1", "a: done"]),
        ("wait 1", []),
        ("says b hello", ["b: hello"]),
        ("done b", ["b: done"]),
        ("wait 1", ["left n"]),
        ("wait 1", []),
        ("publish", []),
        ("wait 1", []),
    )
    assert history.budget.held_bytes == 0
    assert list(history.dispatcher.queues()) == ["m"]


def test_a_place_that_a_worker_still_holds_keeps_a_model_though_nobody_waits() -> None:
    History().play(
        *JOINS,
        ("ask_of n a", ["send a to n.1"]),
        ("models m", []),
        ("leave a", ["cancel a at n.1"]),
        ("wait 1", []),
        ("failed a", []),
        ("wait 1", ["left n"]),
    )


def test_requests_of_a_model_that_leaves_survive_its_draining_worker() -> None:
    History().play(
        *JOINS,
        ("ask_of n a", ["send a to n.1"]),
        ("models m", []),
        ("closing n.1", []),
        ("unbegun a", []),
        ("start n.2", ["connect n.2"]),
        ("end n.1", ["drain n.1"]),
        ("open n.2", ["send a to n.2, attempt 2"]),
        ("done a", ["a: done"]),
        ("wait 1", ["left n"]),
    )


def test_a_model_whose_worker_dies_while_it_leaves_has_left_when_that_is_known() -> None:
    History().play(
        *JOINS,
        ("ask_of n a", ["send a to n.1"]),
        ("models m", []),
        ("crash n.1", ["drain n.1"]),
        ("wait 1", []),
        ("closed n.1", ["close n.1", "a: worker_crashed"]),
        ("wait 1", ["left n"]),
    )


def test_time_runs_out_for_requests_of_a_model_that_leaves_too() -> None:
    History().play(
        *JOINS,
        ("ask_of n a", ["send a to n.1"]),
        ("ask_of n b", []),
        ("models m", []),
        ("end n.1", ["drain n.1"]),
        ("closed n.1", ["close n.1", "a: worker_crashed"]),
        ("wait 1", []),
        ("wait 60", ["left n", "b: queue_timeout"]),
    )


def test_a_model_that_comes_back_before_it_has_left_keeps_its_queue() -> None:
    History().play(
        *JOINS,
        ("ask_of n a", ["send a to n.1"]),
        ("ask_of n b", []),
        ("models m", []),
        ("models m n", []),
        ("ask_of n c", []),
        ("done a", ["send b to n.1", "a: done"]),
        ("done b", ["send c to n.1", "b: done"]),
        ("done c", ["c: done"]),
        ("wait 1", []),
        ("ask_of n d", ["send d to n.1"]),
    )


def test_a_model_that_comes_back_while_its_workers_are_there_has_them_again() -> None:
    """What the two sides say may cross: to the supervisor it has never left."""
    History().play(
        *JOINS,
        ("models m", ["left n"]),
        ("publish", []),
        ("models m n", []),
        ("ask_of n a", ["send a to n.1"]),
        ("done a", ["a: done"]),
        ("models m", ["left n"]),
    )


def test_only_a_model_that_has_left_is_parted_with_when_it_is_not_listed() -> None:
    History().play(
        *JOINS,
        ("models m", ["left n"]),
        ("models m n", []),
        ("forget n", []),
        ("ask_of n a", ["send a to n.1"]),
    )


def test_workers_of_a_model_that_the_supervisor_lists_no_more_are_gone() -> None:
    History().play(
        *JOINS,
        ("models m", ["left n"]),
        ("forget n", ["drain n.1"]),
        ("closed n.1", ["close n.1"]),
        ("models m n", []),
        ("ask_of n a", ["a: model_loading"]),
        ("start n.2", ["connect n.2"]),
    )


def test_a_model_that_comes_back_after_it_has_left_begins_anew() -> None:
    history = History().play(
        *JOINS,
        ("ask_of n poison", ["send poison to n.1"]),
        ("crash n.1", ["drain n.1"]),
        ("closed n.1", ["close n.1", "poison: worker_crashed"]),
        ("models m", ["left n"]),
        ("forget n", []),
        ("models m n", []),
        ("ask_of n a", ["a: model_loading"]),
        ("start n.2*2", ["connect n.2"]),
        ("open n.2", []),
        ("ask_of n poison", ["send poison to n.2"]),
        ("ask_of n b", ["send b to n.2"]),  # nothing is suspected any more
        ("done poison", ["poison: done"]),
        ("done b", ["b: done"]),
        ("models m", ["left n"]),
    )
    assert history.budget.held_bytes == 0


def test_every_model_may_leave() -> None:
    history = History().play(*ONE, ("models", ["left m"]))
    assert history.dispatcher.specs == {}
    assert history.dispatcher.connected.is_set()


def test_a_changed_model_has_new_limits_for_requests_that_come_from_now_on() -> None:
    history = History().play(*ONE, ("ask a", ["send a to w.1"]), ("ask b", []), ("ask c", []))
    slower = msgspec.structs.replace(
        SPEC, queue_limit=3, queue_timeout_s=100.0, request_timeout_s=5.0
    )
    history.serve(slower)
    assert history.dispatcher.spec("m", "embed") is slower
    assert history.dispatcher.queues()["m"]["limit"] == 3
    history.play(
        ("ask d", []),
        ("ask e", ["e: rate_limit_exceeded"]),
        ("wait 61", ["b: queue_timeout", "c: queue_timeout"]),
        ("done a", ["send d to w.1", "a: done"]),
        ("wait 6", ["cancel d at w.1", "d: deadline_exceeded"]),
    )
    assert history.errors["d"].message == "the request took longer than its limit of 5 s"


def test_a_changed_model_has_its_new_limit_on_bytes() -> None:
    history = History().play(*ONE, ("ask a", ["send a to w.1"]), ("ask b", []))
    history.serve(msgspec.structs.replace(SPEC, queue_bytes=15))
    history.play(("ask c", ["c: rate_limit_exceeded"]))


def test_a_changed_model_is_patient_with_earlier_jobs_as_before() -> None:
    history = History(msgspec.structs.replace(SPEC, request_timeout_s=5.0)).play(
        *ONE, ("ask a", ["send a to w.1"])
    )
    history.serve(msgspec.structs.replace(SPEC, stall_s=100.0))
    history.play(
        ("wait 5", ["cancel a at w.1", "a: deadline_exceeded"]),
        ("ticks 8", []),
        ("ticks 1", ["replace w.1: it ended no job that was dropped 1 s ago"]),
    )
    assert history.errors["a"].message == "the request took longer than its limit of 5 s"


def test_a_changed_model_leaves_the_work_that_is_in_hand_its_time() -> None:
    history = History().play(*ONE, ("ask a", ["send a to w.1"]), ("ask b", []))
    history.serve(msgspec.structs.replace(SPEC, request_timeout_s=5.0))
    history.play(("wait 6", []), ("done a", ["send b to w.1", "a: done"]), ("wait 6", []))


def test_a_changed_model_may_have_a_smaller_queue_and_those_in_it_keep_their_places() -> None:
    history = History().play(*ONE, ("ask a", ["send a to w.1"]), ("ask b", []), ("ask c", []))
    history.serve(msgspec.structs.replace(SPEC, queue_bytes=1, queue_limit=1))
    history.play(
        ("done a", ["send b to w.1", "a: done"]),
        ("ask d", ["d: rate_limit_exceeded"]),
        ("done b", ["send c to w.1", "b: done"]),
        ("ask d", []),
        ("ask e", ["e: rate_limit_exceeded"]),
    )


def test_a_request_that_is_read_while_its_model_leaves_or_changes_is_told_so() -> None:
    history = History().play(*ONE, *JOINS)
    found = history.dispatcher.spec("n", "embed")
    history.play(("models m", ["left n"]))
    with pytest.raises(ModelNotFound):
        history.dispatcher.state("n")
    with pytest.raises(ModelNotFound, match="what it has for text-embedding: m"):
        history.dispatcher.submit("a", found, history.text("a"), 1, history.budget.open())


def test_a_model_that_leaves_is_unknown_whatever_the_supervisor_still_says_of_it() -> None:
    history = History().play(*JOINS, ("ask_of n a", ["send a to n.1"]), ("models m", []))
    history.states["n"] = msgspec.structs.replace(
        history.states["n"], state="failed", reason="too many crashes"
    )
    history.play(
        ("publish", []),
        ("ask_of n b", ["b: model_not_found"]),
        ("done a", ["a: done"]),
        ("wait 1", ["left n"]),
        ("publish", []),
        ("ask_of n b", ["b: model_not_found"]),
        ("forget n", ["drain n.1"]),
        ("ask_of n b", ["b: model_not_found"]),
    )


def test_a_model_that_could_not_be_fetched_may_join_later_and_leave() -> None:
    history = History()
    history.states["n"] = ModelState(name="n", routes=[], state="failed", reason="no network")
    history.play(("publish", []), ("ask_of n a", ["a: unavailable"]))
    assert isinstance(history.errors["a"], Unavailable)
    history.states["n"] = ModelState(name="n", routes=[], state="starting")
    history.play(
        *JOINS,
        ("ask_of n a", ["send a to n.1"]),
        ("done a", ["a: done"]),
        ("models m", ["left n"]),
        ("ask_of n a", ["a: model_not_found"]),
        ("forget n", ["drain n.1"]),
    )
    history.states["n"] = ModelState(name="n", routes=[], state="failed", reason="disk full")
    history.play(("publish", []), ("ask_of n a", ["a: unavailable"]))


def test_models_that_leave_one_after_the_other_are_all_unknown() -> None:
    history = History().play(("models m n o", []), ("models m n", ["left o"]))
    history.states["o"] = ModelState(name="o", routes=[], state="failed", reason="disk full")
    history.play(
        ("models m", ["left n"]),
        ("publish", []),
        ("ask_of o a", ["a: model_not_found"]),
        ("ask_of n a", ["a: model_not_found"]),
    )


def test_a_model_that_joins_and_leaves_between_two_states_is_unknown() -> None:
    history = History()
    history.states["n"] = ModelState(name="n", routes=[], state="failed", reason="no network")
    history.play(
        ("publish", []),
        ("models m n", []),
        ("models m", ["left n"]),
        ("ask_of n a", ["a: model_not_found"]),
    )


def test_a_worker_of_a_model_that_has_left_is_not_missed() -> None:
    history = History().play(("models m n", []), ("start n.1", ["connect n.1"]))
    assert not history.dispatcher.connected.is_set()
    history.play(("models m", ["left n"]))
    assert history.dispatcher.connected.is_set()


def test_a_server_without_models_waits_for_no_worker() -> None:
    dispatcher = Dispatcher([], World())
    assert not dispatcher.connected.is_set()
    dispatcher.set_states([])
    assert dispatcher.connected.is_set()


def test_a_server_that_drains_is_idle_when_those_of_a_leaving_model_have_ended_too() -> None:
    history = History().play(
        *JOINS,
        ("ask_of n a", ["send a to n.1"]),
        ("models m", []),
        ("drain", []),
    )
    assert not history.dispatcher.idle.is_set()
    history.play(("done a", ["a: done"]))
    assert history.dispatcher.idle.is_set()


def test_after_the_end_nothing_joins_and_nothing_leaves() -> None:
    history = History().play(
        *JOINS,
        ("ask_of n a", ["send a to n.1"]),
        ("models m", []),
        ("shut", ["a: draining"]),
        ("models", []),
        ("done a", []),
        ("wait 1", []),
    )
    assert list(history.dispatcher.specs) == ["m"]


def test_no_line_of_a_batch_begins_beside_live_work_of_another_model_of_its_device() -> None:
    History().play(
        *ONE,
        *JOINS,
        ("batch x", ["send x to w.1"]),
        ("ask_of n a", ["send a to n.1"]),  # what has begun goes on
        ("done x", ["x: done"]),
        ("batch y", []),
        ("wait 1", []),
        ("done a", ["a: done"]),
        ("wait 1", ["send y to w.1"]),
    )


def test_models_of_other_devices_do_not_keep_a_batch_waiting() -> None:
    elsewhere = msgspec.structs.replace(SPEC, name="n", device="cuda:0")
    history = History().play(*ONE)
    history.serve(SPEC, elsewhere)
    history.play(
        ("start n.1", ["connect n.1"]),
        ("open n.1", []),
        ("ask_of n a", ["send a to n.1"]),
        ("batch x", ["send x to w.1"]),
    )
