"""What clients may send, what it becomes, and what they are told where it is wrong."""

from __future__ import annotations

from typing import Any, NoReturn

import pytest
from http_fakes import CHAT, limits
from starlette.datastructures import FormData

from frontend.schemas.audio import parse_audio
from frontend.schemas.chat import _check_count, parse_chat
from frontend.schemas.embeddings import EmbeddingRequest
from frontend.schemas.validate import check, refuse_unsupported
from ipc.errors import InvalidRequest, UnsupportedParameter
from ipc.types import ChatInput, Defaults, EmbedInput, Message, Sampling, Truncation

HI = [{"role": "user", "content": "hi"}]
SECRET = "my-secret-text"


def chat(**fields: Any) -> ChatInput:
    spec = CHAT.__class__(
        name="org/chat",
        task="chat",
        engine="echo",
        path="",
        max_new_tokens=100,
        defaults=Defaults(temperature=0.7, top_p=0.9, max_tokens=50),
    )
    return parse_chat({"model": "org/chat", "messages": HI, **fields}).to_input(spec, [])


def embed(**fields: Any) -> EmbedInput:
    return check(EmbeddingRequest, {"model": "org/embed", **fields}).to_input(limits())


# --- chat ---


def test_a_models_defaults_hold_where_the_request_names_nothing() -> None:
    assert chat().sampling == Sampling(max_tokens=50, temperature=0.7, top_p=0.9)


def test_every_honoured_parameter_reaches_the_engine() -> None:
    asked = chat(
        temperature=0,
        top_p=0.5,
        max_tokens=9,
        stop=["a", "b"],
        seed=42,
        presence_penalty=1,
        frequency_penalty=-1.5,
    )
    assert asked.sampling == Sampling(
        max_tokens=9,
        temperature=0.0,
        top_p=0.5,
        stop=["a", "b"],
        seed=42,
        presence_penalty=1.0,
        frequency_penalty=-1.5,
    )


@pytest.mark.parametrize(
    ("fields", "max_tokens"),
    [
        ({"max_tokens": 10}, 10),
        ({"max_completion_tokens": 20}, 20),
        ({"max_tokens": 10, "max_completion_tokens": 20}, 20),
        ({"max_tokens": 10**9}, 100),  # the model's limit; finish_reason says so when it is met
        ({"max_tokens": None}, 50),
    ],
)
def test_max_tokens_is_the_newer_parameter_and_at_most_the_models_limit(
    fields: dict[str, Any], max_tokens: int
) -> None:
    assert chat(**fields).sampling.max_tokens == max_tokens


@pytest.mark.parametrize(
    ("stop", "texts"), [("END", ["END"]), (["a", "b"], ["a", "b"]), (None, []), ("", []), ([], [])]
)
def test_stop_is_a_text_or_a_list(stop: Any, texts: list[str]) -> None:
    assert chat(stop=stop).sampling.stop == texts


def test_top_p_zero_means_greedy() -> None:
    sampling = chat(top_p=0, temperature=1.5).sampling
    assert (sampling.temperature, sampling.top_p) == (0.0, 1.0)


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
        ({"role": "user", "content": "hi", "name": "ann"}, Message("user", "hi")),
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
        {"tools": [{"type": "function"}], "tool_choice": "none"},
        {"logit_bias": {}},
        {"modalities": ["text"]},
        {"user": "u", "metadata": {"a": 1}, "store": True, "service_tier": "auto"},
        {"reasoning_effort": "low", "verbosity": "low", "parallel_tool_calls": False},
        {"something_of_a_later_version": 1},
    ],
)
def test_what_asks_for_nothing_is_let_through(fields: dict[str, Any]) -> None:
    assert chat(**fields) == chat()


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"n": 2}, "n"),
        ({"n": 10**9}, "n"),
        ({"logprobs": True}, "logprobs"),
        ({"top_logprobs": 5}, "top_logprobs"),
        ({"logit_bias": {"50256": -100}}, "logit_bias"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
        ({"tools": [{"type": "function", "function": {"name": "f"}}]}, "tools"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"functions": [{"name": "f"}]}, "functions"),
        ({"modalities": ["text", "audio"]}, "modalities"),
        ({"audio": {"voice": "alloy"}}, "audio"),
        ({"web_search_options": {}}, "web_search_options"),
        ({"messages": [{"role": "tool", "content": "4", "tool_call_id": "c"}]}, "messages[0]"),
        (
            {"messages": [{"role": "assistant", "content": None, "tool_calls": [{"id": "c"}]}]},
            "messages[0]",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]},
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
        ({"max_tokens": 0}, "max_tokens", "`max_tokens` must be at least 1"),
        ({"max_tokens": 1.5}, "max_tokens", "`max_tokens` must be an integer"),
        ({"max_tokens": True}, "max_tokens", "`max_tokens` must be an integer"),
        ({"seed": "1"}, "seed", "`seed` must be an integer"),
        ({"stream": "yes"}, "stream", "`stream` must be true or false"),
        ({"stop": [SECRET] * 5}, "stop", "`stop` must have at most 4 items"),
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
            "`messages[0].role` must be one of developer, system, user, assistant",
        ),
        (
            {"messages": [{"role": "assistant", "content": None}]},
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
            "`messages[0].content[0].type` must be 'text'",
        ),
        ({"stream_options": 1}, "stream_options", "`stream_options` must be an object"),
    ],
)
def test_a_chat_refusal_names_the_place_and_the_rule(
    fields: dict[str, Any], param: str, message: str
) -> None:
    with pytest.raises(InvalidRequest) as refused:
        chat(**fields)
    assert (refused.value.param, refused.value.message) == (param, message)


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
        ({"input": {"a": 1}}, "input", "`input` must be a string or an array of strings"),
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


@pytest.mark.parametrize("tokens", [[1, 2], [[1, 2], [3]]])
def test_token_arrays_are_refused_with_the_setting_that_avoids_them(tokens: Any) -> None:
    with pytest.raises(InvalidRequest, match="check_embedding_ctx_length=False"):
        embed(input=tokens)


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
        (("chunking_strategy[type]", "server_vad"), "chunking_strategy"),
        (("known_speaker_names[]", "Ada"), "known_speaker_names"),
        (("languages[]", "en"), "languages"),
        (("keywords[]", "zebra"), "keywords"),
    ],
)
def test_audio_that_is_not_built_is_refused(field: tuple[str, str], param: str) -> None:
    with pytest.raises(UnsupportedParameter) as refused:
        parse_audio(form(field))
    assert refused.value.param == param


def test_what_may_be_sent_instead_is_written_as_json() -> None:
    with pytest.raises(UnsupportedParameter, match=r"leave it out or send \{\"type\":\"text\"\}$"):
        refuse_unsupported({"format": 1}, {"format": ({"type": "text"},)})
    with pytest.raises(UnsupportedParameter, match=r"leave it out or send false$"):
        refuse_unsupported({"logprobs": True}, {"logprobs": (False,)})


def test_the_servers_own_chunking_is_what_auto_asks_for() -> None:
    assert parse_audio(form(("chunking_strategy", "auto"))).response_format == "json"


def test_an_unknown_language_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="ISO 639-1"):
        parse_audio(form(("language", "klingon"))).to_input(b"RIFF", translate=False)


def test_a_text_is_never_looked_through_letter_by_letter() -> None:
    """For a megabyte that takes a tenth of a second, on the loop that serves everybody."""

    class Sealed(str):
        def __iter__(self) -> NoReturn:
            raise AssertionError("letter by letter")

    _check_count([Message("user", Sealed("long"))])
