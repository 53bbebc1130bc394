"""Who is loaded, and who leaves for it: histories of decisions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from ipc.messages.control import ModelDemand
from ipc.messages.errors import ModelPinned
from ipc.messages.spec import Groups
from supervisor.residency.decisions import (
    TURN_S,
    Decision,
    Leaked,
    Load,
    Refuse,
    Residency,
    Spare,
    Unload,
)
from supervisor.residency.policy import Phase, Policy
from supervisor.residency.resident import RESIDENCE_S
from supervisor.residency.room import Room

PLENTY = Room(free_mb=100_000)
# What happens at a time; the decisions that follow, in words.
Row = tuple[float, Callable[["Box"], None], list[str]]


class Box:
    """A residency for models of so many MB each, those in capitals always in, under a budget."""

    def __init__(
        self,
        budget_mb: int | None = None,
        free_mb: float = 100_000.0,
        groups: Groups | None = None,
        **models: Any,
    ):
        self.residency = Residency(groups or Groups())
        self.room = Room(free_mb, budget_mb)
        self.now = 0.0
        self.jobs = dict.fromkeys(models, 0)
        self.load_began_at: dict[str, float] = {}
        policies = {
            name: what
            if isinstance(what, Policy)
            else Policy(always=name.isupper(), need_mb=what, measured=True)
            for name, what in models.items()
        }
        self.residency.set_policies(policies, 0.0)

    def wants(self, name: str, waiting: int, in_hand: int, keep_s: float | None = None) -> None:
        jobs = self.jobs[name]
        demand = ModelDemand(name=name, waiting=waiting, in_hand=in_hand, jobs=jobs, keep_s=keep_s)
        self.residency.on_demand(demand, self.now)

    def play(self, *rows: Row) -> Box:
        for at, happens, expected in rows:
            self.now = at
            happens(self)
            decided = self.residency.decide(lambda _: self.room, at)
            self.load_began_at |= {one.model: at for one in decided if isinstance(one, Load)}
            assert [words(one) for one in decided] == expected, f"at {at:g} s"
        return self


def words(decision: Decision) -> str:
    match decision:
        case Load(model):
            return f"load {model}"
        case Unload(model, why):
            return f"unload {model}: {why}"
        case Spare(model, workers, whom):
            return f"{workers} of {model} for {whom}"
        case Refuse(model, why, _):
            return f"refuse {model}: {why}"
        case Leaked(model, device, missing_mb):
            return f"leaked {model}: {missing_mb} MB of {device}"


def asks(
    name: str, waiting: int = 1, in_hand: int = 0, keep_s: float | None = None
) -> Callable[[Box], None]:
    def happens(box: Box) -> None:
        box.jobs[name] += 1
        box.wants(name, waiting, in_hand, keep_s)

    return happens


def works(name: str, in_hand: int, keep_s: float | None = None) -> Callable[[Box], None]:
    """Nobody waits; its workers have so many in hand."""

    def happens(box: Box) -> None:
        box.wants(name, 0, in_hand, keep_s)

    return happens


def answered(name: str) -> Callable[[Box], None]:
    """A request has come and has been answered since the last report."""
    return asks(name, waiting=0)


def stands(name: str, phase: Phase) -> Callable[[Box], None]:
    def happens(box: Box) -> None:
        began_at = box.load_began_at.pop(name, None) if phase == "in" else None
        load_s = None if began_at is None else box.now - began_at
        box.residency.on_phase(name, phase, box.now, load_s)

    return happens


def nothing(_: Box) -> None:
    """Time has passed."""


def loaded(name: str, at: float, took_s: float = 1.0) -> list[Row]:
    """It is asked for, loaded, and has answered."""
    return [
        (at, asks(name), [f"load {name}"]),
        (at + took_s, stands(name, "in"), []),
        (at + took_s, works(name, 1), []),
        (at + took_s, works(name, 0), []),
    ]


def test_a_model_is_loaded_once_however_many_ask() -> None:
    Box(a=100).play(
        (0, nothing, []),
        (1, asks("a"), ["load a"]),
        (2, asks("a", 2), []),
        (2, stands("a", "loading"), []),
        (3, asks("a", 3), []),
        (5, stands("a", "in"), []),
        (5, works("a", 3), []),
    )


def test_who_has_left_is_not_loaded_for() -> None:
    box = Box(a=100, b=100)
    box.play((0, asks("b"), ["load b"]), (1, asks("a"), []), (2, works("a", 0), []))
    box.play((3, stands("b", "in"), []), (4, nothing, []))


def test_an_idle_model_is_unloaded_after_its_last_job_has_ended() -> None:
    Box(a=Policy(always=False, idle_s=60, need_mb=100, measured=True)).play(
        (0, asks("a"), ["load a"]),
        (10, stands("a", "in"), []),
        (10, works("a", 1), []),
        (200, nothing, []),  # a long answer
        (210, works("a", 0), []),
        (269, nothing, []),
        (270, nothing, ["unload a: idle for 60 s"]),
        (271, stands("a", "out"), []),
    )


def test_jobs_that_are_shorter_than_the_time_between_two_reports_keep_a_model() -> None:
    Box(a=Policy(always=False, idle_s=5, need_mb=100, measured=True)).play(
        *loaded("a", 0),
        (4, answered("a"), []),
        (8, answered("a"), []),
        (12, works("a", 0), []),  # a report of other models that says nothing new of this one
        (12.75, nothing, []),
        (13, nothing, ["unload a: idle for 5 s"]),
    )


def test_a_frontend_that_counts_afresh_is_no_work() -> None:
    box = Box(a=Policy(always=False, idle_s=5, need_mb=100, measured=True))
    box.play(*loaded("a", 0), (2, answered("a"), []))
    box.residency.on_frontend_gone(3.0)
    assert box.residency.terms("a", 4.0)["idle_s"] == 2.0
    box.jobs["a"] = 0
    box.play((4, answered("a"), []), (8.75, nothing, []), (9, nothing, ["unload a: idle for 5 s"]))


def test_what_a_load_took_is_what_its_worker_has_measured() -> None:
    """Where nobody looks while a worker is started, as where all models are always loaded, its
    phases are seen late."""
    box = Box(A=100)
    box.residency.on_phase("A", "loading", 3.0)
    box.residency.on_phase("A", "in", 4.0, 4.0)
    assert box.residency.terms("A", 5.0)["load_s"] == 4.0
    box.residency.on_phase("A", "in", 60.0, 6.5)  # it has died and come back between two looks
    assert box.residency.terms("A", 60.0)["load_s"] == 6.5


def test_a_model_that_nobody_asked_after_all_is_idle_from_when_it_is_in() -> None:
    Box(a=Policy(always=False, idle_s=60, need_mb=100, measured=True)).play(
        (0, asks("a"), ["load a"]),
        (1, works("a", 0), []),
        (30, stands("a", "in"), []),
        (89, nothing, []),
        (90, nothing, ["unload a: idle for 60 s"]),
    )


def test_a_request_for_a_model_that_leaves_has_it_loaded_again() -> None:
    Box(a=Policy(always=False, idle_s=60, need_mb=100, measured=True)).play(
        *loaded("a", 0),
        (61, nothing, ["unload a: idle for 60 s"]),
        (61.5, asks("a"), []),
        (62, stands("a", "out"), ["load a"]),
    )


def test_the_pinned_and_the_always_loaded_stay() -> None:
    pinned = Policy(always=False, idle_s=60, pinned=True, need_mb=100, measured=True)
    Box(a=pinned).play(*loaded("a", 0), (500, nothing, []))
    Box(A=100).play((0, stands("A", "loading"), []), (9, stands("A", "in"), []), (500, nothing, []))


def test_loads_take_turns_and_a_failed_one_holds_up_nobody() -> None:
    Box(a=100, b=100).play(
        (0, asks("a"), ["load a"]),
        (1, asks("b"), []),
        (5, stands("a", "failed"), ["load b"]),
    )


def test_whoever_has_waited_longest_is_loaded_first() -> None:
    Box(a=100, b=100, c=100).play(
        (0, asks("a"), ["load a"]),
        (1, asks("c"), []),
        (2, asks("b"), []),
        (3, stands("a", "in"), ["load c"]),
        (4, stands("c", "in"), ["load b"]),
    )


def test_a_slow_load_keeps_nobody_else_waiting_for_longer_than_a_turn() -> None:
    Box(budget_mb=100, a=100, b=100).play(
        *loaded("a", 0, took_s=25.0),
        (30, asks("b"), []),
        (30 + TURN_S - 0.25, nothing, []),
        (30 + TURN_S, nothing, ["unload a: b needs 100 MB"]),
    )


def test_the_model_whose_loss_costs_least_makes_room() -> None:
    Box(budget_mb=300, a=100, b=100, c=200).play(
        *loaded("a", 0),
        *loaded("b", 10),
        (11, asks("a"), []),  # which is asked for more often
        (11, works("a", 0), []),
        (100, asks("c"), ["unload b: c needs 200 MB"]),
        (101, nothing, []),
        (102, stands("b", "out"), ["load c"]),
    )


def test_what_was_slow_to_load_stays_longer() -> None:
    Box(budget_mb=300, a=100, b=100, c=200).play(
        *loaded("a", 0, took_s=60.0),
        *loaded("b", 70, took_s=1.0),
        (500, asks("c"), ["unload b: c needs 200 MB"]),
    )


def test_the_fewest_models_leave() -> None:
    box = Box(budget_mb=400, a=50, b=50, c=300, d=300)
    box.play(*loaded("a", 0), *loaded("b", 10), *loaded("c", 20))
    box.play((500, asks("d"), ["unload c: d needs 300 MB"]))


def test_several_leave_where_one_is_not_enough_and_none_in_vain() -> None:
    box = Box(budget_mb=300, a=40, b=100, c=100, d=220)
    box.play(*loaded("a", 0), *loaded("b", 10), *loaded("c", 20))
    needs = "d needs 220 MB"
    box.play((500, asks("d"), [f"unload b: {needs}", f"unload c: {needs}"]))


def test_a_busy_model_stays_until_its_turn_is_over_and_finishes_what_it_has() -> None:
    Box(budget_mb=100, a=100, b=100).play(
        *loaded("a", 0),
        (50, asks("a", 1, 4), []),
        (60, asks("b"), []),
        (60 + TURN_S - 0.25, asks("a", 3, 4), []),
        (60 + TURN_S, asks("a", 3, 4), ["unload a: b needs 100 MB"]),
        (120, stands("a", "out"), ["load b"]),
        (125, stands("b", "in"), []),
        (126, works("b", 0), []),  # though a waits, b stays for a while
        (125 + RESIDENCE_S, nothing, ["unload b: a needs 100 MB"]),
    )


def test_a_model_that_has_just_been_loaded_is_kept_for_whoever_it_was_loaded_for() -> None:
    Box(budget_mb=100, a=100, b=100).play(
        (0, asks("a"), ["load a"]),
        (1, asks("b"), []),
        (10, stands("a", "in"), []),
        (11, works("a", 0), []),
        (10 + RESIDENCE_S - 0.25, works("a", 1), []),
        (50, works("a", 0), ["unload a: b needs 100 MB"]),
    )


def test_a_model_for_which_there_will_be_no_room_is_refused_with_who_has_it() -> None:
    Box(budget_mb=300, A=200, b=150).play(
        (0, stands("A", "in"), []),
        (
            1,
            asks("b"),
            [
                "refuse b: model 'b' needs 150 MB and 100 MB are free within "
                "MEMORY_BUDGET_MB=300; A (200 MB) may not be unloaded"
            ],
        ),
        (2, nothing, []),  # not twice
        (3, works("b", 0), []),
        (9, nothing, []),
    )


def test_memory_that_others_on_the_box_take_counts() -> None:
    box = Box(free_mb=120, b=150)
    box.play((0, asks("b"), ["refuse b: model 'b' needs 150 MB and 120 MB are free"]))


def test_an_estimate_needs_more_room_than_a_measurement() -> None:
    guessed = Policy(always=False, need_mb=100)
    refused = ["refuse a: model 'a' needs 120 MB and 110 MB are free within MEMORY_BUDGET_MB=110"]
    Box(budget_mb=110, a=guessed).play((0, asks("a"), refused))
    Box(budget_mb=110, a=100).play((0, asks("a"), ["load a"]))


def test_what_a_load_takes_at_its_most_has_to_fit() -> None:
    steep = Policy(always=False, need_mb=100, load_mb=180, measured=True)
    refused = ["refuse a: model 'a' needs 180 MB and 150 MB are free within MEMORY_BUDGET_MB=150"]
    Box(budget_mb=150, a=steep).play((0, asks("a"), refused))


def test_nobody_waits_for_a_frontend_that_has_gone() -> None:
    box = Box(a=100, b=100)
    box.play((0, asks("a"), ["load a"]), (1, asks("b"), []))
    box.residency.on_frontend_gone(2.0)
    box.play((3, stands("a", "in"), []))


def test_a_model_that_is_not_served_any_more_is_forgotten() -> None:
    box = Box(a=100)
    box.play((0, asks("a"), ["load a"]))
    box.residency.set_policies({}, 1.0)
    box.play((2, stands("a", "in"), []))


RARE = Policy(always=False, idle_s=60, need_mb=100, measured=True)


def test_a_client_says_how_long_a_model_stays_after_its_last_job() -> None:
    Box(a=RARE).play(
        (0, asks("a", keep_s=10), ["load a"]),
        (1, stands("a", "in"), []),
        (1, works("a", 1, keep_s=10), []),
        (50, works("a", 0, keep_s=10), []),
        (59, nothing, []),
        (60, nothing, ["unload a: idle for 10 s"]),
        (61, stands("a", "out"), []),
        *loaded("a", 100),  # what was asked for before counts no more
        (111, nothing, []),
        (161, nothing, ["unload a: idle for 60 s"]),
    )


def test_a_model_may_leave_as_soon_as_it_is_done() -> None:
    Box(a=RARE).play(
        (0, asks("a", keep_s=0), ["load a"]),
        (1, stands("a", "in"), []),
        (1, works("a", 1, keep_s=0), []),
        (50, works("a", 0, keep_s=0), ["unload a: idle for 0 s"]),
    )


def test_one_that_is_kept_for_ever_makes_room_all_the_same() -> None:
    Box(budget_mb=100, a=RARE, b=100).play(
        (0, asks("a", keep_s=-1), ["load a"]),
        (1, stands("a", "in"), []),
        (1, works("a", 0, keep_s=-1), []),
        (9999, nothing, []),
        (9999, asks("b"), ["unload a: b needs 100 MB"]),
    )


def test_no_client_unloads_what_is_always_loaded_or_pinned() -> None:
    for stays in (Policy(need_mb=100, measured=True), replace(RARE, pinned=True)):
        box = Box(a=stays)
        box.play((0, stands("a", "loading"), []), (9, stands("a", "in"), []))
        box.play((10, asks("a", 0, 1, keep_s=0), []), (11, works("a", 0, keep_s=0), []))


def test_what_an_operator_says_counts_until_a_client_says_otherwise() -> None:
    box = Box(a=RARE)
    box.play((0, asks("a", keep_s=10), ["load a"]), (1, stands("a", "in"), []))
    box.play((2, works("a", 0, keep_s=10), []))
    box.residency.load("a", 100.0, lambda _: box.room, 3.0)
    box.play(
        (4, works("a", 0, keep_s=10), []),  # nothing new
        (50, nothing, []),
        (60, asks("a", 0, 1, keep_s=10), []),
        (61, works("a", 0, keep_s=10), []),
        (71, nothing, ["unload a: idle for 10 s"]),
    )


def test_a_model_that_an_operator_loads_while_it_leaves_comes_back() -> None:
    box = Box(budget_mb=110, a=100)
    box.play(*loaded("a", 0), (2, works("a", 0), []))
    box.residency.unload("a", 3.0, force=True)
    box.play((3, stands("a", "leaving"), []))
    box.residency.load("a", None, lambda _: box.room, 4.0)
    box.play((5, nothing, []), (6, stands("a", "out"), ["load a"]))


# --- what operators have said beforehand ---


def test_what_only_an_operator_loads_is_loaded_for_nobody_else() -> None:
    box = Box(a=Policy(always=False, never=True, need_mb=100, measured=True))
    box.play((0, asks("a"), []), (1, works("a", 0), []))
    box.residency.load("a", None, lambda _: box.room, 2.0)
    box.play((2, nothing, ["load a"]), (3, stands("a", "in"), []), (9999, nothing, []))


def test_those_of_lower_priority_leave_first_whatever_they_are_worth() -> None:
    low, high = replace(RARE, priority=-1, idle_s=0), replace(RARE, priority=1, idle_s=0)
    box = Box(budget_mb=300, a=low, b=replace(RARE, idle_s=0), c=high, d=100)
    box.play(*loaded("c", 0), *loaded("b", 10), *loaded("a", 20))
    box.play((30, asks("a"), []), (31, works("a", 0), []))
    box.play((500, asks("d"), ["unload a: d needs 100 MB"]))


def test_two_of_low_priority_leave_before_one_that_matters_more() -> None:
    low, high = replace(RARE, priority=-1, idle_s=0), replace(RARE, need_mb=200, idle_s=0)
    box = Box(budget_mb=400, a=low, b=low, c=high, d=200)
    box.play(*loaded("a", 0), *loaded("b", 10), *loaded("c", 20))
    needs = "d needs 200 MB"
    box.play((500, asks("d"), [f"unload a: {needs}", f"unload b: {needs}"]))


def test_rivals_are_never_in_memory_together() -> None:
    groups = Groups(never_together=[["a", "b"]])
    Box(groups=groups, a=100, b=100).play(
        *loaded("a", 0),
        (10, asks("b"), []),  # a was only just loaded
        (31, nothing, ["unload a: b is never beside it"]),
        (32, nothing, []),
        (33, stands("a", "out"), ["load b"]),
    )


def test_a_rival_that_stays_is_why_a_model_is_not_loaded() -> None:
    groups = Groups(never_together=[["A", "b"]])
    box = Box(groups=groups, A=100, b=100)
    box.play((0, stands("A", "loading"), []), (1, stands("A", "in"), []))
    why = "model 'b' is never loaded beside A, which stays"
    box.play((2, asks("b"), [f"refuse b: {why}"]))
    with pytest.raises(ModelPinned, match="never loaded beside A"):
        box.residency.load("b", None, lambda _: box.room, 3.0)


def test_companions_are_loaded_together_where_there_is_room_and_leave_together() -> None:
    groups = Groups(keep_together=[["a", "b", "c"]])
    Box(budget_mb=250, groups=groups, a=RARE, b=RARE, c=RARE, d=50).play(
        (0, asks("a"), ["load a"]),
        (1, stands("a", "in"), ["load b"]),
        (2, stands("b", "in"), []),  # nobody leaves for c
        (3, works("a", 0), []),
        (40, asks("b", 0, 1), []),
        (63, nothing, []),  # a is not needed less than b
        (70, works("b", 0), []),
        (130, nothing, ["unload a: idle for 60 s", "unload b: idle for 60 s"]),
    )


def test_what_was_in_memory_before_comes_back_where_there_is_room() -> None:
    box = Box(budget_mb=300, a=RARE, b=replace(RARE, priority=1), c=RARE, D=100)
    box.residency.invite(["a", "b", "c", "gone"])
    box.play(
        (0, stands("D", "loading"), []),
        (1, stands("D", "in"), ["load b"]),
        (2, stands("b", "in"), ["load a"]),
        (3, stands("a", "in"), []),  # there is no room for c
        (70, nothing, ["unload a: idle for 67 s", "unload b: idle for 68 s"]),
        (71, stands("b", "out"), []),
    )


# --- memory that is not there ---


def test_a_load_that_lacks_memory_has_more_room_made_for_it_once() -> None:
    box = Box(budget_mb=260, a=100, b=150)
    box.play(*loaded("b", 0), (100, asks("a"), ["load a"]))
    lacked = box.residency.on_lacked_memory("a", 120.0, 101.0)
    assert [words(one) for one in lacked] == ["unload a: it lacked memory while it was loaded"]
    box.play(
        (101, nothing, []),
        (102, stands("a", "out"), ["unload b: a needs 144 MB"]),
        (103, stands("b", "out"), ["load a"]),
        (104, stands("a", "in"), []),
    )


def test_one_that_lacks_memory_twice_is_refused_with_the_numbers() -> None:
    box = Box(budget_mb=1000, a=100)
    box.play((0, asks("a"), ["load a"]))
    box.residency.on_lacked_memory("a", 120.0, 1.0)
    box.play((2, stands("a", "out"), ["load a"]))
    gone, refused = box.residency.on_lacked_memory("a", 150.0, 3.0)
    assert words(gone) == "unload a: it lacked memory while it was loaded"
    assert words(refused) == (
        "refuse a: model 'a' was loaded twice and lacked memory both times; it held 150 MB and "
        "would be given 180 MB next"
    )
    box.play((4, stands("a", "out"), []), (302, nothing, []), (303, nothing, ["load a"]))


def test_memory_of_a_gpu_is_waited_for_before_more_models_leave() -> None:
    on_gpu = Policy(always=False, need_mb=100, measured=True, device="cuda:0")
    box = Box(free_mb=100.0, a=on_gpu, b=on_gpu, c=on_gpu)
    box.play(*loaded("a", 0), *loaded("b", 10))
    box.room = Room(free_mb=10.0)
    box.play(
        (100, asks("c"), ["unload a: c needs 100 MB"]),
        (101, stands("a", "out"), []),  # free is what it was
        (105, nothing, []),
    )
    box.room = Room(free_mb=105.0)
    box.play((105.5, nothing, ["load c"]), (140, nothing, []))


def test_nothing_is_loaded_on_hope_and_memory_that_stays_away_is_told_of() -> None:
    on_gpu = Policy(always=False, need_mb=100, measured=True, device="cuda:0")
    box = Box(free_mb=100.0, a=on_gpu, c=on_gpu)
    box.play(*loaded("a", 0))
    box.room = Room(free_mb=10.0)
    box.play(
        (100, asks("c"), ["unload a: c needs 100 MB"]),
        (101, stands("a", "out"), []),
        (106, nothing, ["refuse c: model 'c' needs 100 MB and 10 MB are free on cuda:0"]),
        (107, works("c", 0), []),
        (131, nothing, ["leaked a: 50 MB of cuda:0"]),
        (999, nothing, []),
    )


def test_a_crash_leaves_nothing_to_wait_for_where_there_is_enough() -> None:
    on_gpu = Policy(always=False, need_mb=100, measured=True, device="cuda:0")
    box = Box(free_mb=150.0, a=on_gpu, c=on_gpu)
    box.play(*loaded("a", 0), (100, stands("a", "failed"), []), (100, asks("c"), ["load c"]))


def test_loads_on_one_device_do_not_wait_for_those_on_another() -> None:
    on_gpu = Policy(always=False, need_mb=100, measured=True, device="cuda:0")
    box = Box(a=100, b=on_gpu, c=on_gpu)
    box.play((0, asks("a"), ["load a"]), (1, asks("b"), ["load b"]), (2, asks("c"), []))


def extras(name: str, count: int, leaving_mb: int = 0) -> Callable[[Box], None]:
    """It has so many workers over its least, of 100 MB each; others that leave hold so much."""

    def happens(box: Box) -> None:
        box.residency.on_extras(name, count, 100)
        box.residency.on_beside(name, leaving_mb, leaving_mb)

    return happens


def test_workers_over_the_least_are_the_first_to_make_way_and_no_more_than_it_takes() -> None:
    Box(budget_mb=500, A=100, b=100, c=150).play(
        (0, stands("A", "in"), []),
        *loaded("b", 1),
        (3, extras("A", 3), []),  # busy or not: a model without a worker is worth more
        (100, asks("c"), ["2 of A for c"]),
        (101, nothing, []),
        (102, extras("A", 1), ["load c"]),
    )


def test_of_low_priority_first_and_a_model_leaves_only_for_what_is_missing_beyond() -> None:
    low = Policy(always=True, need_mb=100, measured=True, priority=-1)
    Box(budget_mb=600, A=100, low=low, b=100, c=500).play(
        (0, stands("A", "in"), []),
        *loaded("b", 1),
        (2, extras("A", 1), []),
        (2, stands("low", "in"), []),
        (2, extras("low", 1), []),
        (
            100,
            asks("c"),
            [
                "refuse c: model 'c' needs 500 MB and 100 MB are free within MEMORY_BUDGET_MB=600; "
                "A (200 MB), low (200 MB) may not be unloaded",
            ],
        ),
    )
    Box(budget_mb=600, A=100, low=low, b=100, c=400).play(
        (0, stands("A", "in"), []),
        *loaded("b", 1),
        (2, extras("A", 1), []),
        (2, stands("low", "in"), []),
        (2, extras("low", 1), []),
        (100, asks("c"), ["1 of low for c", "1 of A for c", "unload b: c needs 400 MB"]),
    )
    Box(budget_mb=600, A=100, low=low, b=100, c=200).play(
        (0, stands("A", "in"), []),
        *loaded("b", 1),
        (2, extras("A", 1), []),
        (2, stands("low", "in"), []),
        (2, extras("low", 1), []),
        (100, asks("c"), ["1 of low for c"]),
    )


def test_what_leaves_by_itself_is_waited_for() -> None:
    Box(budget_mb=300, A=100, b=100, c=100).play(
        (0, stands("A", "in"), []),
        *loaded("b", 1),
        (2, extras("A", 0, leaving_mb=100), []),
        (100, asks("c"), []),
        (101, extras("A", 0), ["load c"]),
    )


def test_one_more_worker_has_room_where_nobody_leaves_or_waits_for_it() -> None:
    box = Box(budget_mb=450, A=100, b=100, c=300)

    def lacks(extra_mb: int = 100) -> str:
        return box.residency.lacks_for_another("A", extra_mb, lambda _: box.room)

    assert lacks() == ""
    assert lacks(0) == "nobody knows what it would hold"
    assert lacks(500) == "it would hold 500 MB and 450 MB are free"
    box.play((0, stands("A", "in"), []), *loaded("b", 1), (3, extras("A", 2), []))
    assert lacks() == "it would hold 100 MB and 50 MB are free"
    box.play((4, extras("A", 0), []), (5, asks("c"), []))
    assert lacks() == "c comes first"
