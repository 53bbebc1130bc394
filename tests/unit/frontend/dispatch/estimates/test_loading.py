"""When a model should be loaded, by what its last load took."""

from __future__ import annotations

from typing import Any

from frontend.dispatch.estimates.loading import load_left_s
from ipc.messages.state import ModelPhase, ModelState


def left(state: ModelPhase, **known: Any) -> float | None:
    return load_left_s(ModelState(name="m", routes=[], state=state, **known), now=100.0)


def test_a_load_takes_as_long_as_the_last_one() -> None:
    assert left("unloaded", load_s=8.0) == 8.0
    assert left("starting", load_s=8.0, load_began_at=95.0) == 3.0


def test_one_that_is_over_time_may_take_half_of_that_again() -> None:
    assert left("starting", load_s=8.0, load_began_at=92.0) == 0.8
    assert left("starting", load_s=8.0, load_began_at=50.0) == 21.0


def test_one_that_has_failed_begins_again_first() -> None:
    assert left("backoff", load_s=8.0, retry_after_s=4.0) == 12.0


def test_of_one_that_was_never_measured_nobody_knows() -> None:
    assert left("unloaded") is None
    assert left("starting", load_began_at=99.0) is None


def test_a_ready_model_that_is_about_to_be_connected_is_there() -> None:
    assert left("ready") == 0.0
