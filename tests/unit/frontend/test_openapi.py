"""The API's description: valid, complete, and of this very server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate
from starlette.routing import Route
from starlette.testclient import TestClient

from frontend.api.anthropic.as_chat import message_as_chat, prompt_as_chat
from frontend.api.anthropic.request import MessagesRequest, PromptRequest, parse
from frontend.api.compat.infill import InfillRequest
from frontend.api.compat.llama_cpp_embeddings import PlainEmbeddingRequest
from frontend.api.compat.mistral_fim import FimRequest
from frontend.api.compat.tokenize import (
    ChatTokenize,
    ContentTokenize,
    Detokenize,
    InputsTokenize,
    PromptTokenize,
    parse_chat_tokenize,
)
from frontend.api.completions.request import CompletionRequest, parse_completion
from frontend.api.ollama.chat_request import OllamaChatRequest
from frontend.api.ollama.embed_request import OllamaEmbeddingsRequest, OllamaEmbedRequest
from frontend.api.ollama.generate_request import OllamaGenerateRequest
from frontend.api.ollama.models_request import OllamaPullRequest
from frontend.api.openai.chat_request import ChatRequest, parse_chat
from frontend.api.openai.embeddings_request import EmbeddingRequest
from frontend.api.rerank.request import RerankRequest, TextsRerankRequest
from frontend.api.rerank.score import ScoreRequest
from frontend.api.responses.request import ResponseRequest
from frontend.api.translated import chat_of
from frontend.api.validate import Body, check
from frontend.openapi import document as openapi
from frontend.openapi.request_schema import request_schema
from frontend.routes import routes
from ipc.messages.control import AccessConfig, Serve
from ipc.messages.errors import InvalidRequest
from ipc.messages.keys import ApiKey
from tests.unit.frontend.http_fakes import (
    CHAT,
    EMBED,
    RERANK,
    SPEAK,
    SPEECH,
    FakeDispatcher,
    application,
    limits,
    says,
)

SPECS = [CHAT, EMBED, SPEECH]
CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
KEYS = AccessConfig(api_keys={"ann": ApiKey(digest="00" * 32)})
SAMPLING: list[tuple[dict[str, Any], bool]] = [
    ({"max_tokens": 0, "top_k": -1, "min_p": 0.1, "stop_token_ids": [2]}, True),
    ({"max_completion_tokens": -1}, True),
    ({"max_completion_tokens": 0}, False),
    ({"repeat_last_n": 64}, True),
    ({"repeat_last_n": 64, "repeat_penalty": 1.1}, False),
    ({"stop": ["x"] * 16}, True),
    ({"stop": ["x"] * 17}, False),
    ({"tools": [TOOL], "tool_choice": "auto"}, True),
    ({"tools": [TOOL], "tool_choice": "required"}, True),
    ({"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "f"}}}, True),
    ({"tools": [TOOL], "tool_choice": {"type": "custom"}}, False),
    ({"functions": [TOOL["function"]], "function_call": {"name": "f"}}, True),
    ({"logprobs": True, "top_logprobs": 20}, True),
    ({"logprobs": True, "top_logprobs": 21}, False),
    ({"top_logprobs": 2}, False),
    ({"logit_bias": {"7": -100, "0": 1.5}}, True),
    ({"logit_bias": {"the": 1}}, False),
    ({"logit_bias": {"7": 101}}, False),
    ({"n": 8}, True),
    ({"n": 9}, False),
    ({"chat_template_kwargs": {"enable_thinking": False, "depth": 2, "style": "dry"}}, True),
    ({"chat_template_kwargs": {"messages": "x"}}, False),
    ({"chat_template_kwargs": {"list": []}}, False),
    ({"continue_final_message": True, "add_generation_prompt": False}, True),
    ({"continue_final_message": True, "add_generation_prompt": True}, False),
    ({"add_generation_prompt": False}, False),
    ({"reasoning_effort": "none", "think": "high", "reasoning": {"effort": "low"}}, True),
    ({"reasoning_effort": "much"}, False),
    ({"tools": [{"type": "function"}]}, False),
    ({"response_format": {"type": "json_object"}}, True),
    ({"response_format": {"type": "json_schema", "json_schema": {"schema": {}}}}, True),
    ({"response_format": {"type": "xml"}}, False),
    ({"guided_json": {}}, True),
    ({"guided_choice": []}, False),
    ({"structured_outputs": {"regex": "a|b"}}, True),
    ({"structural_tag": {}}, False),
    ({"priority": 3, "something_else": 1}, True),
]
USER = {"role": "user", "content": "x"}
FLAT = {"type": "function", "name": "f", "parameters": {"type": "object"}}
INPUTS: list[tuple[Any, bool]] = [
    ("x", True),
    ([USER], True),
    ([], False),
    ([{**USER, "type": "message"}], True),
    ([{"role": "tool", "content": "x"}], False),
    ([{"role": "user", "content": [{"type": "input_text", "text": "x"}]}], True),
    ([{"role": "user", "content": [{"type": "input_file"}]}], False),
    ([USER, {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}], True),
    ([USER, {"type": "function_call", "name": "f", "arguments": "{}"}], False),
    ([USER, {"type": "function_call_output", "call_id": "c", "output": "x"}], True),
    ([USER, {"type": "function_call_output", "call_id": "c", "output": {}}], False),
    ([USER, {"type": "custom_tool_call", "call_id": "c", "name": "f", "input": "x"}], True),
    ([USER, {"type": "reasoning", "summary": [], "encrypted_content": "x"}], True),
    ([USER, {"type": "web_search_call"}], True),
    ([USER, {"type": "item_reference", "id": "x"}], False),
    ([USER, {"type": "thunder"}], False),
]
RESPONSES: list[tuple[dict[str, Any], bool]] = [
    ({"tools": [FLAT, {"type": "custom", "name": "g"}, {"type": "web_search"}]}, True),
    ({"tools": [{"type": "function"}]}, False),
    ({"tools": [FLAT], "tool_choice": {"type": "function", "name": "f"}}, True),
    ({"tools": [FLAT], "tool_choice": {"type": "web_search"}}, False),
    (
        {"tools": [FLAT], "tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": []}},
        True,
    ),
    ({"text": {"format": {"type": "json_schema", "name": "x", "schema": {}}}}, True),
    ({"text": {"format": {"type": "json_schema", "name": "x"}}}, False),
    ({"reasoning": {"effort": "low", "summary": "auto"}}, True),
    ({"include": ["message.output_text.logprobs"], "top_logprobs": 20}, True),
    ({"top_logprobs": 21}, False),
    ({"metadata": {"a": "b"}}, True),
    ({"metadata": {"a": 1}}, False),
    ({"input": [], "instructions": "x"}, True),
    ({"input": [], "instructions": ""}, False),
    ({"background": True}, False),
    ({"response_format": {"type": "json_object"}}, False),
    ({"messages": [USER]}, False),
    ({"n": 2}, False),
]


def document(serve: Serve) -> dict[str, Any]:
    return openapi.document(routes(serve), serve)


@pytest.fixture(scope="module")
def described() -> dict[str, Any]:
    return document(limits(specs=SPECS))


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"specs": SPECS, "ollama": True},
        {"gate": KEYS},
        {"gate": AccessConfig(hosts=["x"]), "metrics": False},
    ],
)
def test_it_is_valid(changes: dict[str, Any]) -> None:
    validate(document(limits(**changes)))


def test_it_is_what_the_server_gives() -> None:
    fake = FakeDispatcher()
    with TestClient(application(fake)) as client:
        answer = client.get("/openapi.json")
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == document(limits(specs=[*fake.specs.values()]))


def test_no_bound_is_written_in_words_of_pydantics(described: dict[str, Any]) -> None:
    """A bound behind a validator comes out as `ge`, which no client reads."""
    assert not {"ge", "gt", "le", "lt"} & set(_keys(described["components"]["schemas"]))


def _keys(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        yield from value
    for each in (
        value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    ):
        yield from _keys(each)


def test_it_follows_the_models_that_come_and_go() -> None:
    fake = FakeDispatcher()
    with TestClient(application(fake)) as client:
        first = client.get("/openapi.json").json()
        del fake.specs[EMBED.name]
        fake.aliases = {"words": CHAT.name}
        second = client.get("/openapi.json").json()
    assert first == document(limits(specs=[CHAT, EMBED, RERANK, SPEECH, SPEAK]))
    left = [CHAT, RERANK, SPEECH, SPEAK]
    assert second == document(limits(specs=left, aliases={"words": CHAT.name}))


@pytest.mark.parametrize(
    "changes", [{"metrics": True}, {"metrics": False}, {"ollama": True}], ids=str
)
def test_every_route_is_in_it_and_no_other(changes: dict[str, Any]) -> None:
    routes = {
        (route.path.replace(":path", ""), method.lower())
        for route in application(FakeDispatcher(), **changes).routes
        if isinstance(route, Route)
        for method in (route.methods or set()) - {"HEAD"}
    }
    paths = document(limits(**changes))["paths"]
    assert {(path, method) for path, methods in paths.items() for method in methods} == routes


def test_it_names_this_servers_models_and_limits(described: dict[str, Any]) -> None:
    body = described["paths"]["/v1/embeddings"]["post"]["requestBody"]
    properties = body["content"]["application/json"]["schema"]["properties"]
    assert properties["model"] == {"enum": ["org/embed"]}
    one, many, *_tokens = properties["input"]["anyOf"]
    assert (one["maxLength"], many["maxItems"]) == (100, 4)


def test_aliases_are_names_too() -> None:
    described = document(limits(specs=SPECS, aliases={"small": "org/embed", "gone": "org/x"}))
    body = described["paths"]["/v1/embeddings"]["post"]["requestBody"]
    properties = body["content"]["application/json"]["schema"]["properties"]
    assert properties["model"] == {"enum": ["org/embed", "small"]}


def test_every_body_of_json_has_an_example_that_is_one() -> None:
    without, wrong = [], []
    serve = limits(specs=[*SPECS, RERANK, SPEAK], ollama=True)
    for path, methods in document(serve)["paths"].items():
        for operation in methods.values():
            content = operation.get("requestBody", {}).get("content", {}).get("application/json")
            if content is None:
                continue
            if "example" not in content:
                without.append(path)
            elif not Draft202012Validator(content["schema"]).is_valid(content["example"]):
                wrong.append(path)
    assert (without, wrong) == ([], [])


def test_a_client_finds_the_server_where_it_found_the_description(
    described: dict[str, Any],
) -> None:
    assert described["servers"] == [{"url": "/"}]


def test_every_operation_says_how_it_fails(described: dict[str, Any]) -> None:
    for route in routes(limits()):
        expected = {"200" if route.gives else "202", "500"}
        if route.takes:
            expected |= {"400", "408", "413", "415"}
        if route.task:
            expected |= {"404", "429", "503", "504"}
        operation = described["paths"][route.path][route.method.lower()]
        assert expected <= set(operation["responses"]), route.path


def test_keys_are_described_where_they_are_needed(described: dict[str, Any]) -> None:
    assert "security" not in described
    guarded = document(limits(gate=KEYS))
    assert guarded["security"] == [{"bearer": []}, {"x-api-key": []}]
    assert guarded["paths"]["/livez"]["get"]["security"] == []
    assert "401" in guarded["paths"]["/v1/models"]["get"]["responses"]
    assert "401" not in guarded["paths"]["/livez"]["get"]["responses"]


@pytest.mark.parametrize(
    ("path", "body", "valid"),
    [
        ("/v1/chat/completions", {"messages": [{"role": "user", "content": "x"}]}, True),
        ("/v1/chat/completions", {"messages": []}, False),
        ("/v1/chat/completions", {"messages": [{"role": "tool", "content": "x"}]}, False),
        ("/v1/chat/completions", {"messages": [{"role": "user", "content": "a\0b"}]}, False),
        (
            "/v1/chat/completions",
            {"messages": [{"role": "user", "content": [{"type": "text", "text": "x"}]}], "n": 1},
            True,
        ),
        (
            "/v1/chat/completions",
            {"messages": [{"role": "user", "content": "x"}], "best_of": 2},
            False,
        ),
        (
            "/v1/chat/completions",
            {"messages": [{"role": "user", "content": "x"}], "max_tokens": -2},
            False,
        ),
        *[
            ("/v1/chat/completions", {"messages": [{"role": "user", "content": "x"}, turn]}, valid)
            for turn, valid in [
                ({"role": "assistant"}, True),
                ({"role": "assistant", "content": None, "tool_calls": [CALL]}, True),
                ({"role": "assistant", "tool_calls": [{"function": {"name": "a b"}}]}, False),
                ({"role": "tool", "content": None, "tool_call_id": "c"}, True),
                ({"role": "tool", "content": "x", "tool_call_id": 1}, False),
                ({"role": "function", "content": "x", "name": "f"}, True),
                ({"role": "function", "content": "x"}, False),
                ({"role": "user", "content": None}, False),
                ({"role": "user", "content": "x", "tool_calls": [CALL]}, False),
            ]
        ],
        *[
            ("/v1/chat/completions", {"messages": [{"role": "user", "content": "x"}], **given}, ok)
            for given, ok in SAMPLING
        ],
        *[("/v1/responses", {"input": given}, ok) for given, ok in INPUTS],
        *[("/v1/responses", {"input": "x", **given}, ok) for given, ok in RESPONSES],
        ("/v1/responses", {}, False),
        ("/v1/completions", {"prompt": "x"}, True),
        ("/v1/completions", {"prompt": [[1, 2], [3]], "n": 2, "echo": True}, True),
        ("/v1/completions", {"prompt": ["x", "y"], "suffix": "z", "logprobs": 3}, True),
        ("/v1/completions", {"prompt": [1], "suffix": "z"}, False),
        ("/v1/completions", {"prompt": "x", "suffix": "z", "echo": True}, False),
        ("/v1/completions", {"prompt": "x", "logprobs": 0, "echo": True}, False),
        ("/v1/completions", {"prompt": "x", "max_tokens": 0}, False),
        ("/v1/completions", {"prompt": "x", "tools": [{}]}, False),
        ("/v1/completions", {"prompt": [1, "x"]}, False),
        ("/v1/completions", {"prompt": []}, False),
        ("/v1/embeddings", {"input": ["a", "b"]}, True),
        ("/v1/embeddings", {"input": []}, False),
        ("/v1/embeddings", {"input": [1, 2]}, True),
        ("/v1/embeddings", {"input": [1, "a"]}, False),
        ("/v1/embeddings", {"input": "a", "input_type": "query"}, True),
        ("/v1/embeddings", {"input": "a", "input_type": "q", "prompt_name": "q"}, False),
        ("/v1/embeddings", {"input": "", "truncate_prompt_tokens": -1}, True),
        ("/v1/embeddings", {"input": "a", "truncate_prompt_tokens": 0}, False),
        ("/v1/embeddings", {"input": "a", "truncate": "START"}, True),
        ("/v1/embeddings", {"input": "a", "truncate": "MIDDLE"}, False),
        ("/v1/embeddings", {"input": "a", "truncate": False, "truncate_prompt_tokens": 9}, False),
        ("/embedding", {"content": "a"}, True),
        ("/embedding", {}, False),
    ],
)
def test_the_description_and_the_server_agree(
    described: dict[str, Any], path: str, body: dict[str, Any], valid: bool
) -> None:
    model = "org/embed" if "embedding" in path else "org/chat"
    content = described["paths"][path]["post"]["requestBody"]["content"]["application/json"]
    full = {"model": model, **body}
    assert Draft202012Validator(content["schema"]).is_valid(full) is valid
    if valid and model == "org/embed":
        return  # what comes back needs vectors; tests/process asks a whole server
    with TestClient(application(FakeDispatcher(says("hi")), specs=SPECS)) as client:
        assert client.post(path, json=full).status_code == (200 if valid else 400)


ODD: list[Any] = [None, True, False, 0, 1, 0.0, 1.0, -1, -1.0, -2, 3, 0.5, 1e300, "", "x", "a\0b"]
ODD += ["1", "auto", "START", [], [[]], [0], [1, "x"], ["x"], ["x" * 101], ["x"] * 5, {}, {"a": 1}]
ODD += [{"text": "x"}, {"text": 1}, {"prompt_string": "x"}, [{"text": "x"}], [{"type": "text"}]]
TURN = {"role": "user", "content": "x"}


def ollama_chat(data: dict[str, Any]) -> object:
    asked = check(OllamaChatRequest, data)
    return asked.messages and chat_of(asked.chat_words("org/chat"), {}).to_input(CHAT, [])


def ollama_generate(data: dict[str, Any]) -> object:
    asked = check(OllamaGenerateRequest, data)
    asked.check_keys()
    if asked.is_plain:
        return asked.to_input(CHAT)
    return chat_of(asked.chat_words("org/chat"), {}).to_input(CHAT, [])


REQUESTS: list[tuple[type[Body], dict[str, Any], Callable[[Any], object]]] = [
    (
        ChatRequest,
        {"model": "org/chat", "messages": [TURN]},
        lambda data: parse_chat(data).to_input(CHAT, []),
    ),
    (
        MessagesRequest,
        {"model": "org/chat", "messages": [TURN], "max_tokens": 1},
        lambda data: chat_of(*message_as_chat(parse(MessagesRequest, data), reasons=False)),
    ),
    (
        PromptRequest,
        {"model": "org/chat", "messages": [TURN]},
        lambda data: chat_of(*prompt_as_chat(parse(PromptRequest, data), reasons=False)),
    ),
    (
        ResponseRequest,
        {"model": "org/chat", "input": "x"},
        lambda data: check(ResponseRequest, data).to_chat().chat.to_input(CHAT, []),
    ),
    (
        CompletionRequest,
        {"model": "org/chat", "prompt": "x"},
        lambda data: parse_completion(data).to_input(CHAT),
    ),
    (
        FimRequest,
        {"model": "org/chat", "prompt": "x"},
        lambda data: check(FimRequest, data),
    ),
    (
        InfillRequest,
        {"input_prefix": "x", "input_suffix": "x"},
        lambda data: check(InfillRequest, data),
    ),
    (ContentTokenize, {"content": "x"}, lambda data: check(ContentTokenize, data, limits())),
    (PromptTokenize, {"prompt": "x"}, lambda data: check(PromptTokenize, data, limits())),
    (InputsTokenize, {"inputs": "x"}, lambda data: check(InputsTokenize, data, limits())),
    (
        ChatTokenize,
        {"messages": [TURN]},
        lambda data: parse_chat_tokenize(data).to_input(CHAT),
    ),
    (Detokenize, {"tokens": [1]}, lambda data: check(Detokenize, data)),
    (
        EmbeddingRequest,
        {"model": "org/embed", "input": "x"},
        lambda data: check(EmbeddingRequest, data, limits()).to_input(),
    ),
    (
        PlainEmbeddingRequest,
        {"content": "x"},
        lambda data: check(PlainEmbeddingRequest, data, limits()).to_input(),
    ),
    (
        RerankRequest,
        {"model": "org/rerank", "query": "x", "documents": ["x"]},
        lambda data: check(RerankRequest, data, limits()).to_input(),
    ),
    (
        ScoreRequest,
        {"queries": "x", "documents": "x"},
        lambda data: check(ScoreRequest, data, limits()).to_input(),
    ),
    (
        TextsRerankRequest,
        {"query": "x", "texts": ["x"]},
        lambda data: check(TextsRerankRequest, data, limits()).to_input(),
    ),
    (OllamaChatRequest, {"model": "org/chat", "messages": [TURN]}, ollama_chat),
    (OllamaGenerateRequest, {"model": "org/chat", "prompt": "x"}, ollama_generate),
    (
        OllamaEmbedRequest,
        {"model": "org/embed", "input": "x"},
        lambda data: check(OllamaEmbedRequest, data, limits()).to_input(),
    ),
    (
        OllamaEmbeddingsRequest,
        {"model": "org/embed", "prompt": "x"},
        lambda data: check(OllamaEmbeddingsRequest, data, limits()).to_input(),
    ),
    (OllamaPullRequest, {"model": "x"}, lambda data: check(OllamaPullRequest, data).wanted),
]


def accepts(parse: Callable[[Any], object], data: dict[str, Any]) -> bool:
    try:
        parse(data)
    except InvalidRequest:
        return False
    return True


@pytest.mark.parametrize(
    ("kind", "least", "parse"), REQUESTS, ids=[kind.__name__ for kind, *_ in REQUESTS]
)
def test_each_key_is_described_as_it_is_checked(
    kind: type[Body], least: dict[str, Any], parse: Callable[[Any], object]
) -> None:
    """Whatever it holds: what JSON calls a number and Python a flag, for one."""
    schema = request_schema(kind, None, limits())
    described = Draft202012Validator(schema)
    differ = [
        (name, value)
        for name in schema["properties"]
        if name != "model"  # whose names the dispatcher checks
        for value in ODD
        if described.is_valid({**least, name: value}) != accepts(parse, {**least, name: value})
    ]
    assert not differ


@pytest.mark.parametrize("role", ["developer", "user", "assistant", "tool", "function"])
def test_each_key_of_a_message_is_described_as_it_is_checked(role: str) -> None:
    least = {"role": role, "content": "x", "name": "f"}
    if role != "function":  # which is asked for its name, and needs none beside an id
        least["tool_call_id"] = "c"
    described = Draft202012Validator(request_schema(ChatRequest, None, limits()))
    keys = ("content", "name", "refusal", "audio", "tool_calls", "function_call", "tool_call_id")
    requests = [
        {"model": "m", "messages": [{**least, key: value}]} for key in keys for value in ODD
    ]
    differ = [
        data["messages"]
        for data in requests
        if described.is_valid(data)
        != accepts(lambda data: parse_chat(data).to_input(CHAT, []), data)
    ]
    assert not differ


@pytest.mark.parametrize("budget_tokens", [0, 1, 1024, 2**31 - 1, 2**31, 1e300])
def test_how_long_it_may_think_is_described_as_it_is_checked(budget_tokens: float) -> None:
    thinking = {"type": "enabled", "budget_tokens": budget_tokens}
    data = {"model": "m", "max_tokens": 1, "messages": [TURN], "thinking": thinking}
    described = Draft202012Validator(request_schema(MessagesRequest, None, limits()))
    taken = accepts(
        lambda data: chat_of(*message_as_chat(parse(MessagesRequest, data), reasons=False)), data
    )
    assert described.is_valid(data) is taken


ANTHROPICS_TURNS: list[dict[str, Any]] = [
    {"role": role, "content": content}
    for role in ("user", "assistant", "system")
    for content in (
        *ODD,
        [{"type": "text", "text": "x"}],
        [{"type": "text", "text": "a\0"}],
        [{"type": "image", "source": {"type": "url", "url": "x"}}],
        [{"type": "document"}],
        [{"type": "tool_result", "tool_use_id": "t"}],
        [{"type": "tool_result", "tool_use_id": "t", "content": [{"type": "text", "text": "x"}]}],
        [{"type": "tool_result", "tool_use_id": "t", "content": [{"type": "thinking"}]}],
        [{"type": "tool_use", "id": "t", "name": "f", "input": {}}],
        [{"type": "tool_use", "id": "t", "name": "f g", "input": {}}],
        [{"type": "thinking", "thinking": "x"}],
        [{"type": "redacted_thinking"}],
    )
]


@pytest.mark.parametrize("turn", ANTHROPICS_TURNS, ids=str)
def test_each_turn_of_anthropics_api_is_described_as_it_is_checked(turn: dict[str, Any]) -> None:
    data = {"model": "m", "max_tokens": 1, "messages": [TURN, turn]}
    described = Draft202012Validator(request_schema(MessagesRequest, None, limits()))
    taken = accepts(
        lambda data: chat_of(
            *message_as_chat(parse(MessagesRequest, data), reasons=False)
        ).to_input(CHAT, []),
        data,
    )
    assert described.is_valid(data) is taken
