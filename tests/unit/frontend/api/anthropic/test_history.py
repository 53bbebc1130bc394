"""Conversations in Anthropic's words, and the turns of a chat that they are."""

from __future__ import annotations

from typing import Any

import pytest

from frontend.api.anthropic.history import History
from frontend.api.anthropic.request import PromptRequest
from frontend.api.validate import check

PIXEL = {"type": "base64", "media_type": "image/png", "data": "iVBORw=="}
FETCH = {"type": "url", "url": "https://example.com/a.png"}
CALL = {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Köln"}}
BILLING = "x-anthropic-billing-header: cc_version=2.1.332; cch=0f1e2;"


def history(*messages: dict[str, Any], **more: Any) -> History:
    return History(check(PromptRequest, {"model": "m", "messages": list(messages), **more}))


def text(said: str, **more: Any) -> dict[str, Any]:
    return {"type": "text", "text": said, **more}


def user(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


def assistant(content: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": content}


def result(content: Any, **more: Any) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": "toolu_1", "content": content, **more}


HI = {"role": "user", "content": [text("hi")]}
MADE = {
    "role": "assistant",
    "content": [],
    "tool_calls": [
        {
            "id": "toolu_1",
            "type": "function",
            "function": {"name": "weather", "arguments": {"city": "Köln"}},
        }
    ],
}


def answered(said: str) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": "toolu_1", "content": said}


@pytest.mark.parametrize(
    ("messages", "turns"),
    [
        ([user("hi")], [HI]),
        ([user([text("hi")])], [HI]),
        ([user([text("a"), text(""), text("b")])], [user([text("a"), text("b")])]),
        ([user("a"), user([text("b")])], [user([text("a"), text("b")])]),
        ([user("")], [user([])]),
        (
            [user("hi"), assistant([text("Yes", citations=None)]), user("so?")],
            [HI, assistant([text("Yes")]), user([text("so?")])],
        ),
        (
            [user("hi"), assistant([CALL]), user([result("12 degrees")])],
            [HI, MADE, answered("12 degrees")],
        ),
        (
            [user("hi"), assistant([CALL]), user([result([text("12"), text("degrees")])])],
            [HI, MADE, answered("12\ndegrees")],
        ),
        (
            [user("hi"), assistant([CALL]), user([result("no city", is_error=True)])],
            [HI, MADE, answered("Error: no city")],
        ),
        (
            [
                user("hi"),
                assistant([CALL]),
                user([{"type": "tool_result", "tool_use_id": "toolu_1"}]),
            ],
            [HI, MADE, answered("")],
        ),
        (
            [user("hi"), assistant([CALL]), user([text("go on"), result("12")])],
            [HI, MADE, answered("12"), user([text("go on")])],
        ),
        (
            [user([result([{"type": "tool_reference", "tool_name": "clock"}])])],
            [answered("clock")],
        ),
        (
            [user("hi"), assistant([text("One moment.")]), assistant([CALL])],
            [HI, MADE | {"content": [text("One moment.")]}],
        ),
        (
            [
                user("hi"),
                assistant(
                    [
                        {"type": "thinking", "thinking": "Hm.", "signature": "EqQB"},
                        {"type": "redacted_thinking", "data": "x"},
                        {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}},
                        {"type": "web_search_tool_result", "tool_use_id": "s", "content": []},
                        text("Yes"),
                    ]
                ),
                user("so?"),
            ],
            [HI, assistant([text("Yes")]) | {"reasoning_content": "Hm."}, user([text("so?")])],
        ),
    ],
)
def test_messages_are_turns(messages: list[dict[str, Any]], turns: list[dict[str, Any]]) -> None:
    assert history(*messages).turns == turns


@pytest.mark.parametrize(
    ("system", "said"),
    [
        ("Be kind.", "Be kind."),
        ([text("Be kind."), text("Be brief.")], "Be kind.\nBe brief."),
        ([text(BILLING), text("Be kind.", cache_control={"type": "ephemeral"})], "Be kind."),
        (f"{BILLING}\nBe kind.", "Be kind."),
        ([text(BILLING)], None),
        ([text("")], None),
        ("", None),
        ([], None),
        (None, None),
    ],
)
def test_instructions_are_the_first_turn(system: Any, said: str | None) -> None:
    first = [] if said is None else [{"role": "system", "content": said}]
    assert history(user("hi"), system=system).turns == [*first, HI]


def test_instructions_among_the_messages_stay_where_they_are() -> None:
    late = {"role": "system", "content": [text("Be brief.")]}
    assert history(user("hi"), late, system="Be kind.").turns == [
        {"role": "system", "content": "Be kind."},
        HI,
        {"role": "system", "content": "Be brief."},
    ]
    assert history(late, user("hi"), system="Be kind.").turns == [
        {"role": "system", "content": "Be kind.\nBe brief."},
        HI,
    ]


def test_images_are_the_users_those_of_results_too() -> None:
    seen = history(
        user("hi"),
        assistant([CALL]),
        user(
            [
                text("and?"),
                result([text("a chart"), {"type": "image", "source": PIXEL}]),
                {"type": "image", "source": FETCH},
            ]
        ),
    )
    assert seen.turns[2:] == [
        answered("a chart"),
        user(
            [
                {"type": "image_url", "image_url": {"url": "data:;base64,iVBORw=="}},
                text("and?"),
                {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
            ]
        ),
    ]


def test_places_have_the_names_that_the_client_knows() -> None:
    seen = history(
        user("hi"),
        assistant([CALL]),
        user([result([{"type": "image", "source": PIXEL}]), text("and?")]),
        system="Be kind.",
    )
    assert seen.names == {
        "messages[0]": "system",
        "messages[1]": "messages[0].content",
        "messages[1].content[0]": "messages[0].content",
        "messages[2]": "messages[1].content[0]",
        "messages[3]": "messages[2].content[0]",
        "messages[4]": "messages[2].content[0]",
        "messages[4].content[0]": "messages[2].content[0].content[0]",
        "messages[4].content[0].image_url.url": "messages[2].content[0].content[0].source",
        "messages[4].content[1]": "messages[2].content[1]",
    }


@pytest.mark.parametrize(
    ("last", "goes_on"),
    [
        (assistant("The answer is ("), True),
        (assistant([CALL]), False),
        (assistant([{"type": "thinking", "thinking": "Hm.", "signature": ""}]), False),
        (assistant(""), False),
        (user("so?"), False),
        ({"role": "system", "content": "Be brief."}, False),
    ],
)
def test_an_answer_goes_on_with_what_the_assistant_has_begun(
    last: dict[str, Any], goes_on: bool
) -> None:
    assert history(user("hi"), last).goes_on is goes_on
