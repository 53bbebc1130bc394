"""Items as the messages of a chat: what belongs to one turn, and what each place is called."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import structs

from frontend.api.responses.request import ResponseRequest
from frontend.api.translated import renamed
from frontend.api.validate import check
from ipc.messages.errors import InvalidRequest, ServeError, UnsupportedParameter
from ipc.messages.jobs import Image, Message, Text, ToolCall
from tests.unit.frontend.http_fakes import CHAT

USER = {"role": "user", "content": "Is it raining in Rome?"}
CALL = {"type": "function_call", "call_id": "call_a", "name": "weather", "arguments": '{"town":1}'}
OUTPUT = {"type": "function_call_output", "call_id": "call_a", "output": "No."}
PNG = "data:image/png;base64,iVBORw0KGgo="
SEEING = structs.replace(CHAT, vision=True)


def _thought(text: str, kind: str = "reasoning_text") -> dict[str, str]:
    return {"type": kind, "text": text}


def _image(url: str) -> dict[str, str]:
    return {"type": "input_image", "image_url": url}


def messages(asked: Any, **more: Any) -> list[Message]:
    request = check(ResponseRequest, {"model": "org/chat", "input": asked, **more})
    chat, names = request.to_chat()
    try:
        return chat.to_input(SEEING, []).messages
    except InvalidRequest as error:
        raise renamed(error, names) from None


def refused(asked: Any, **more: Any) -> ServeError:
    with pytest.raises(InvalidRequest) as found:
        messages(asked, **more)
    return found.value


def test_a_text_is_what_the_user_says() -> None:
    assert messages("Hello") == [Message("user", "Hello")]


def test_instructions_come_first_and_other_roles_stay_where_they_are() -> None:
    given = [USER, {"type": "message", "role": "developer", "content": "Be brief."}]
    assert messages(given, instructions="Be kind.") == [
        Message("system", "Be kind."),
        Message("user", "Is it raining in Rome?"),
        Message("system", "Be brief."),
    ]


def test_what_was_thought_said_and_called_is_one_turn() -> None:
    given = [
        USER,
        {"type": "reasoning", "id": "rs_1", "summary": [], "content": [_thought("Rome?")]},
        {
            "type": "message",
            "id": "msg_1",
            "role": "assistant",
            "status": "completed",
            "content": [{"type": "output_text", "text": "I look.", "annotations": []}],
        },
        CALL,
        CALL | {"call_id": "call_b"},
        OUTPUT,
        OUTPUT | {"call_id": "call_b"},
        {"role": "assistant", "content": "It is dry."},
    ]
    calls = [
        ToolCall(id=one, name="weather", arguments='{"town":1}') for one in ("call_a", "call_b")
    ]
    assert messages(given)[1:] == [
        Message("assistant", "I look.", tool_calls=calls, reasoning="Rome?"),
        Message("tool", "No.", tool_call_id="call_a", name="weather"),
        Message("tool", "No.", tool_call_id="call_b", name="weather"),
        Message("assistant", "It is dry."),
    ]


def test_a_turn_ends_where_the_next_begins() -> None:
    said = {"role": "assistant", "content": "One."}
    thought = {"type": "reasoning", "summary": [_thought("Two?", "summary_text")]}
    assert messages([said, said, thought, CALL, said]) == [
        Message("assistant", "One."),
        Message("assistant", "One."),
        Message(
            "assistant",
            "",
            tool_calls=[ToolCall(id="call_a", name="weather", arguments='{"town":1}')],
            reasoning="Two?",
        ),
        Message("assistant", "One."),
    ]


@pytest.mark.parametrize(
    "reasoning",
    [
        {"type": "reasoning", "summary": []},
        {"type": "reasoning", "summary": [], "content": [], "encrypted_content": "gAAA"},
        {"type": "reasoning", "summary": None, "content": None},
        {"type": "web_search_call", "id": "ws_1", "status": "completed"},
        {"type": "local_shell_call_output", "id": "s_1", "output": "x"},
    ],
)
def test_what_says_nothing_to_a_model_is_skipped(reasoning: dict[str, Any]) -> None:
    assert messages([USER, reasoning]) == messages([USER])


def test_a_custom_call_is_a_call_with_one_text() -> None:
    given = [
        USER,
        {"type": "custom_tool_call", "call_id": "call_a", "name": "patch", "input": 'a "b"\n'},
        {"type": "custom_tool_call_output", "call_id": "call_a", "output": "done"},
    ]
    call = ToolCall(id="call_a", name="patch", arguments='{"input":"a \\"b\\"\\n"}')
    assert messages(given)[1:] == [
        Message("assistant", "", tool_calls=[call]),
        Message("tool", "done", tool_call_id="call_a", name="patch"),
    ]


def test_parts_are_texts_and_images_in_their_order() -> None:
    parts = [
        {"type": "input_text", "text": "What is"},
        {"type": "input_image", "image_url": PNG, "detail": "auto"},
        {"type": "text", "text": "this?"},
    ]
    (message,) = messages([{"role": "user", "content": parts}])
    assert isinstance(message.content, list)
    assert [type(part) for part in message.content] == [Text, Image, Text]


def test_an_output_may_be_parts() -> None:
    output = [{"type": "input_text", "text": "a"}, {"type": "input_text", "text": "b"}]
    assert messages([USER, CALL, OUTPUT | {"output": output}])[-1].content == "a\nb"


@pytest.mark.parametrize(
    ("items", "param"),
    [
        ([USER, {"role": "user", "content": [_image("data:,x")]}], "input[1].content[0].image_url"),
        ([USER, CALL | {"arguments": "{"}], "input[1].arguments"),
        ([USER, CALL | {"name": "no name"}], "input[1].name"),
        ([USER, {"type": "function_call_output", "output": "x"}], "input[1].call_id"),
        ([USER, {"type": "thunder"}], "input[1].type"),
        ([USER, {"role": "tool", "content": "x"}], "input[1].role"),
        ([{"role": "user", "content": [{"type": "input_text"}]}], "input[0].content[0].text"),
        ([{"role": "user", "content": [{"type": "video"}]}], "input[0].content[0].type"),
        ([], "input"),
    ],
)
def test_an_error_names_the_item(items: list[Any], param: str) -> None:
    error = refused(items, instructions=None)
    assert error.param == param
    assert f"`{param}`" in error.message


@pytest.mark.parametrize(
    ("items", "param"),
    [
        ([USER, {"type": "item_reference", "id": "msg_1"}], "input[1].type"),
        ([{"role": "user", "content": [{"type": "input_file"}]}], "input[0].content[0]"),
    ],
)
def test_what_is_understood_and_not_done_is_refused_by_its_place(
    items: list[Any], param: str
) -> None:
    error = refused(items)
    assert isinstance(error, UnsupportedParameter)
    assert error.param == param


def test_images_belong_to_the_user() -> None:
    error = refused([USER, CALL, OUTPUT | {"output": [_image(PNG)]}])
    assert (error.param, error.message) == (
        "input[2]",
        "`input[2]`: only messages of the user have images",
    )


def test_instructions_alone_are_a_request() -> None:
    assert messages([], instructions="Say hello.") == [Message("system", "Say hello.")]
