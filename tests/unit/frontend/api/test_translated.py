"""Requests of other APIs as chats: errors are told in the client's words."""

from __future__ import annotations

from typing import Any

import pytest

from frontend.api.translated import chat_of, renamed, told_by
from ipc.messages.errors import InvalidRequest, QueueFull, UnsupportedParameter

TURNS = [{"role": "user", "content": "Hello"}]


def test_a_request_in_the_words_of_a_chat_is_checked_as_one() -> None:
    asked = chat_of({"model": "org/chat", "messages": TURNS, "max_tokens": 5}, {})
    assert (asked.model, asked.max_tokens) == ("org/chat", 5)


@pytest.mark.parametrize(
    ("wrong", "param", "message"),
    [
        ({"messages": []}, "input", "`input` must have at least 1 item"),
        (
            {"messages": [{"role": "user"}]},
            "input[0].content",
            "`input[0].content` is required",
        ),
        ({"top_p": 2}, "top_p", "`top_p` must be at most 1"),
    ],
)
def test_an_error_names_the_key_that_the_client_sent(
    wrong: dict[str, Any], param: str, message: str
) -> None:
    with pytest.raises(InvalidRequest) as raised:
        chat_of({"model": "org/chat", "messages": TURNS} | wrong, {"messages": "input"})
    assert raised.value.param == param
    assert raised.value.message.startswith(message)


def test_what_is_not_supported_stays_an_error_of_that_kind() -> None:
    with pytest.raises(UnsupportedParameter, match="`beams` is not supported"):
        chat_of({"model": "org/chat", "messages": TURNS, "best_of": 2}, {"best_of": "beams"})


def test_places_are_told_by_the_longest_name_that_fits() -> None:
    names = {"messages": "input", "messages[1]": "input[4]", "messages[1].content": "said"}
    told = [
        renamed(InvalidRequest(f"`{path}` is wrong", param=path), names)
        for path in ("messages", "messages[1].name", "messages[1].content[0]", "messages[10]", "n")
    ]
    assert [error.param for error in told] == [
        "input",
        "input[4].name",
        "said[0]",
        "input[10]",
        "n",
    ]
    assert told[1].message == "`input[4].name` is wrong"


def test_every_place_of_a_message_is_renamed() -> None:
    error = InvalidRequest("`tools[0].name` or `tool_choice`, not `n`", param="tool_choice")
    assert renamed(error, {"tools": "abilities", "tool_choice": "choice"}).message == (
        "`abilities[0].name` or `choice`, not `n`"
    )


def test_what_goes_wrong_later_is_told_so_too() -> None:
    busy = QueueFull("`model` is busy", param="model", retry_after_s=2.0)
    with pytest.raises(QueueFull) as raised, told_by({"model": "name"}):
        raise busy
    assert raised.value.info() == renamed(busy, {"model": "name"}).info()
    assert (raised.value.message, raised.value.retry_after_s) == ("`name` is busy", 2.0)
