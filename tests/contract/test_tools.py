"""Calls on real engines: who must call a tool does, and with what its schema demands."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ipc.messages.events import CallArguments, CallOpened, ChatResult
from ipc.messages.jobs import ChatInput, Job, Json, Message, Sampling, Tool, ToolCall
from tests.contract.driver import Driver, job
from tests.contract.subjects import CHAT_MODELS, Bench

# The engines that make their answers here, by a model that has no calls of its own.
MODELS = [one for one in CHAT_MODELS if one.engine in ("torch", "openvino", "llama.cpp")]
pytestmark = pytest.mark.model
MAX_TOKENS = 120

WEATHER = Tool(
    name="get_weather",
    description="The weather of a city.",
    parameters=json.dumps(
        {
            "type": "object",
            "properties": {
                "city": {"type": "string", "enum": ["Paris", "Köln"]},
                "days": {"type": "integer", "minimum": 1, "maximum": 9},
            },
            "required": ["city", "days"],
            "additionalProperties": False,
        }
    ),
    strict=True,
)
CLOCK = Tool(name="clock")
QUESTION = Message("user", "How will the weather be in Paris on the next 3 days?")


def asking(*messages: Message, max_tokens: int = MAX_TOKENS, **asked: Any) -> Job:
    sampling = Sampling(max_tokens=max_tokens, temperature=0.0)
    return job(ChatInput(messages=list(messages) or [QUESTION], sampling=sampling, **asked))


def calls(driver: Driver, one: Job) -> list[tuple[str, str]]:
    """The calls of ``one``, by name and with all of their arguments."""
    made: list[tuple[str, str]] = []
    for event in driver.of(one):
        if isinstance(event, CallOpened):
            made.append((event.name, ""))
        elif isinstance(event, CallArguments):
            name, before = made[event.index]
            made[event.index] = (name, before + event.text)
    return made


def finish(driver: Driver, one: Job) -> str:
    result = driver.result(one)
    assert isinstance(result, ChatResult)
    return result.finish


def test_a_tool_that_must_be_called_is(driver: Driver) -> None:
    one = asking(tools=[WEATHER], must_call=True, parallel_calls=False)
    driver.run(one)
    ((name, arguments),) = calls(driver, one)
    given = json.loads(arguments)
    assert name == "get_weather"
    assert given.keys() == {"city", "days"}
    assert given["city"] in ("Paris", "Köln")
    assert 1 <= given["days"] <= 9
    assert finish(driver, one) == "tool_calls"
    assert driver.text(one) == ""


def test_a_call_may_be_one_of_several_tools(driver: Driver) -> None:
    one = asking(tools=[CLOCK, WEATHER], must_call=True, parallel_calls=False)
    driver.run(one)
    ((name, arguments),) = calls(driver, one)
    assert name in ("clock", "get_weather")
    json.loads(arguments)


def test_a_call_that_is_cut_off_stays_as_it_was_written(driver: Driver) -> None:
    whole = asking(tools=[WEATHER], must_call=True, parallel_calls=False)
    driver.run(whole)
    ((_, all_of_it),) = calls(driver, whole)
    result = driver.result(whole)
    assert isinstance(result, ChatResult)
    cut = asking(
        tools=[WEATHER],
        must_call=True,
        parallel_calls=False,
        max_tokens=result.usage.completion_tokens - 6,
    )
    driver.run(cut)
    assert finish(driver, cut) == "length"
    for name, arguments in calls(driver, cut):
        assert name == "get_weather"
        assert all_of_it.startswith(arguments)
    assert driver.text(cut) == ""


def test_a_model_without_calls_of_its_own_answers_in_words(driver: Driver) -> None:
    one = asking(tools=[WEATHER], max_tokens=12)
    driver.run(one)
    assert calls(driver, one) == []
    assert driver.text(one)


def test_a_form_holds_beside_tools_that_it_need_not_call(driver: Driver) -> None:
    form = Json(schema='{"type": "object", "properties": {"ok": {"type": "boolean"}}}')
    one = asking(tools=[WEATHER], form=form)
    driver.run(one)
    assert calls(driver, one) == []
    assert isinstance(json.loads(driver.text(one)), dict)


def test_a_result_goes_into_the_next_answer(driver: Driver) -> None:
    call = ToolCall(id="call_1", name="get_weather", arguments='{"city": "Paris", "days": 3}')
    one = asking(
        QUESTION,
        Message("assistant", "", tool_calls=[call]),
        Message("tool", "Rain and 8 degrees.", tool_call_id="call_1"),
        tools=[WEATHER],
        max_tokens=12,
    )
    driver.run(one)
    assert driver.text(one)


def test_who_has_no_calls_of_its_own_does_not_claim_them(bench: Bench) -> None:
    assert not bench.loaded.tools
    assert not bench.loaded.reasoning
