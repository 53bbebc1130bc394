"""Messages that are too long are told in the words by which clients know them."""

from __future__ import annotations

import json

import pytest

from ipc.messages.errors import ContextTooLong
from worker.chat.prompt_limits import no_room, room_for_answer, too_long
from worker.engines.common.server_errors import refusal

# litellm 1.110.2, litellm_core_utils/exception_mapping_utils.py,
# ExceptionCheckers.is_error_str_context_window_exceeded: any of these in the lower case of the
# message. Read and run against this server on 26 Nov 2026.
LITELLM = [
    "exceed context limit",
    "this model's maximum context length is",
    "requested token count exceeds the model's maximum context length",
    "string too long. expected a string with maximum length",
    "model's maximum context limit",
    "is longer than the model's context length",
    "input tokens exceed the configured limit",
    "`inputs` tokens + `max_new_tokens` must be",
    "exceeds the available context size",
    "exceeds the maximum number of tokens allowed",
    '"code": "context_length_exceeded"',
    "prompt is too long",
]
# langchain-openai 1.7.4, chat_models/base.py: of a refusal, _handle_openai_bad_request, and of an
# error in a stream, _handle_openai_api_error. Both look into the text of openai 3.57.0's error,
# which has the message and not the code. Run on the same day.
LANGCHAIN = [
    "context_length_exceeded",
    "Input tokens exceed the configured limit",
    "prompt is too long",
    "ContextWindowExceededError",
]
LANGCHAIN_STREAM = "exceeds the context window"
LAST = "The prompt is too long: it exceeds the context window."

REFUSALS = [too_long(5031, 4096), too_long("at least 8192", 4096), no_room(4096, 4096)]


def test_the_numbers_are_those_of_the_limit_that_was_exceeded() -> None:
    assert too_long(5031, 4096).message == (
        "This model's maximum context length is 4096 tokens. However, your messages have 5031 "
        f"tokens. Please reduce the length of the messages. {LAST}"
    )
    assert no_room(2048, 2048).message == (
        "This model's maximum context length is 2048 tokens. However, your messages have 2048 "
        "tokens, which leaves no room for an answer. Please reduce the length of the messages. "
        f"{LAST}"
    )


@pytest.mark.parametrize(
    ("prompt_tokens", "room"),
    [(1, 99), (40, 60), (41, "40 tokens.*have 41"), (100, "40 tokens.*have 100")],
)
def test_an_answer_has_the_room_that_its_prompt_leaves(prompt_tokens: int, room: int | str) -> None:
    if isinstance(room, int):
        assert room_for_answer(prompt_tokens, 40, context_tokens=100) == room
    else:
        with pytest.raises(ContextTooLong, match=room):
            room_for_answer(prompt_tokens, 40, context_tokens=100)


@pytest.mark.parametrize(("prompt_tokens", "room"), [(41, 59), (99, 1), (100, None)])
def test_without_a_limit_a_prompt_may_take_all_but_a_token(
    prompt_tokens: int, room: int | None
) -> None:
    if room is not None:
        assert room_for_answer(prompt_tokens, 0, context_tokens=100) == room
    else:
        with pytest.raises(ContextTooLong, match=r"100 tokens.*leaves no room"):
            room_for_answer(prompt_tokens, 0, context_tokens=100)


@pytest.mark.parametrize("prompt_tokens", [30, 31])
def test_a_prompt_that_fills_the_context_leaves_no_room(prompt_tokens: int) -> None:
    with pytest.raises(ContextTooLong, match=r"30 tokens.*leaves no room"):
        room_for_answer(prompt_tokens, 40, context_tokens=30)


@pytest.mark.parametrize("error", REFUSALS)
def test_clients_know_them(error: ContextTooLong) -> None:
    assert_known(error)
    assert (error.status, error.code, error.param) == (400, "context_length_exceeded", "messages")


def assert_known(error: ContextTooLong) -> None:
    assert any(words in error.message.lower() for words in LITELLM)
    assert any(words in error.message for words in LANGCHAIN)
    assert LANGCHAIN_STREAM in error.message


@pytest.mark.parametrize(
    "said",
    [
        {"code": "context_length_exceeded", "message": "too much"},
        {"type": "exceed_context_size_error", "message": "the request exceeds the context"},
        {"message": "The input (9 tokens) is longer than the model's context length (8 tokens)."},
        {"message": "`inputs` tokens + `max_new_tokens` must be <= 8. Given: 9"},
        {"message": "This model's maximum context length is 8 tokens. However, you sent 9."},
        {"message": "prompt is too long: 9 tokens > 8 maximum"},
    ],
)
def test_an_upstreams_own_words_become_those(said: dict[str, str]) -> None:
    error = refusal(400, json.dumps({"error": said}).encode())
    assert isinstance(error, ContextTooLong)
    assert_known(error)
    assert said["message"] in error.message


def test_the_numbers_of_an_upstream_are_told() -> None:
    said = {"type": "exceed_context_size_error", "n_prompt_tokens": 5031, "n_ctx": 4096}
    error = refusal(400, json.dumps({"error": said | {"message": "try increasing it"}}).encode())
    assert error.message == too_long(5031, 4096).message
