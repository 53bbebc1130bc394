"""What clients may send, what it becomes, and what they are told where it is wrong."""

from __future__ import annotations

from typing import Any, NoReturn

import pytest
from starlette.datastructures import FormData

from frontend.api.audio.transcribe_request import parse_audio
from frontend.api.known_keys import refused, refused_keys
from frontend.api.openai.chat_request import parse_chat
from frontend.api.openai.embeddings_request import EmbeddingRequest
from frontend.api.openai.messages_request import check_count
from frontend.api.validate import check, refuse_unsupported
from ipc.messages.errors import InvalidRequest, UnsupportedParameter
from ipc.messages.jobs import ChatInput, EmbedInput, Message, Sampling, ToolCall, Truncation, Vad
from ipc.messages.spec import Defaults
from tests.unit.frontend.http_fakes import CHAT, limits

HI = [{"role": "user", "content": "hi"}]
SECRET = "my-secret-text"


DEFAULTS = Defaults(temperature=0.7, top_p=0.9, max_tokens=50)
FUNCTION = {"name": "get_weather", "parameters": {"type": "object"}}
TOOL = {"type": "function", "function": FUNCTION}


def chat(*, defaults: Defaults = DEFAULTS, **fields: Any) -> ChatInput:
    spec = CHAT.__class__(
        name="org/chat", task="chat", engine="echo", path="", max_new_tokens=100, defaults=defaults
    )
    return parse_chat({"model": "org/chat", "messages": HI, **fields}).to_input(spec, [])


def embed(**fields: Any) -> EmbedInput:
    return check(EmbeddingRequest, {"model": "org/embed", **fields}, limits()).to_input()


def turns(*given: dict[str, Any]) -> dict[str, Any]:
    return {"messages": [*given]}


# --- chat ---


def test_a_models_defaults_hold_where_the_request_names_nothing() -> None:
    assert chat().sampling == Sampling(max_tokens=50, temperature=0.7, top_p=0.9)


def test_a_requests_own_values_win_over_the_models_defaults() -> None:
    names = ("top_k", "min_p", "repetition_penalty", "presence_penalty", "frequency_penalty")
    defaults = Defaults(**dict(zip(names, (20, 0.1, 1.2, 0.5, 0.25), strict=True)))  # type: ignore[arg-type]
    kept = chat(defaults=defaults).sampling
    assert [getattr(kept, name) for name in names] == [20, 0.1, 1.2, 0.5, 0.25]
    off = {"top_k": -1, "min_p": 0, "repeat_penalty": 1, "presence_penalty": 0}
    own = chat(defaults=defaults, **off, frequency_penalty=0).sampling
    assert [getattr(own, name) for name in names] == [0, 0.0, 1.0, 0.0, 0.0]


def test_every_honoured_parameter_reaches_the_engine() -> None:
    asked = chat(
        temperature=0,
        top_p=0.5,
        top_k=40,
        min_p=0.05,
        max_tokens=9,
        min_tokens=3,
        stop=["a", "b"],
        stop_token_ids=[7, 3, 7],
        ignore_eos=True,
        seed=42,
        presence_penalty=1,
        frequency_penalty=-1.5,
        repetition_penalty=1.1,
        logit_bias={"7": -100, "8": 0},
        logprobs=True,
        top_logprobs=4,
        n=3,
    )
    assert asked.sampling == Sampling(
        max_tokens=9,
        min_tokens=3,
        temperature=0.0,
        top_p=0.5,
        top_k=40,
        min_p=0.05,
        stop=["a", "b"],
        stop_token_ids=[3, 7],
        ignore_eos=True,
        seed=42,
        presence_penalty=1.0,
        frequency_penalty=-1.5,
        repetition_penalty=1.1,
        logit_bias={7: -100.0},
        logprobs=4,
        n=3,
    )


