"""What went wrong in servers that load models on demand, and must not here.

Where a fault is another test's already, it is named here:

- a request races with an unload, and the model is dead for ever: `test_any_history`
- evicted between ready and its first request:
  `test_decisions.test_a_model_that_has_just_been_loaded_is_kept_for_whoever_it_was_loaded_for`
- loaded twice: `test_decisions.test_a_model_is_loaded_once_however_many_ask`
- two clients have their models change places each time:
  `test_decisions.test_a_busy_model_stays_until_its_turn_is_over_and_finishes_what_it_has`
- GPU memory that does not come back:
  `test_decisions.test_nothing_is_loaded_on_hope_and_memory_that_stays_away_is_told_of`
- memory waited for that a crash had given back already:
  `test_decisions.test_a_crash_leaves_nothing_to_wait_for_where_there_is_enough`
- a failed load holds up all others:
  `test_decisions.test_loads_take_turns_and_a_failed_one_holds_up_nobody`
- as many models as were allowed, and more than there was memory for:
  `test_decisions.test_what_a_load_takes_at_its_most_has_to_fit`
- nothing but a status while models change places: `frontend.dispatch.test_on_demand`
- ready while it still loads: `frontend.test_app`
"""

from __future__ import annotations

from dataclasses import replace

from tests.unit.supervisor.residency.test_decisions import (
    RARE,
    Box,
    asks,
    loaded,
    nothing,
    stands,
    works,
)


def test_a_model_on_its_way_in_is_nobodys_victim() -> None:
    Box(budget_mb=100, a=100, b=100).play(
        (0, asks("a"), ["load a"]),
        (1, works("a", 0), []),  # nobody waits for it any more
        (1, asks("b"), []),
        (60, nothing, []),  # however long that takes
        (61, stands("a", "in"), []),
    )


def test_one_that_will_not_leave_holds_up_nobody_for_whom_there_is_room() -> None:
    Box(budget_mb=300, a=200, b=200, c=100).play(
        *loaded("a", 0),
        (100, asks("b"), ["unload a: b needs 200 MB"]),
        (101, works("b", 0), []),  # who has left by now
        (101, asks("c"), ["load c"]),
    )


def test_who_waits_for_a_model_waits_on_when_it_is_configured_anew() -> None:
    box = Box(a=RARE, b=RARE)
    box.play((0, asks("a"), ["load a"]), (1, asks("b"), []))
    box.residency.set_policies({"a": RARE, "b": replace(RARE, idle_s=5)}, 2.0)
    box.play((3, stands("a", "in"), ["load b"]))
