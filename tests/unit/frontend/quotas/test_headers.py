"""What is left, in headers that SDKs read."""

from __future__ import annotations

import pytest

from frontend.quotas.allowance import Allowances
from frontend.quotas.headers import anthropic, duration, openai
from ipc.messages.keys import ApiKey, KeyLimits

LIMITS = KeyLimits(requests_per_min=60, tokens_per_day=1000)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        *((0, "0s"), (0.12, "120ms"), (1, "1s"), (8.64, "8.64s"), (60, "1m0s"), (360, "6m0s")),
        *((3600, "1h0m0s"), (43_201.5, "12h0m1.5s")),
    ],
)
def test_a_time_is_told_as_openai_does(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_headers_tell_what_is_limited() -> None:
    keys = {"ann": ApiKey(digest="", limits=LIMITS), "bob": ApiKey(digest="")}
    allowances = Allowances(keys, lambda: 5.0, lambda: 43_200.0)
    ann, bob = allowances.of("ann"), allowances.of("bob")
    assert ann is not None
    assert bob is not None
    ann.begin()
    ann.reserve(10, 90)
    told = {name.decode(): value.decode() for name, value in openai(ann)}
    assert told == {
        "x-ratelimit-limit-requests": "60",
        "x-ratelimit-remaining-requests": "59",
        "x-ratelimit-reset-requests": "1s",
        "x-ratelimit-limit-tokens": "1000",
        "x-ratelimit-remaining-tokens": "900",
        "x-ratelimit-reset-tokens": "12h0m0s",
    }
    names = {name.decode(): value.decode() for name, value in anthropic(ann)}
    assert names["anthropic-ratelimit-requests-remaining"] == "59"
    assert names["anthropic-ratelimit-tokens-limit"] == "1000"
    assert names["anthropic-ratelimit-tokens-reset"].endswith("Z")
    assert openai(bob) == anthropic(bob) == []


def test_a_request_that_nobody_could_count_counts_its_prompt() -> None:
    allowances = Allowances({"ann": ApiKey(digest="", limits=LIMITS)}, lambda: 5.0, lambda: 0.0)
    first, then = allowances.of("ann"), allowances.of("ann")
    assert first is not None
    assert then is not None
    first.reserve(10, 90)
    first.end(None)
    left = then.day_left()
    assert left is not None
    assert left.remaining == 990
