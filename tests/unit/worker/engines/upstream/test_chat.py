"""What an upstream is asked for a chat: everything that was asked for, and nothing that was not."""

from __future__ import annotations

from typing import Any

import pytest

from ipc.messages.errors import InvalidRequest, UnsupportedParameter
from ipc.messages.jobs import (
    ChatInput,
    Choice,
    Fill,
    Form,
    Gbnf,
    Json,
    Message,
    RawPrompt,
    Regex,
    Sampling,
    Text,
    Tokens,
    Tool,
    ToolCall,
)
from tests.unit.worker.engines.streams import chat
from worker.engines.upstream.chat import chat_body
from worker.engines.upstream.completions import completion
from worker.engines.upstream.servers import ANY, SERVERS, TGI, Server, server_of

HI = [Message("user", "hi")]
EDGE, LLAMA, OLLAMA, LM_STUDIO, SGLANG, VLLM = (
    SERVERS[owner]
    for owner in ("edge-serve", "llamacpp", "library", "organization_owner", "sglang", "vllm")
)
KINDS: list[Server] = [ANY, TGI, *SERVERS.values()]


def added(asked: ChatInput, server: Server = ANY) -> dict[str, Any]:
    """What a request for ``asked`` has beyond one that asks for nothing."""
    plain = chat_body(chat(), "m", server)
    body = chat_body(asked, "m", server)
    return {name: value for name, value in body.items() if plain.get(name) != value}


def refused(asked: ChatInput, server: Server) -> str | None:
    """The parameter for which it is."""
    with pytest.raises(UnsupportedParameter) as refusal:
        completion(asked, "m", server) if asked.prompts else chat_body(asked, "m", server)
    return refusal.value.param


def test_nothing_but_the_usual_is_sent_where_nothing_else_is_asked_for() -> None:
    body = chat_body(ChatInput(messages=HI, sampling=Sampling(max_tokens=9)), "m", ANY)
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
        "n": 3,
    }
    sampling = Sampling(max_tokens=9, repetition_penalty=1.1, **asked)  # type: ignore[arg-type]
    body = chat_body(ChatInput(messages=HI, sampling=sampling), "m", ANY)
    assert asked.items() <= body.items()
    assert (body["repetition_penalty"], body["repeat_penalty"]) == (1.1, 1.1)
    assert body["repeat_last_n"] > 100_000  # penalties are over all tokens here


def test_a_history_of_calls_is_passed_on() -> None:
    call = ToolCall(id="c1", name="f", arguments='{"a": 1}')
    messages = [
        Message("user", "hi", name="ann"),
        Message("assistant", "", tool_calls=[call], reasoning="hm"),
        Message("tool", "4", tool_call_id="c1", name="f"),
    ]
    body = chat_body(ChatInput(messages=messages, sampling=Sampling(max_tokens=9)), "m", ANY)
    function = {"name": "f", "arguments": '{"a": 1}'}
    assert body["messages"] == [
        {"role": "user", "content": "hi", "name": "ann"},
        {
            "role": "assistant",
            "content": "",
            "reasoning_content": "hm",
            "reasoning": "hm",
            "tool_calls": [{"id": "c1", "type": "function", "function": function}],
        },
        {"role": "tool", "content": "4", "tool_call_id": "c1", "name": "f"},
    ]


SAMPLERS = {
    "top_k": 5,
    "min_p": 0.1,
    "repetition_penalty": 1.1,
    "ignore_eos": True,
    "min_tokens": 1,
    "stop_token_ids": [2],
    "n": 2,
    "logit_bias": {7: 1.0},
    "presence_penalty": 0.5,
    "logprobs": 3,
}


@pytest.mark.parametrize("server", KINDS, ids=lambda server: server.kind)
@pytest.mark.parametrize("name", SAMPLERS)
def test_what_a_server_is_known_to_skip_is_refused_by_name(server: Server, name: str) -> None:
    sampling = Sampling(max_tokens=9, **{name: SAMPLERS[name]})  # type: ignore[arg-type]
    asked = ChatInput(messages=HI, sampling=sampling)
    raw = ChatInput(prompts=[Text("hi")], sampling=sampling)
    if name in server.skips:
        assert refused(asked, server) == name
    else:
        assert name in chat_body(asked, "m", server)
    if name in server.skips_raw:
        assert refused(raw, server) == name
    else:
        assert name in completion(raw, "m", server)[1]


