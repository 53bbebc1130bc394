"""/tokenize, /detokenize, /apply-template and /props, in the forms of three servers."""

from __future__ import annotations

import time
from typing import Any

import pytest
from msgspec.structs import replace
from starlette.testclient import TestClient

from frontend.api.compat.props import RouterProps, props
from frontend.api.compat.tokens_answer import spans
from frontend.dispatch.stream import Stream
from ipc.messages.events import Done, Token, TokenizeResult
from ipc.messages.jobs import TokenizeInput
from ipc.messages.spec import Defaults, Loaded, Spec
from ipc.messages.state import ModelState
from tests.unit.frontend.http_fakes import CHAT, FakeDispatcher, Script, application

HI = [{"role": "user", "content": "Hi"}]
ROW = [Token(1, b"<s>", control=True), Token(5, b"Hi"), Token(6, b"\xc3"), Token(7, b"\xa9")]


class Asked(FakeDispatcher):
    """A model for chats whose tokenizer answers with ``rows``."""

    def __init__(self, *rows: list[Token], text: str = "", tokenizes: bool = True) -> None:
        super().__init__(answers(TokenizeResult(rows=list(rows) or [ROW], text=text)))
        self.tokenizes = tokenizes

    def state(self, name: str) -> ModelState:
        loaded = Loaded(device="cpu", context_tokens=2048, tokenizes=self.tokenizes)
        return ModelState(name=name, routes=[], state="ready", loaded=loaded)


def answers(result: TokenizeResult) -> Script:
    def script(stream: Stream) -> None:
        stream.push(Done("job", result), time.monotonic())

    return script


def post(path: str, body: Any, fake: FakeDispatcher) -> Any:
    with TestClient(application(fake)) as client:
        return client.post(path, json=body)


@pytest.mark.parametrize(
    ("body", "asked"),
    [
        ({"content": "a"}, TokenizeInput(texts=["a"], begins=False, reads_control=True)),
        (
            {"content": "a", "add_special": True, "parse_special": False},
            TokenizeInput(texts=["a"]),
        ),
        ({"prompt": "a"}, TokenizeInput(texts=["a"], reads_control=True)),
        (
            {"prompt": "a", "add_special_tokens": False, "content": None},
            TokenizeInput(texts=["a"], begins=False, reads_control=True),
        ),
    ],
)
def test_what_is_asked_of_a_text(body: dict[str, Any], asked: TokenizeInput) -> None:
    fake = Asked()
    answer = post("/tokenize", body, fake)
    assert answer.json() == {
        "tokens": [1, 5, 6, 7],
        "count": 4,
        "max_model_len": 2048,
        "token_strs": None,
    }
    assert fake.asked == [asked]


def test_teis_form_tells_where_each_token_is() -> None:
    fake = Asked(ROW, [Token(5, b"Hi")])
    answer = post("/tokenize", {"inputs": ["Hié", "Hi"], "model": "org/chat"}, fake).json()
    assert fake.asked == [TokenizeInput(texts=["Hié", "Hi"], reads_control=True)]
    assert answer[1] == [{"id": 5, "text": "Hi", "special": False, "start": 0, "stop": 2}]
    assert [(one["start"], one["stop"]) for one in answer[0]] == [
        (None, None),
        (0, 2),
        (2, 2),
        (2, 3),
    ]


@pytest.mark.parametrize(
    ("row", "text", "places"),
    [
        ([Token(5, b" a"), Token(6, b" b")], "a b", [(0, 1), (1, 3)]),
        ([Token(1, b"<s>", control=True), Token(5, b"a")], "<s>a", [(0, 3), (3, 4)]),
        ([], "", []),
    ],
)
def test_places_of_tokens(row: list[Token], text: str, places: list[Any]) -> None:
    assert [(one["start"], one["stop"]) for one in spans(row, text)] == places


def test_pieces_are_texts_or_their_bytes() -> None:
    body = {"content": "Hié", "with_pieces": True}
    assert post("/tokenize", body, Asked()).json()["tokens"] == [
        {"id": 1, "piece": "<s>"},
        {"id": 5, "piece": "Hi"},
        {"id": 6, "piece": [0xC3]},
        {"id": 7, "piece": [0xA9]},
    ]


def test_a_chat_is_counted_as_it_would_be_asked() -> None:
    fake = Asked()
    tool = {"type": "function", "function": {"name": "f"}}
    body = {"messages": HI, "tools": [tool], "return_token_strs": True}
    answer = post("/tokenize", body, fake).json()
    assert answer["token_strs"] == ["<s>", "Hi", "\ufffd", "\ufffd"]
    (asked,) = fake.asked
    assert [message.text for message in asked.chat.messages] == ["Hi"]
    assert [tool.name for tool in asked.chat.tools] == ["f"]