@pytest.mark.parametrize(
    ("fields", "max_tokens"),
    [
        ({"max_tokens": 10}, 10),
        ({"max_completion_tokens": 20}, 20),
        ({"max_tokens": 10, "max_completion_tokens": 20}, 20),
        ({"max_tokens": 10**9}, 100),  # the model's limit; finish_reason says so when it is met
        ({"max_tokens": None}, 50),
        ({"max_tokens": -1}, 50),  # no limit of the client's, as if there were none
        ({"max_tokens": 0}, 50),
        ({"max_completion_tokens": -1}, 50),
        ({"max_tokens": 10, "max_completion_tokens": -1}, 50),
        ({"n_predict": 10}, 10),
        ({"n_predict": 10, "max_tokens": 20}, 20),
        ({"n_predict": -1}, 50),
    ],
)
def test_max_tokens_is_the_newer_parameter_and_at_most_the_models_limit(
    fields: dict[str, Any], max_tokens: int
) -> None:
    assert chat(**fields).sampling.max_tokens == max_tokens


def test_no_answer_is_asked_to_be_longer_than_it_may() -> None:
    assert chat(max_tokens=9, min_tokens=9).sampling.min_tokens == 9
    with pytest.raises(InvalidRequest, match="at most the answer's limit, 100 tokens here"):
        chat(max_tokens=500, min_tokens=101)


@pytest.mark.parametrize(
    ("fields", "logprobs"),
    [({}, None), ({"logprobs": False}, None), ({"logprobs": True}, 0)]
    + [({"logprobs": True, "top_logprobs": top}, top) for top in (0, 20)],
)
def test_log_probabilities_are_those_of_the_tokens_and_of_likely_ones(
    fields: dict[str, Any], logprobs: int | None
) -> None:
    assert chat(**fields).sampling.logprobs == logprobs


def test_how_many_answers_has_two_names() -> None:
    assert chat(n_cmpl=2).sampling.n == chat(n=2, n_cmpl=2).sampling.n == 2
    with pytest.raises(InvalidRequest, match="send either"):
        chat(n=2, n_cmpl=3)


def test_a_penalty_has_two_names() -> None:
    assert chat(repeat_penalty=1.3).sampling.repetition_penalty == 1.3
    assert chat(repeat_penalty=1.3, repetition_penalty=1.3).sampling.repetition_penalty == 1.3
    with pytest.raises(InvalidRequest, match="send either"):
        chat(repeat_penalty=1.3, repetition_penalty=1.0)


@pytest.mark.parametrize("penalty", ["repeat_penalty", "presence_penalty", "frequency_penalty"])
def test_a_penalty_over_the_last_tokens_only_is_refused(penalty: str) -> None:
    assert chat(repeat_last_n=64) == chat()
    given: Any = {penalty: 1.5}
    assert chat(repeat_last_n=-1, **given)
    with pytest.raises(UnsupportedParameter) as refused:
        chat(repeat_last_n=64, **given)
    assert refused.value.param == "repeat_last_n"


@pytest.mark.parametrize("fields", [{"top_p": 0}, {"min_p": 1}])
def test_what_leaves_only_the_likeliest_token_is_greedy(fields: dict[str, Any]) -> None:
    sampling = chat(temperature=1.5, **fields).sampling
    assert (sampling.temperature, sampling.top_p, sampling.min_p) == (0.0, 1.0, 0.0)


@pytest.mark.parametrize(
    ("stop", "texts"), [("END", ["END"]), (["a", "b"], ["a", "b"]), (None, []), ("", []), ([], [])]
)
def test_stop_is_a_text_or_a_list(stop: Any, texts: list[str]) -> None:
    assert chat(stop=stop).sampling.stop == texts


def test_a_negative_seed_becomes_one_that_engines_take() -> None:
    assert chat(seed=-1).sampling.seed == 2**63 - 1


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"role": "developer", "content": "be kind"}, Message("system", "be kind")),
        (
            {
                "role": "user",
                "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}],
            },
            Message("user", "a\nb"),
        ),
        (
            {"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}]},
            Message("assistant", "no"),
        ),
        ({"role": "user", "content": "hi", "name": "ann"}, Message("user", "hi", name="ann")),
        ({"role": "user", "content": "hi", "name": ""}, Message("user", "hi")),
        ({"role": "assistant", "content": None}, Message("assistant", "")),
        ({"role": "assistant"}, Message("assistant", "")),
        ({"role": "assistant", "content": None, "refusal": "no"}, Message("assistant", "no")),
        (
            {"role": "assistant", "content": "4", "reasoning_content": "2 + 2", "tool_calls": []},
            Message("assistant", "4", reasoning="2 + 2"),
        ),
        (
            {"role": "assistant", "content": "4", "reasoning_content": "", "thinking": "2 + 2"},
            Message("assistant", "4", reasoning="2 + 2"),
        ),
        (
            {"role": "assistant", "content": "4", "reasoning": {"effort": "low"}, "thinking": []},
            Message("assistant", "4"),
        ),
    ],
)
def test_messages(given: dict[str, Any], message: Message) -> None:
    assert chat(messages=[given]).messages == [message]


