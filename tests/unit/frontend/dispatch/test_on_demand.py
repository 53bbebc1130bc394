"""Requests for models that are loaded when somebody asks, as histories."""

from __future__ import annotations

from typing import Any

import msgspec

from ipc.messages.spec import Scaling, Spec
from tests.unit.frontend.dispatch.history import SPEC, History, Step

RARE = msgspec.structs.replace(SPEC, load="on_demand", queue_limit=3)


class OnDemand(History):
    """One model, which is out."""

    def __init__(self, spec: Spec = RARE) -> None:
        super().__init__(spec)
        self.world.notes_demand = True
        self.unloads()
        self.world.did.clear()

    def unloads(self) -> None:
        self._state(routes=[], state="unloaded", refused=None)

    def loads(self) -> None:
        self._state(state="starting")

    def fails_to_load(self) -> None:
        self._state(state="backoff", reason="it crashed")

    def refused(self, *why: str) -> None:
        self._state(refused=" ".join(why))

    def _state(self, **changes: Any) -> None:
        self._set(self.states["m"], **changes)
        self.publish()


LOADED: list[Step] = [("loads", []), ("start w.1", ["connect w.1"])]


def test_a_request_waits_while_its_model_is_loaded_and_is_told_of_at_once() -> None:
    OnDemand().play(
        ("ask a", ["m: 1 wait, 0 in hand, of 1"]),
        ("ask b", ["m: 2 wait, 0 in hand, of 2"]),
        *LOADED,
        ("open w.1", ["send a to w.1"]),
        ("wait 1", ["m: 1 wait, 1 in hand, of 2"]),
        ("done a", ["send b to w.1", "a: done"]),
        ("done b", ["b: done"]),
        ("wait 1", ["m: 0 wait, 0 in hand, of 2"]),
        ("wait 1", []),
    )


def test_a_request_has_a_model_loaded_again_that_is_always_loaded_and_was_taken_out() -> None:
    OnDemand(SPEC).play(
        ("ask a", ["m: 1 wait, 0 in hand, of 1"]),
        *LOADED,
        ("open w.1", ["send a to w.1"]),
        ("done a", ["a: done"]),
    )


def test_what_only_an_operator_loads_has_no_queue_while_it_is_out() -> None:
    history = OnDemand(msgspec.structs.replace(RARE, load="never"))
    history.play(
        ("ask a", ["a: unavailable"]),
        ("loads", []),
        ("ask b", ["m: 1 wait, 0 in hand, of 1"]),
        ("start w.1", ["connect w.1"]),
        ("open w.1", ["send b to w.1"]),
    )
    assert history.errors["a"].message == "model 'm' is not loaded, and only an operator loads it"


def test_one_that_is_drained_is_loaded_for_those_that_came_before() -> None:
    OnDemand().play(
        ("ask a", ["m: 1 wait, 0 in hand, of 1"]),
        ("drains", []),
        ("ask b", ["b: model_draining"]),
        *LOADED,
        ("open w.1", ["send a to w.1"]),
    )


def test_who_does_not_want_it_loaded_is_refused_while_it_is_out_and_served_once_it_is_in() -> None:
    history = OnDemand()
    history.play(
        ("ask_if_loaded a", ["a: invalid_value"]),
        ("ask b", ["m: 1 wait, 0 in hand, of 1"]),
        *LOADED,
        ("ask_if_loaded c", ["m: 2 wait, 0 in hand, of 2"]),
        ("open w.1", ["send b to w.1"]),
        ("done b", ["send c to w.1", "b: done"]),
        ("done c", ["c: done"]),
    )
    assert history.errors["a"].param == "autoload"


def test_the_longest_that_anybody_asks_for_counts_and_then_what_the_last_one_did() -> None:
    history = OnDemand()
    history.play(
        ("keep a 10", ["m: 1 wait, 0 in hand, of 1, kept 10 s"]),
        ("keep b 50", ["m: 2 wait, 0 in hand, of 2, kept 50 s"]),
        ("ask c", ["m: 3 wait, 0 in hand, of 3, kept 50 s"]),
        *LOADED,
        ("open w.1", ["send a to w.1"]),
        ("done a", ["send b to w.1", "a: done"]),
        ("done b", ["send c to w.1", "b: done"]),
        ("done c", ["c: done"]),  # which has asked for nothing
        ("wait 1", ["m: 0 wait, 0 in hand, of 3, kept 50 s"]),
        ("keep d -1", ["send d to w.1"]),
        ("wait 1", ["m: 0 wait, 1 in hand, of 4, kept -1 s"]),
        ("keep e 5", []),
        ("wait 1", ["m: 1 wait, 1 in hand, of 5, kept -1 s"]),
        ("done d", ["send e to w.1", "d: done"]),
        ("done e", ["e: done"]),
        ("wait 1", ["m: 0 wait, 0 in hand, of 5, kept 5 s"]),
        ("closing w.1", []),
        ("end w.1", ["drain w.1"]),
        ("closed w.1", ["close w.1"]),
        ("unloads", []),
        ("wait 1", ["m: 0 wait, 0 in hand, of 5"]),
    )