def test_a_chat_may_go_on_with_its_last_message() -> None:
    fake = Asked(text="")
    turns = [*HI, {"role": "assistant", "content": "Well"}]
    body = {"messages": turns, "continue_final_message": True, "add_generation_prompt": False}
    assert post("/apply-template", body, fake).status_code == 200
    assert fake.asked[0].chat.continues_last


def test_detokenize_answers_by_both_names() -> None:
    fake = Asked(text="Hi")
    answer = post("/detokenize", {"tokens": [5]}, fake)
    assert answer.json() == {"content": "Hi", "prompt": "Hi"}
    assert fake.asked == [TokenizeInput(ids=[5])]


def test_a_template_is_applied() -> None:
    fake = Asked(text="<s>Hi")
    assert post("/apply-template", {"messages": HI}, fake).json() == {"prompt": "<s>Hi"}
    assert fake.asked[0].chat.messages[0].content == "Hi"


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        ("/tokenize", {}, "content"),
        ("/tokenize", {"content": 3}, "content"),
        ("/tokenize", {"inputs": []}, "inputs"),
        ("/tokenize", {"inputs": [1]}, "inputs[0]"),
        ("/tokenize", {"prompt": "x" * 101}, "prompt"),
        ("/tokenize", {"messages": []}, "messages"),
        ("/tokenize", {"content": "a", "model": "org/embed"}, "model"),
        ("/tokenize", {"content": "a", "model": "org/none"}, "model"),
        ("/tokenize", {"messages": HI, "add_generation_prompt": False}, "add_generation_prompt"),
        ("/tokenize", {"messages": HI, "chat_template": "x"}, "chat_template"),
        ("/detokenize", {}, "tokens"),
        ("/detokenize", {"tokens": ["a"]}, "tokens[0]"),
        ("/detokenize", {"tokens": [-1]}, "tokens[0]"),
        ("/apply-template", {"content": "a"}, "messages"),
        ("/apply-template", {"messages": HI, "prompt": "a"}, "prompt"),
    ],
)
def test_what_is_wrong_is_named(path: str, body: dict[str, Any], param: str) -> None:
    answer = post(path, body, Asked())
    assert answer.status_code in (400, 404)
    assert answer.json()["error"]["param"] == param


def test_an_engine_without_a_tokenizer_is_named() -> None:
    fake = Asked(tokenizes=False)
    answer = post("/tokenize", {"content": "a"}, fake)
    assert answer.status_code == 400
    assert "model org/chat cannot be asked for tokens" in answer.json()["error"]["message"]
    assert fake.asked == []


def test_props_say_how_long_a_prompt_may_be() -> None:
    with TestClient(application(Asked())) as client:
        alone = client.get("/props").json()
        named = client.get("/props", params={"model": "org/chat"}).json()
        missing = client.get("/props", params={"model": "org/embed"})
    assert alone == named
    assert alone["default_generation_settings"]["n_ctx"] == 2048
    assert alone["modalities"] == {"vision": False, "audio": False}
    assert missing.status_code == 404


def test_props_of_several_chat_models_say_that_one_is_to_be_named() -> None:
    fake = Asked()
    fake.specs["org/other"] = replace(CHAT, name="org/other")
    with TestClient(application(fake)) as client:
        all_of_them = client.get("/props").json()
        named = client.get("/props?model=org/other&autoload=false").json()
    RouterProps.model_validate(all_of_them)
    assert all_of_them["role"] == "router"
    assert (named["role"], named["model_alias"]) == ("model", "org/other")


@pytest.mark.parametrize(("reasoning", "usual"), [(False, 512), (True, 2048)])
def test_props_say_how_much_is_written_where_nobody_says(reasoning: bool, usual: int) -> None:
    spec = Spec(name="m", task="chat", engine="x", path="")
    told = props(spec, Loaded(device="cpu", reasoning=reasoning))
    assert told["default_generation_settings"]["params"]["n_predict"] == usual


def test_props_of_a_model_that_is_not_loaded() -> None:
    spec = Spec(
        name="m", task="chat", engine="x", path="", slots=3, vision=True, defaults=Defaults(top_k=5)
    )
    told = props(spec, None)
    assert told["default_generation_settings"]["n_ctx"] is None
    assert told["default_generation_settings"]["params"]["top_k"] == 5
    assert (told["total_slots"], told["modalities"]["vision"]) == (3, True)