@pytest.mark.parametrize(
    "fields",
    [
        {"n": 1},
        {"logprobs": False},
        {"response_format": {"type": "text"}},
        {"tools": [], "tool_choice": "auto"},
        {"tools": [TOOL], "tool_choice": "none"},
        {"top_k": 0, "min_p": 0, "repetition_penalty": 1, "min_tokens": 0, "ignore_eos": False},
        {"logit_bias": {}},
        {"modalities": ["text"]},
        {"user": "u", "metadata": {"a": 1}, "store": True, "service_tier": "auto"},
        {"verbosity": "low", "n": 1, "n_cmpl": 1, "top_logprobs": 0, "include_reasoning": False},
        {"thinking_token_budget": -1, "reasoning_format": "auto", "chat_template_kwargs": {}},
        {"something_of_a_later_version": 1},
    ],
)
def test_what_asks_for_nothing_is_let_through(fields: dict[str, Any]) -> None:
    assert chat(**fields) == chat()


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"structural_tag": {}}, "structural_tag"),
        ({"tools": [TOOL], "tool_choice": {"type": "custom"}}, "tool_choice.type"),
        ({"tools": [{"type": "custom", "custom": {"name": "f"}}]}, "tools[0].type"),
        ({"messages": [{"role": "assistant", "audio": {"id": "a"}}]}, "messages[0].audio"),
        (
            {"messages": [{"role": "assistant", "tool_calls": [{"type": "custom"}]}]},
            "messages[0].tool_calls[0].type",
        ),
        ({"modalities": ["text", "audio"]}, "modalities"),
        ({"audio": {"voice": "alloy"}}, "audio"),
        ({"web_search_options": {}}, "web_search_options"),
        (
            turns({"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}),
            "messages[0].content[0]",
        ),
        (
            {"messages": [*HI, {"role": "user", "content": [{"type": "input_audio"}]}]},
            "messages[1].content[0]",
        ),
    ],
)
def test_what_is_not_built_is_refused_and_never_ignored(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(UnsupportedParameter) as refused:
        chat(**fields)
    assert refused.value.param == param


@pytest.mark.parametrize(
    ("fields", "param", "message"),
    [
        ({"temperature": 3}, "temperature", "`temperature` must be at most 2.0"),
        ({"temperature": -1}, "temperature", "`temperature` must be at least 0.0"),
        ({"temperature": SECRET}, "temperature", "`temperature` must be a number"),
        ({"top_p": 1.1}, "top_p", "`top_p` must be at most 1.0"),
        ({"max_tokens": -2}, "max_tokens", "`max_tokens` must be at least -1"),
        (
            {"max_completion_tokens": 0},
            "max_completion_tokens",
            "`max_completion_tokens` must be at least 1, or -1 for no limit",
        ),
        ({"top_k": -2}, "top_k", "`top_k` must be at least -1"),
        ({"top_k": 2.5}, "top_k", "`top_k` must be an integer"),
        ({"min_p": 1.1}, "min_p", "`min_p` must be at most 1.0"),
        (
            {"repetition_penalty": 0},
            "repetition_penalty",
            "`repetition_penalty` must be at least 0.01",
        ),
        ({"repeat_penalty": 11}, "repeat_penalty", "`repeat_penalty` must be at most 10.0"),
        ({"min_tokens": -1}, "min_tokens", "`min_tokens` must be at least 0"),
        ({"ignore_eos": "yes"}, "ignore_eos", "`ignore_eos` must be true or false"),
        ({"stop_token_ids": 2}, "stop_token_ids", "`stop_token_ids` must be an array"),
        ({"stop_token_ids": [-1]}, "stop_token_ids[0]", "`stop_token_ids[0]` must be at least 0"),
        ({"max_tokens": 1.5}, "max_tokens", "`max_tokens` must be an integer"),
        ({"max_tokens": True}, "max_tokens", "`max_tokens` must be an integer"),
        ({"seed": "1"}, "seed", "`seed` must be an integer"),
        ({"stream": "yes"}, "stream", "`stream` must be true or false"),
        ({"stop": [SECRET] * 17}, "stop", "`stop` must have at most 16 items"),
        ({"stop": [SECRET * 99]}, "stop[0]", "`stop[0]` must have at most 256 characters"),
        ({"stop": [1]}, "stop[0]", "`stop[0]` must be a string"),
        ({"presence_penalty": 9}, "presence_penalty", "`presence_penalty` must be at most 2.0"),
        ({"model": ""}, "model", "`model` must not be empty"),
        ({"model": None}, "model", "`model` must be a string"),
        ({"messages": SECRET}, "messages", "`messages` must be an array"),
        ({"messages": []}, "messages", "`messages` must have at least 1 item"),
        ({"messages": [SECRET]}, "messages[0]", "`messages[0]` must be an object"),
        ({"messages": [{}]}, "messages[0].role", "`messages[0].role` is required"),
        (
            {"messages": [{"role": SECRET, "content": SECRET}]},
            "messages[0].role",
            "`messages[0].role` must be one of developer, system, user, assistant, tool, function",
        ),
        (
            {"messages": [{"role": "user", "content": None}]},
            "messages[0].content",
            "`messages[0].content` must be a string or an array of parts",
        ),
        (
            {"messages": [{"role": "user", "content": f"{SECRET}\0"}]},
            "messages[0].content",
            "`messages[0].content` must not contain NUL characters",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "text", "text": 1}]}]},
            "messages[0].content[0].text",
            "`messages[0].content[0].text` must be a string",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": SECRET}]}]},
            "messages[0].content[0].type",
            "`messages[0].content[0].type` must be one of text, input_text, refusal, image_url, "
            "input_audio, file, video_url, audio_url",
        ),
        ({"stream_options": 1}, "stream_options", "`stream_options` must be an object"),
        ({"n": 9}, "n", "`n` must be at most 8"),
        ({"n": 0}, "n", "`n` must be at least 1"),
        ({"top_logprobs": 2}, "top_logprobs", "`top_logprobs` needs `logprobs` true"),
        (
            {"logprobs": True, "top_logprobs": 21},
            "top_logprobs",
            "`top_logprobs` must be at most 20",
        ),
        (
            {"logit_bias": {"7": 101}},
            "logit_bias.7",
            "`logit_bias.7` must be at most 100.0",
        ),
        (
            {"logit_bias": {"the": 1}},
            "logit_bias.the",
            "`logit_bias.the` must match ^(0|[1-9][0-9]{0,8})$",
        ),
        (
            {"logit_bias": 7},
            "logit_bias",
            "`logit_bias` must be an object of token ids and numbers of -100 to 100",
        ),
    ],
)
def test_a_chat_refusal_names_the_place_and_the_rule(
    fields: dict[str, Any], param: str, message: str
) -> None:
    with pytest.raises(InvalidRequest) as refused:
        chat(**fields)
    assert (refused.value.param, refused.value.message) == (param, message)


