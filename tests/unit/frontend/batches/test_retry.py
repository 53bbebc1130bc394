"""Which answers come again, and when."""

from __future__ import annotations

import orjson
import pytest

from frontend.batches.retry import Outcome, wait_s
from ipc.messages.errors import BY_CODE, GaveWay


def outcome(code: str) -> Outcome:
    error = BY_CODE[code]("no")
    return Outcome(error.status, "req_1", orjson.dumps(error.body()))


@pytest.mark.parametrize(
    "code", ["rate_limit_exceeded", "worker_crashed", "model_loading", "circuit_open", "gave_way"]
)
def test_what_passes_is_no_answer(code: str) -> None:
    assert outcome(code).passes
    assert outcome(code).gave_way == (code == GaveWay.code)


@pytest.mark.parametrize(
    "code", ["invalid_value", "poison_request", "internal_error", "deadline_exceeded"]
)
def test_what_would_be_the_same_again_is_the_answer(code: str) -> None:
    assert not outcome(code).passes
    assert not outcome(code).ok


def test_a_proxy_that_says_503_in_its_own_words_passes() -> None:
    assert Outcome(503, "req_1", b"<html>").passes
    assert not Outcome(503, "req_1", b"<html>").gave_way


def test_waits_double_up_to_a_minute_and_are_spread() -> None:
    assert [wait_s(tries, 0.5) for tries in (1, 2, 3, 7, 1000)] == [1.0, 2.0, 4.0, 60.0, 60.0]
    assert [wait_s(1, 0.0), wait_s(1, 1.0)] == pytest.approx([0.8, 1.2])