@pytest.mark.parametrize(
    ("owned_by", "server"),
    [("vllm", VLLM), ("llamacpp", LLAMA), ("me", ANY), ("", ANY), ("org/model", TGI)],
)
def test_a_server_is_known_by_whose_its_models_are(owned_by: str, server: Server) -> None:
    assert server_of(owned_by, "org/model") is server
    assert server_of(owned_by, "org/model", False) is server


def test_edge_serve_is_known_by_what_it_says_its_models_can_do() -> None:
    assert server_of("whoever", "org/model", True) is EDGE


def test_log_probabilities_and_biases_are_asked_for_in_openais_words() -> None:
    assert added(chat({"logprobs": 0})) == {"logprobs": True}
    assert added(chat({"logprobs": 3})) == {"logprobs": True, "top_logprobs": 3}
    assert added(chat({"logit_bias": {7: -100.0}})) == {"logit_bias": {"7": -100.0}}


# --- tools ---------------------------------------------------------------------------------------

F = Tool(name="f", description="does f", parameters='{"type": "object"}', strict=True)
G = Tool(name="g")
F_SAID = {
    "type": "function",
    "function": {
        "name": "f",
        "description": "does f",
        "parameters": {"type": "object"},
        "strict": True,
    },
}
G_SAID = {
    "type": "function",
    "function": {"name": "g", "parameters": {"type": "object", "properties": {}}},
}


@pytest.mark.parametrize(
    ("asked", "server", "said"),
    [
        (chat(tools=[F, G]), ANY, {"tools": [F_SAID, G_SAID]}),
        (chat(tools=[F], must_call=True), ANY, {"tools": [F_SAID], "tool_choice": "required"}),
        (chat(tools=[F], must_call=True), TGI, {"tools": [F_SAID], "tool_choice": "f"}),
        (
            chat(tools=[F], parallel_calls=False),
            VLLM,
            {"tools": [F_SAID], "parallel_tool_calls": False},
        ),
        (chat(tools=[F]), LLAMA, {"tools": [F_SAID], "parallel_tool_calls": True}),
        (chat(parallel_calls=False), VLLM, {}),
    ],
)
def test_tools_are_offered(asked: ChatInput, server: Server, said: dict[str, Any]) -> None:
    assert added(asked, server) == said


def test_what_of_tools_a_server_is_known_to_skip_is_refused() -> None:
    assert refused(chat(tools=[F, G], must_call=True), TGI) == "tool_choice"
    assert refused(chat(tools=[F], parallel_calls=False), OLLAMA) == "parallel_tool_calls"


# --- forms ---------------------------------------------------------------------------------------

SCHEMA = {"type": "object", "required": ["a"]}
A_JSON = Json(schema='{"type": "object", "required": ["a"]}')
LOOSE = Json(schema='{"type": "object", "required": ["a"]}', strict=False)
AN_OBJECT = Json(schema='{"type": "object"}')
CHOICE = Choice(texts=['a"b', "c\\d\n"])
AS_GRAMMAR = r'root ::= "a\"b" | "c\\d\x0a"'


def schema(schema: Any, *, strict: bool = True) -> dict[str, Any]:
    named = {"name": "answer", "schema": schema, "strict": strict}
    return {"response_format": {"type": "json_schema", "json_schema": named}}


def outputs(**said: Any) -> dict[str, Any]:
    return {"structured_outputs": said}


FORMS: list[tuple[Form, Server, dict[str, Any]]] = [
    (A_JSON, ANY, schema(SCHEMA)),
    (A_JSON, VLLM, schema(SCHEMA)),
    (LOOSE, ANY, schema(SCHEMA, strict=False)),
    (A_JSON, TGI, {"response_format": {"type": "json", "value": SCHEMA}}),
    (AN_OBJECT, ANY, {"response_format": {"type": "json_object"}}),
    (AN_OBJECT, LLAMA, schema({"type": "object"})),
    (Regex(pattern="a+"), VLLM, outputs(regex="a+")),
    (Regex(pattern="a+"), EDGE, outputs(regex="a+")),
    (Regex(pattern="a+"), SGLANG, {"regex": "a+"}),
    (Regex(pattern="a+"), TGI, {"response_format": {"type": "regex", "value": "a+"}}),
    (CHOICE, VLLM, outputs(choice=CHOICE.texts)),
    (CHOICE, EDGE, outputs(choice=CHOICE.texts)),
    (CHOICE, SGLANG, {"ebnf": AS_GRAMMAR}),
    (CHOICE, LLAMA, {"grammar": AS_GRAMMAR}),
    (Choice(texts=["a.", "b"]), TGI, {"response_format": {"type": "regex", "value": "a\\.|b"}}),
    (Gbnf(text="root ::= x"), LLAMA, {"grammar": "root ::= x"}),
    (Gbnf(text="root ::= x"), EDGE, {"grammar": "root ::= x"}),
    (Gbnf(text="root ::= x"), VLLM, outputs(grammar="root ::= x")),
    (Gbnf(text="root ::= x"), SGLANG, {"ebnf": "root ::= x"}),
]