# --- tools and their history ---


def call(arguments: object = "{}", name: object = "f", **fields: object) -> dict[str, Any]:
    function = {"name": name, "arguments": arguments}
    return {"id": "c1", "type": "function", "function": function, **fields}


def history(*calls: dict[str, Any], **turn: object) -> list[Message]:
    assistant = {"role": "assistant", "tool_calls": [*calls]}
    return chat(messages=[*HI, assistant, *([{"role": "tool", **turn}] if turn else [])]).messages


def test_a_call_and_its_result_are_read() -> None:
    asked = history(call('{"city": "Paris"}'), tool_call_id="c1", content="18 degrees")
    assert asked[1:] == [
        Message(
            "assistant", "", tool_calls=[ToolCall(id="c1", name="f", arguments='{"city": "Paris"}')]
        ),
        Message("tool", "18 degrees", tool_call_id="c1", name="f"),
    ]


@pytest.mark.parametrize(
    ("given", "arguments"),
    [
        ('{"a": 1}', '{"a": 1}'),
        ({"a": "ü"}, '{"a":"ü"}'),
        ("", "{}"),
        (" ", "{}"),
        ("null", "{}"),
        (None, "{}"),
        ('{"a": "cut o', '{"a": "cut o'),
        ("{'a': 1}", "{'a': 1}"),
        ("[1]", "[1]"),
    ],
)
def test_arguments_are_an_object_as_text_or_what_was_written(given: object, arguments: str) -> None:
    assert history(call(given))[1].tool_calls[0].arguments == arguments


