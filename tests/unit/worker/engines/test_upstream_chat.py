"""What an upstream is asked for a chat: everything that was asked for, and nothing that was not."""

from __future__ import annotations

import pytest

from ipc.messages.errors import UnsupportedParameter
from ipc.messages.jobs import ChatInput, Message, Sampling, ToolCall
from worker.engines.upstream.chat import SKIPPED_BY, chat_body, check_asked

HI = [Message("user", "hi")]


def test_nothing_but_the_usual_is_sent_where_nothing_else_is_asked_for() -> None:
    body = chat_body(ChatInput(messages=HI, sampling=Sampling(max_tokens=9)), "m")
    assert body == {
        "model": "m",
        "messages": [{"role": "user", "content": "hi"}],
        "max_tokens": 9,
        "temperature": 1.0,
        "top_p": 1.0,
        "stream": True,
        "stream_options": {"include_usage": True},
    }


def test_all_that_is_asked_for_is_passed_on() -> None:
    asked = {
        "top_k": 40,
        "min_p": 0.05,
        "stop": ["."],
        "stop_token_ids": [2],
        "ignore_eos": True,
        "min_tokens": 3,
        "seed": 0,
        "presence_penalty": 0.5,
        "frequency_penalty": -0.5,
    }
    sampling = Sampling(max_tokens=9, repetition_penalty=1.1, **asked)  # type: ignore[arg-type]
    body = chat_body(ChatInput(messages=HI, sampling=sampling), "m")
    assert asked.items() <= body.items()
    assert (body["repetition_penalty"], body["repeat_penalty"]) == (1.1, 1.1)
    assert body["repeat_last_n"] > 100_000  # penalties are over all tokens here


def test_a_history_of_calls_is_passed_on() -> None:
    call = ToolCall(id="c1", name="f", arguments='{"a": 1}')
    messages = [
        Message("user", "hi", name="ann"),
        Message("assistant", "", tool_calls=[call]),
        Message("tool", "4", tool_call_id="c1", name="f"),
    ]
    body = chat_body(ChatInput(messages=messages, sampling=Sampling(max_tokens=9)), "m")
    function = {"name": "f", "arguments": '{"a": 1}'}
    assert body["messages"] == [
        {"role": "user", "content": "hi", "name": "ann"},
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [{"id": "c1", "type": "function", "function": function}],
        },
        {"role": "tool", "content": "4", "tool_call_id": "c1", "name": "f"},
    ]


ASKING = {
    "top_k": 5,
    "min_p": 0.1,
    "repetition_penalty": 1.1,
    "ignore_eos": True,
    "min_tokens": 1,
    "stop_token_ids": [2],
}


@pytest.mark.parametrize("owned_by", SKIPPED_BY)
@pytest.mark.parametrize("name", ASKING)
def test_what_a_server_is_known_to_skip_is_refused_by_name(owned_by: str, name: str) -> None:
    sampling = Sampling(max_tokens=9, **{name: ASKING[name]})  # type: ignore[arg-type]
    check_asked(sampling, "vllm")
    if name not in SKIPPED_BY[owned_by]:
        check_asked(sampling, owned_by)
        return
    with pytest.raises(UnsupportedParameter) as refused:
        check_asked(sampling, owned_by)
    assert refused.value.param == name