@pytest.mark.parametrize(("form", "server", "said"), FORMS)
def test_a_form_is_asked_for_in_the_servers_words(
    form: Form, server: Server, said: dict[str, Any]
) -> None:
    assert added(chat(form=form), server) == said


@pytest.mark.parametrize(
    ("form", "server"),
    [
        (Regex(pattern="a+"), ANY),
        (Regex(pattern="a+"), LLAMA),
        (CHOICE, ANY),
        (CHOICE, OLLAMA),
        (Gbnf(text="root ::= x"), ANY),
        (Gbnf(text="root ::= x"), TGI),
        (Gbnf(text="root ::= x"), LM_STUDIO),
    ],
)
def test_a_form_without_words_for_it_is_refused(form: Form, server: Server) -> None:
    name = {Regex: "regex", Choice: "choice", Gbnf: "grammar"}[type(form)]
    assert refused(chat(form=form), server) == f"structured_outputs.{name}"


# --- reasoning and templates ---------------------------------------------------------------------

THINKS = {"enable_thinking": True, "thinking": True}
NOT = {"enable_thinking": False, "thinking": False}


@pytest.mark.parametrize(
    ("args", "server", "said"),
    [
        ({"a": 1}, VLLM, {"chat_template_kwargs": {"a": 1}}),
        (
            {"reasoning_effort": "low", **THINKS},
            SGLANG,
            {"reasoning_effort": "low", "chat_template_kwargs": THINKS},
        ),
        (NOT, LLAMA, {"chat_template_kwargs": NOT}),
        # in OpenAI's word, to those who are not known to have another
        ({"reasoning_effort": "low", **THINKS}, ANY, {"reasoning_effort": "low"}),
        (NOT, ANY, {"reasoning_effort": "none"}),
        (NOT, OLLAMA, {"reasoning_effort": "none"}),
        (THINKS, OLLAMA, {}),
        # who is unknown is taken at his word
        (THINKS, ANY, {"chat_template_kwargs": THINKS}),
        ({"a": 1}, ANY, {"chat_template_kwargs": {"a": 1}}),
    ],
)
def test_keywords_reach_the_template(
    args: dict[str, Any], server: Server, said: dict[str, Any]
) -> None:
    assert added(chat(template_args=args), server) == said


@pytest.mark.parametrize("server", [OLLAMA, TGI, LM_STUDIO])
def test_keywords_that_would_be_skipped_are_refused(server: Server) -> None:
    assert refused(chat(template_args={"a": 1}), server) == "chat_template_kwargs"


CONTINUES = {"continue_final_message": True, "add_generation_prompt": False}
# asked, its parameter, and the words of those who have any
OF_FEW: list[tuple[ChatInput, str, dict[str, dict[str, Any]]]] = [
    (
        chat(reasoning_tokens=0),
        "thinking_token_budget",
        {
            "vllm": {"thinking_token_budget": 0},
            "edge-serve": {"thinking_token_budget": 0},
            "llama.cpp": {"thinking_budget_tokens": 0},
        },
    ),
    (
        chat(split_reasoning=False),
        "reasoning_format",
        {
            "sglang": {"separate_reasoning": False},
            "edge-serve": {"reasoning_format": "none"},
            "llama.cpp": {"reasoning_format": "none"},
        },
    ),
    (
        chat(continues_last=True),
        "continue_final_message",
        {"vllm": CONTINUES, "sglang": CONTINUES, "edge-serve": CONTINUES, "llama.cpp": {}},
    ),
]