def test_text_may_come_before_calls_and_results_in_parts() -> None:
    asked = chat(
        messages=[
            {"role": "assistant", "content": "One moment.", "tool_calls": [call(), call(id="c2")]},
            {"role": "tool", "tool_call_id": "c2", "content": [{"type": "text", "text": "b"}]},
            {"role": "tool", "tool_call_id": "c1", "content": None},
        ]
    ).messages
    assert asked[0].content == "One moment."
    assert [(turn.tool_call_id, turn.content) for turn in asked[1:]] == [("c2", "b"), ("c1", "")]


def test_a_result_without_an_id_answers_the_only_open_call() -> None:
    assert history(call(), content="4")[2].tool_call_id == "c1"
    with pytest.raises(InvalidRequest, match="unless just one call is unanswered"):
        history(call(), call(id="c2"), content="4")


def test_a_result_whose_call_was_cut_off_is_read() -> None:
    asked = chat(messages=[{"role": "tool", "tool_call_id": "gone", "content": "4"}]).messages
    assert asked == [Message("tool", "4", tool_call_id="gone")]


def test_calls_in_the_form_before_tools_are_read() -> None:
    asked = chat(
        messages=[
            {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": ""}},
            {"role": "function", "name": "f", "content": "4"},
        ]
    ).messages
    assert asked[0].tool_calls == [ToolCall(id="call_0", name="f", arguments="{}")]
    assert asked[1] == Message("tool", "4", tool_call_id="call_0", name="f")


def test_calls_without_ids_get_some_that_differ() -> None:
    nameless = {**call(), "id": None}
    asked = chat(messages=[{"role": "assistant", "tool_calls": [nameless, nameless]}] * 2).messages
    ids = [one.id for turn in asked for one in turn.tool_calls]
    assert ids == ["call_0_0", "call_0_1", "call_1_0", "call_1_1"]


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        (turns({"role": "assistant", "tool_calls": {}}), "messages[0].tool_calls"),
        (turns({"role": "assistant", "tool_calls": [1]}), "messages[0].tool_calls[0]"),
        (turns({"role": "assistant", "tool_calls": [{}]}), "messages[0].tool_calls[0].function"),
        (
            turns({"role": "assistant", "tool_calls": [call(7)]}),
            "messages[0].tool_calls[0].function.arguments",
        ),
        (
            turns({"role": "assistant", "tool_calls": [call([1])]}),
            "messages[0].tool_calls[0].function.arguments",
        ),
        (
            turns({"role": "assistant", "tool_calls": [call(), call(name="a b")]}),
            "messages[0].tool_calls[1].function.name",
        ),
        (turns({"role": "assistant", "tool_calls": [call(id=7)]}), "messages[0].tool_calls[0].id"),
        (
            turns({"role": "user", "content": "hi", "tool_calls": [call()]}),
            "messages[0].tool_calls",
        ),
        (turns({"role": "tool", "content": "4"}), "messages[0].tool_call_id"),
        (turns({"role": "tool", "content": 4, "tool_call_id": "c"}), "messages[0].content"),
        (turns({"role": "function", "content": "4"}), "messages[0].name"),
        (turns({"role": "user", "content": "hi", "name": 4}), "messages[0].name"),
        ({"tools": TOOL}, "tools"),
        ({"tools": ["f"]}, "tools[0]"),
        ({"tools": [{"type": "function"}], "tool_choice": "none"}, "tools[0].function"),
        ({"tools": [{"type": "function", "function": {}}]}, "tools[0].function.name"),
        (
            {"tools": [{"type": "function", "function": {"name": "get weather"}}]},
            "tools[0].function.name",
        ),
        (
            {"tools": [{"type": "function", "function": {**FUNCTION, "parameters": "none"}}]},
            "tools[0].function.parameters",
        ),
        ({"tools": [TOOL, TOOL]}, "tools[1].function.name"),
        ({"tools": [TOOL], "tool_choice": "any"}, "tool_choice"),
        (
            {"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "other"}}},
            "tool_choice",
        ),
    ],
)
def test_what_is_malformed_is_told_with_its_place(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        chat(**fields)
    assert refused.value.param == param
    assert not isinstance(refused.value, UnsupportedParameter)


def test_a_missing_parameter_is_named() -> None:
    with pytest.raises(InvalidRequest, match="`messages` is required"):
        parse_chat({"model": "org/chat"})


# --- embeddings ---


def test_one_text_or_many() -> None:
    assert embed(input="a") == EmbedInput(texts=["a"])
    assert embed(input=["a", "b"], dimensions=8) == EmbedInput(texts=["a", "b"], dimensions=8)


@pytest.mark.parametrize(
    ("fields", "param", "message"),
    [
        ({}, "input", "`input` is required"),
        ({"input": []}, "input", "`input` must have at least 1 item"),
        (
            {"input": ["a"] * 5},
            "input",
            "`input` must have at most 4 items, this server's MAX_BATCH_SIZE, and has 5",
        ),
        (
            {"input": ["a", "a" * 101]},
            "input[1]",
            "`input[1]` must have at most 100 characters, this server's MAX_TEXT_CHARS, and has "
            "101",
        ),
        ({"input": ["a", None]}, "input[1]", "`input[1]` must be a string"),
        (
            {"input": {"a": 1}},
            "input",
            "`input` must be a string, an array of token ids, or an array of either",
        ),
        (
            {"input": "a", "truncate_prompt_tokens": 0},
            "truncate_prompt_tokens",
            "`truncate_prompt_tokens` must be at least 1, or -1 for as many tokens as the model "
            "takes",
        ),
        (
            {"input": "a", "truncate_prompt_tokens": -2},
            "truncate_prompt_tokens",
            "`truncate_prompt_tokens` must be at least -1",
        ),
        (
            {"input": "a", "truncate": False, "truncate_prompt_tokens": 9},
            "truncate",
            "`truncate` false and `truncate_prompt_tokens` ask for different things; send one of "
            "them",
        ),
        ({"input": "a", "dimensions": 0}, "dimensions", "`dimensions` must be at least 1"),
        (
            {"input": "a", "encoding_format": SECRET},
            "encoding_format",
            "`encoding_format` must be one of 'float' or 'base64'",
        ),
    ],
)
def test_an_embedding_refusal_names_the_place_and_the_rule(
    fields: dict[str, Any], param: str, message: str
) -> None:
    with pytest.raises(InvalidRequest) as refused:
        embed(**fields)
    assert (refused.value.param, refused.value.message) == (param, message)


@pytest.mark.parametrize("text", ["", "  ", "a\0b", "\ufeff"])
def test_one_odd_piece_does_not_fail_a_document(text: str) -> None:
    assert embed(input=["a", text]).texts == ["a", text]
    assert embed(input=text).texts == [text]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, Truncation()),
        ({"truncate": None}, Truncation()),
        ({"truncate": True}, Truncation(cut=True)),
        ({"truncate": False}, Truncation(cut=False)),
        ({"truncate": "END"}, Truncation(cut=True)),
        ({"truncate": "START"}, Truncation(cut=True, side="left")),
        ({"truncate": "NONE"}, Truncation(cut=False)),
        ({"truncate_prompt_tokens": -1}, Truncation(cut=True)),
        ({"truncate_prompt_tokens": 9}, Truncation(cut=True, tokens=9)),
        ({"truncate_prompt_tokens": 9.0, "truncate": True}, Truncation(cut=True, tokens=9)),
        (
            {"truncate": True, "truncation_direction": "Left"},
            Truncation(cut=True, side="left"),
        ),
        ({"truncate": True, "truncation_side": "left"}, Truncation(cut=True, side="left")),
    ],
)
def test_what_becomes_of_long_texts_is_said_in_the_words_of_several_servers(
    fields: dict[str, Any], expected: Truncation
) -> None:
    assert embed(input="a", **fields).truncation == expected


