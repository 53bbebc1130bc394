"""How llama.cpp is asked to pick tokens."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from ipc.messages.jobs import Sampling
from worker.chat.prompt import Prompt
from worker.chat.token_engine import TokenRequest
from worker.engines.llama_cpp.request import request_body


def body(**sampling: Any) -> dict[str, Any]:
    request = TokenRequest("r", Prompt([1, 2]), Sampling(max_tokens=8, **sampling), limit=8)
    decoded: dict[str, Any] = msgspec.json.decode(
        request_body(request, 100, prefix_caching=True), type=dict[str, Any]
    )
    return decoded


def test_the_likeliest_token_is_picked_by_one_look_at_the_vocabulary() -> None:
    asked = body(temperature=0.0, top_p=0.5, top_k=40)
    assert (asked["samplers"], asked["top_k"]) == (["penalties", "top_k"], 1)
    assert not asked.keys() & {"temperature", "top_p", "min_p"}


@pytest.mark.parametrize("penalty", ["presence_penalty", "frequency_penalty"])
def test_penalties_come_before_it(penalty: str) -> None:
    asked = body(temperature=0.0, **{penalty: 0.5})
    assert (asked["samplers"][0], asked[penalty]) == ("penalties", 0.5)


def test_a_nucleus_is_that_of_the_temperature() -> None:
    asked = body(temperature=0.7, top_p=0.9, top_k=40, min_p=0.05)
    assert asked["samplers"] == ["penalties", "top_k", "temperature", "top_p", "min_p"]
    said = [asked[name] for name in ("temperature", "top_k", "top_p", "min_p")]
    assert said == [0.7, 40, 0.9, 0.05]
