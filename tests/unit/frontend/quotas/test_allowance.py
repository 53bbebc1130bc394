"""What is counted of a name, whoever has it."""

from __future__ import annotations

import pytest

from frontend.quotas.allowance import Allowances
from ipc.messages.errors import InvalidApiKey
from ipc.messages.keys import ApiKey, KeyLimits

NOON = 43_200.0
KEY = ApiKey(digest="", limits=KeyLimits(tokens_per_day=1000))
ANN = {"ann": ApiKey(digest="")}
BOTH = {**ANN, "bob": KEY}


class Clock:
    wall_s = NOON

    def __call__(self) -> float:
        return self.wall_s


def left_of(allowances: Allowances, name: str) -> int:
    allowance = allowances.of(name)
    assert allowance is not None
    left = allowance.day_left()
    assert left is not None
    return left.remaining


def test_a_name_has_one_day_whichever_key_has_it_and_whenever_the_server_starts() -> None:
    allowances = Allowances(BOTH, lambda: 0.0, Clock())
    first = allowances.of("bob")
    assert first is not None
    first.begin()
    first.reserve(100, 500)
    allowances.know(ANN)
    allowances.know(BOTH)
    assert left_of(allowances, "bob") == 400
    first.end(300)  # what the key before had in hand
    assert left_of(allowances, "bob") == 700
    again = Allowances(BOTH, lambda: 0.0, Clock())
    again.has_had({"bob": 300})
    assert left_of(again, "bob") == 700


def test_a_key_that_comes_after_the_start_has_what_its_name_has_left() -> None:
    allowances = Allowances(ANN, lambda: 0.0, Clock())
    allowances.has_had({"bob": 300, "": 5})
    allowances.know(BOTH)
    assert left_of(allowances, "bob") == 700


def test_a_name_without_a_key_is_forgotten_with_its_day() -> None:
    clock = Clock()
    allowances = Allowances(BOTH, lambda: 0.0, clock)
    allowances.has_had({"bob": 300})
    allowances.know(ANN)
    clock.wall_s += 86_400
    allowances.know(ANN)
    assert allowances._gone == {}


def test_a_line_of_a_batch_whose_key_is_gone_is_refused() -> None:
    allowances = Allowances(ANN, lambda: 0.0, Clock())
    with pytest.raises(InvalidApiKey, match="'bob' is not one of this server's any more"):
        allowances.of("bob", in_background=True)
    assert allowances.of(None) is None