@pytest.mark.parametrize("number", [0, 1, 0.0, 1.0])
def test_a_number_is_no_flag(number: float) -> None:
    """To Python 0.0 is False, and to pydantic's Literal, too."""
    with pytest.raises(InvalidRequest) as refused:
        embed(input="a", truncate=number)
    assert refused.value.message == ("`truncate` must be true, false, 'NONE', 'START' or 'END'")


def test_texts_may_come_as_tokens() -> None:
    assert embed(input=[1, 2]) == EmbedInput(tokens=[[1, 2]])
    assert embed(input=[[1, 2], [3.0]]) == EmbedInput(tokens=[[1, 2], [3]])


@pytest.mark.parametrize(
    ("tokens", "param"),
    [([1, -1], "input[1]"), ([[1], []], "input[1]"), ([[1], ["a"]], "input[1][0]")],
)
def test_what_is_no_token_is_told_with_its_place(tokens: Any, param: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        embed(input=tokens)
    assert refused.value.param == param


@pytest.mark.parametrize(
    ("word", "purpose"),
    [("query", "query"), ("search_query", "query"), ("passage", "document")],
)
def test_what_texts_are_for_is_said_in_the_words_of_several_servers(
    word: str, purpose: Any
) -> None:
    assert embed(input="a", input_type=word) == EmbedInput(texts=["a"], purpose=purpose)


def test_a_prompt_is_named_once() -> None:
    assert embed(input="a", prompt_name="sts") == EmbedInput(texts=["a"], prompt_name="sts")
    with pytest.raises(InvalidRequest, match="`input_type` and `prompt_name` name a prompt each"):
        embed(input="a", prompt_name="sts", input_type="query")


# --- audio ---


def form(*fields: tuple[str, str]) -> FormData:
    return FormData([("model", "org/speech"), *fields])


@pytest.mark.parametrize("name", ["timestamp_granularities[]", "timestamp_granularities"])
def test_arrays_come_with_brackets_or_without(name: str) -> None:
    asked = parse_audio(
        form((name, "word"), (name, "segment"), ("response_format", "verbose_json"))
    )
    assert (asked.words, asked.segments) == (True, True)


def test_a_forms_texts_become_numbers_and_flags() -> None:
    asked = parse_audio(form(("temperature", "0.2"), ("stream", "true"), ("prompt", "Names: Ada")))
    assert (asked.temperature, asked.stream, asked.prompt) == (0.2, True, "Names: Ada")


@pytest.mark.parametrize(
    ("language", "code"),
    [("en", "en"), ("EN", "en"), ("pt-BR", "pt"), ("German", "de"), ("yue", "yue"), ("", None)],
)
def test_languages(language: str, code: str | None) -> None:
    asked = parse_audio(form(("language", language)))
    assert asked.to_input(b"RIFF", translate=False).language == code


def test_a_translation_hears_any_language() -> None:
    asked = parse_audio(form(("language", "de"))).to_input(b"RIFF", translate=True)
    assert (asked.translate, asked.language) == (True, None)


@pytest.mark.parametrize(
    ("fields", "param", "message"),
    [
        ([("response_format", "xml")], "response_format", "must be one of 'json', 'text'"),
        (
            [("timestamp_granularities[]", "word")],
            "timestamp_granularities",
            "needs `response_format` 'verbose_json'",
        ),
        (
            [("timestamp_granularities[]", "letter"), ("response_format", "verbose_json")],
            "timestamp_granularities[0]",
            "must be one of 'word' or 'segment'",
        ),
        ([("temperature", "hot")], "temperature", "must be a number"),
        ([("temperature", "nan")], "temperature", "must be a finite number"),
        ([("stream", "true"), ("response_format", "srt")], "response_format", "'json' or 'text'"),
        ([("stream", "perhaps")], "stream", "must be true or false"),
        ([("prompt", "a" * 4097)], "prompt", "must have at most 4096 characters"),
    ],
)
def test_an_audio_refusal_names_the_place_and_the_rule(
    fields: list[tuple[str, str]], param: str, message: str
) -> None:
    with pytest.raises(InvalidRequest) as refused:
        parse_audio(form(*fields))
    assert refused.value.param == param
    assert message in refused.value.message


@pytest.mark.parametrize(
    ("field", "param"),
    [
        (("response_format", "diarized_json"), "response_format"),
        (("include[]", "logprobs"), "include"),
        (("known_speaker_names[]", "Ada"), "known_speaker_names"),
        (("hotwords", "zebra"), "hotwords"),
        (("diarize", "true"), "diarize"),
        (("translate", "true"), "translate"),
        (("url", "https://example.com/a.wav"), "url"),
    ],
)
def test_audio_that_is_not_built_is_refused(field: tuple[str, str], param: str) -> None:
    with pytest.raises(UnsupportedParameter) as refused:
        parse_audio(form(field))
    assert refused.value.param == param


def test_what_may_be_sent_instead_is_written_as_json() -> None:
    text = refused("format", "", {"type": "text"})
    with pytest.raises(UnsupportedParameter, match=r"leave it out or send \{\"type\":\"text\"\}$"):
        refuse_unsupported({"format": 1}, refused_keys((text,)))
    off = refused("logprobs", "not built yet", False)
    with pytest.raises(UnsupportedParameter, match=r"not built yet; leave it out or send false$"):
        refuse_unsupported({"logprobs": True}, refused_keys((off,)))


def test_the_servers_own_chunking_is_what_auto_asks_for() -> None:
    assert parse_audio(form(("chunking_strategy", "auto"))).response_format == "json"


VAD = {"threshold": "0.7", "silence_duration_ms": "300", "prefix_padding_ms": "100"}


@pytest.mark.parametrize(
    "fields",
    [
        [(f"chunking_strategy[{key}]", value) for key, value in VAD.items()]
        + [("chunking_strategy[type]", "server_vad")],
        [
            (
                "chunking_strategy",
                '{"type": "server_vad", "threshold": 0.7, "silence_duration_ms": 300, '
                '"prefix_padding_ms": 100}',
            )
        ],
    ],
)
def test_all_keys_of_an_object_in_a_form_are_read(fields: list[tuple[str, str]]) -> None:
    job = parse_audio(form(*fields)).to_input(b"RIFF", translate=False)
    assert job.vad == Vad(threshold=0.7, silence_ms=300, padding_ms=100)


def test_what_a_strategy_leaves_out_is_as_the_engine_does() -> None:
    asked = parse_audio(form(("chunking_strategy[type]", "server_vad")))
    assert asked.to_input(b"RIFF", translate=False).vad == Vad()


@pytest.mark.parametrize(
    ("field", "param"),
    [
        (("chunking_strategy", "manual"), "chunking_strategy"),
        (("chunking_strategy", "{"), "chunking_strategy"),
        (("chunking_strategy[threshold]", "0.5"), "chunking_strategy.type"),
        (("chunking_strategy[type]", "semantic"), "chunking_strategy.type"),
    ],
)
def test_another_strategy_is_refused(field: tuple[str, str], param: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        parse_audio(form(field))
    assert refused.value.param == param


def test_keywords_go_before_the_prompt_and_one_of_languages_is_the_language() -> None:
    asked = parse_audio(
        form(("keywords[]", "Ada"), ("keywords", "Bo"), ("prompt", "Hi"), ("languages[]", "de"))
    )
    job = asked.to_input(b"RIFF", translate=False)
    assert (job.prompt, job.language) == ("Ada, Bo\nHi", "de")


@pytest.mark.parametrize("keywords", [["Ada"] * 9, ["x" * 257]])
def test_more_keywords_than_are_read_are_refused(keywords: list[str]) -> None:
    with pytest.raises(InvalidRequest) as refused:
        parse_audio(form(*[("keywords[]", keyword) for keyword in keywords]))
    assert (refused.value.param or "").startswith("keywords")


def test_several_languages_are_refused() -> None:
    with pytest.raises(InvalidRequest) as refused:
        parse_audio(form(("languages[]", "de"), ("languages[]", "en")))
    assert refused.value.param == "languages"


def test_an_unknown_language_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="ISO 639-1"):
        parse_audio(form(("language", "klingon"))).to_input(b"RIFF", translate=False)


def test_a_text_is_never_looked_through_letter_by_letter() -> None:
    """For a megabyte that takes a tenth of a second, on the loop that serves everybody."""

    class Sealed(str):
        def __iter__(self) -> NoReturn:
            raise AssertionError("letter by letter")

    check_count([Message("user", Sealed("long"))])
