"""What the dispatcher's clock costs: by the models that have something open, not by all."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from tests.unit.frontend.dispatch.history import SPEC, History
from tests.unit.operations import operations

FEW, MANY = 10, 1000


def history(models: int) -> History:
    """Of so many models ``m`` has a request in hand."""
    made = History()
    others = (msgspec.structs.replace(SPEC, name=f"m{number}") for number in range(models - 1))
    made.serve(SPEC, *others)
    made.start("w.1")
    made.open("w.1")
    made.ask("a")
    made.dispatcher.tick()
    return made


def whether_it_is_at_rest(models: int) -> int:
    made = history(models)
    return operations(lambda: made.dispatcher.at_rest)


def a_tick(models: int) -> int:
    return operations(history(models).dispatcher.tick)


@pytest.mark.parametrize(("turn", "each"), [(whether_it_is_at_rest, 0), (a_tick, 40)])
def test_a_model_without_a_request_costs_next_to_nothing(
    turn: Callable[[int], int], each: int
) -> None:
    """A tick asks each whether what clients want of it has changed: some 30 steps, and 400 where
    it has to be made anew."""
    assert turn(MANY) - turn(FEW) <= each * (MANY - FEW)
