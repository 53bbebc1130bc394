"""Calls and results of a history reach every model, in its template's words or as text."""

from __future__ import annotations

from worker.chat.history import PROBE, calls_as_text, has_calls, shows_calls

CALL = {"id": "c", "type": "function", "function": {"name": "weather", "arguments": {"in": "Köln"}}}


def call(content: str = "") -> dict[str, object]:
    return {"role": "assistant", "content": content, "tool_calls": [CALL]}


def result(content: str, name: str | None = "weather") -> dict[str, object]:
    return {"role": "tool", "content": content, "tool_call_id": "c", "name": name}


def test_a_history_without_calls_is_left_as_it_is() -> None:
    turns = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "yes"}]
    assert not has_calls(turns)
    assert calls_as_text(turns) == turns


def test_a_call_and_its_result_become_text() -> None:
    turns = [{"role": "user", "content": "hi"}, call(), result("18 degrees")]
    assert has_calls(turns)
    assert calls_as_text(turns) == [
        {"role": "user", "content": "hi"},
        {
            "role": "assistant",
            "content": '{"tool_calls": [{"name": "weather", "arguments": {"in": "Köln"}}]}',
        },
        {
            "role": "user",
            "content": '{"tool_response": {"name": "weather", "content": "18 degrees"}}',
        },
    ]


def test_text_before_a_call_stays_before_it() -> None:
    (turn,) = calls_as_text([call("One moment.")])
    assert turn["content"].startswith('One moment.\n{"tool_calls"')


def test_results_and_what_the_user_says_next_are_one_turn() -> None:
    turns = [call(), result("a"), result("b", None), {"role": "user", "content": "and now?"}]
    assert [turn["role"] for turn in calls_as_text(turns)] == ["assistant", "user"]
    assert calls_as_text(turns)[1]["content"].splitlines() == [
        '{"tool_response": {"name": "weather", "content": "a"}}',
        '{"tool_response": {"content": "b"}}',
        "and now?",
    ]
    again = [*turns, {"role": "user", "content": "well?"}]
    assert [turn["role"] for turn in calls_as_text(again)] == ["assistant", "user", "user"]


def test_a_template_shows_calls_if_none_of_them_is_lost() -> None:
    assert shows_calls(str(PROBE))
    assert not shows_calls(str([turn for turn in PROBE if turn["role"] == "tool"]))
    assert not shows_calls(str([turn | {"content": ""} for turn in PROBE]))