def test_a_request_knows_how_long_it_has_waited_for_a_load() -> None:
    history = OnDemand().play(
        ("ask a", ["m: 1 wait, 0 in hand, of 1"]),
        ("wait 3", []),
        ("ask b", ["m: 2 wait, 0 in hand, of 2"]),
        *LOADED,
        ("wait 4", []),
        ("open w.1", ["send a to w.1"]),
        ("wait 5", ["m: 1 wait, 1 in hand, of 2"]),
        ("done a", ["send b to w.1", "a: done"]),
        ("done b", ["b: done"]),
        ("ask c", ["send c to w.1"]),
    )
    assert history.load_s == {"a": 7.0, "b": 4.0, "c": 0.0}


def test_the_supervisor_is_told_which_worker_has_what_is_in_hand() -> None:
    history = OnDemand().play(
        *LOADED,
        ("open w.1", []),
        ("ask a", ["send a to w.1"]),
        ("wait 1", ["m: 0 wait, 1 in hand, of 1"]),
    )
    assert [one.by_worker for one in history.world.demanded] == [{"w.1": 1}]
    history.play(("done a", ["a: done"]), ("wait 1", ["m: 0 wait, 0 in hand, of 1"]))
    assert [one.by_worker for one in history.world.demanded] == [{}]


def test_a_client_that_leaves_takes_its_demand_along() -> None:
    OnDemand().play(
        ("ask a", ["m: 1 wait, 0 in hand, of 1"]),
        ("leave a", []),
        ("wait 1", ["m: 0 wait, 0 in hand, of 1"]),
    )


def test_the_queue_of_a_model_that_is_out_has_its_bound() -> None:
    OnDemand().play(
        ("ask a", ["m: 1 wait, 0 in hand, of 1"]),
        ("ask b", ["m: 2 wait, 0 in hand, of 2"]),
        ("ask c", ["m: 3 wait, 0 in hand, of 3"]),
        ("ask d", ["d: rate_limit_exceeded"]),
    )


def test_a_load_that_fails_answers_all_that_wait_with_why() -> None:
    history = OnDemand().play(
        ("ask a", ["m: 1 wait, 0 in hand, of 1"]),
        ("loads", []),
        ("fails_to_load", ["a: model_loading"]),
        ("ask b", ["b: model_loading"]),
    )
    assert "its last start failed: it crashed" in history.errors["a"].message


def test_want_of_room_answers_all_that_wait_and_passes() -> None:
    history = OnDemand().play(
        ("ask a", ["m: 1 wait, 0 in hand, of 1"]),
        ("refused 'm' needs 9 MB", ["a: insufficient_memory"]),
        ("ask b", ["b: insufficient_memory"]),
        ("unloads", []),
        ("ask c", ["m: 1 wait, 0 in hand, of 2"]),
    )
    assert history.errors["a"].message == "'m' needs 9 MB"
    assert history.errors["a"].retry_after_s == 30.0


def test_who_waits_for_a_load_that_takes_too_long_is_told_so() -> None:
    OnDemand().play(
        ("ask a", ["m: 1 wait, 0 in hand, of 1"]),
        ("loads", []),
        ("wait 61", ["m: 0 wait, 0 in hand, of 1", "a: model_loading"]),
    )


def test_nothing_that_an_unloading_worker_was_sent_is_lost() -> None:
    OnDemand().play(
        ("ask a", ["m: 1 wait, 0 in hand, of 1"]),
        *LOADED,
        ("open w.1", ["send a to w.1"]),
        ("closing w.1", []),
        ("ask b", ["m: 1 wait, 1 in hand, of 2"]),
        ("unbegun a", []),
        ("wait 1", ["m: 2 wait, 0 in hand, of 2"]),
        ("end w.1", ["drain w.1"]),
        ("closed w.1", ["close w.1"]),
        ("unloads", []),
        ("loads", []),
        ("start w.2", ["connect w.2"]),
        ("open w.2", ["send a to w.2, attempt 2"]),
        ("done a", ["send b to w.2", "a: done"]),
        ("done b", ["b: done"]),
    )


def test_of_a_model_with_a_varying_number_of_workers_it_is_told_how_long_requests_wait() -> None:
    scaled = msgspec.structs.replace(SPEC, slots=1, prefetch=0, scaling=Scaling(most=2))
    OnDemand(scaled).play(
        *LOADED,
        ("open w.1", []),
        ("ask a", ["send a to w.1"]),
        ("ask b", []),
        ("wait 1", ["m: 1 wait, 1 in hand, of 2, for 1 s"]),
        ("wait 1", ["m: 1 wait, 1 in hand, of 2, for 2 s"]),
    )