@pytest.mark.parametrize("server", KINDS, ids=lambda server: server.kind)
@pytest.mark.parametrize(("asked", "param", "said"), OF_FEW, ids=[param for _, param, _ in OF_FEW])
def test_what_has_no_key_of_openais_is_asked_in_the_servers_or_refused(
    asked: ChatInput, param: str, said: dict[str, dict[str, Any]], server: Server
) -> None:
    if server.kind in said:
        assert added(asked, server) == said[server.kind]
    else:
        assert refused(asked, server) == param


# --- prompts -------------------------------------------------------------------------------------


def raw(*prompts: RawPrompt, sampling: dict[str, Any] | None = None, **asked: Any) -> ChatInput:
    picked = Sampling(max_tokens=9, **(sampling or {}))
    return ChatInput(prompts=list(prompts), sampling=picked, **asked)


def asked_raw(asked: ChatInput, server: Server = ANY) -> dict[str, Any]:
    """What is beyond the model and the sampling."""
    path, body = completion(asked, "m", server)
    assert path == "completions"
    plain = chat_body(chat(), "m", server)
    return {name: value for name, value in body.items() if plain.get(name) != value}


GAP = Fill(prefix="a", suffix="c")


@pytest.mark.parametrize(
    ("asked", "server", "said"),
    [
        (raw(Text("a")), ANY, {"prompt": "a"}),
        (raw(Text("a"), Text("b"), echo=True), ANY, {"prompt": ["a", "b"], "echo": True}),
        (raw(Tokens(ids=[1, 2])), ANY, {"prompt": [1, 2]}),
        (raw(Tokens(ids=[1]), Tokens(ids=[2, 3])), ANY, {"prompt": [[1], [2, 3]]}),
        (raw(GAP), OLLAMA, {"prompt": "a", "suffix": "c"}),
        (raw(GAP, Fill(prefix="b", suffix="c")), VLLM, {"prompt": ["a", "b"], "suffix": "c"}),
        (raw(Text("a"), sampling={"logprobs": 0}), ANY, {"prompt": "a", "logprobs": 1}),
        (raw(Text("a"), sampling={"logprobs": 4}), ANY, {"prompt": "a", "logprobs": 4}),
        (raw(Text("a"), form=A_JSON), VLLM, {"prompt": "a", **schema(SCHEMA)}),
        (raw(Text("a"), form=A_JSON), LLAMA, {"prompt": "a", "json_schema": SCHEMA}),
    ],
)
def test_prompts_go_out_as_they_are(asked: ChatInput, server: Server, said: dict[str, Any]) -> None:
    assert asked_raw(asked, server) == said


def test_llama_cpp_fills_gaps_on_a_path_of_its_own() -> None:
    gap = Fill(prefix="a", suffix="c", files=[("f.py", "x")])
    for server in (LLAMA, EDGE):
        path, body = completion(raw(gap, sampling={"n": 2, "logprobs": 3}), "m", server)
        assert path == "/infill"
        assert body.items() >= {
            ("input_prefix", "a"),
            ("input_suffix", "c"),
            ("prompt", ""),
            ("n_predict", 9),
            ("n_cmpl", 2),
            ("n_probs", 3),
            ("stream", True),
        }
        assert body["input_extra"] == [{"filename": "f.py", "text": "x"}]


@pytest.mark.parametrize(
    ("asked", "server", "param"),
    [
        (raw(Fill(prefix="a", suffix="c", files=[("f", "x")])), VLLM, "input_extra"),
        (raw(GAP), SGLANG, "suffix"),
        (raw(Text("a"), echo=True), OLLAMA, "echo"),
        (raw(Text("a"), form=A_JSON), OLLAMA, "response_format"),
    ],
)
def test_what_of_prompts_a_server_cannot_do_is_refused(
    asked: ChatInput, server: Server, param: str
) -> None:
    assert refused(asked, server) == param


@pytest.mark.parametrize(
    ("asked", "server"),
    [
        (raw(Text("a"), Tokens(ids=[1])), ANY),
        (raw(Text("a"), GAP), ANY),
        (raw(GAP, Fill(prefix="a", suffix="d")), VLLM),
        (raw(GAP, GAP), LLAMA),
        (raw(GAP, echo=True), LLAMA),
    ],
)
def test_prompts_that_cannot_be_asked_together_are_refused(
    asked: ChatInput, server: Server
) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        completion(asked, "m", server)
    assert refusal.value.param == "prompt"
