"""A chat in the terminal: what is sent, what is kept, and what is said where no answer comes."""

from __future__ import annotations

import json
from typing import Any

import httpx2
import pytest

from supervisor.cli.client import Unreached
from supervisor.cli.conversation import Conversation, NoAnswer, chat_model

MODELS = [
    {"id": "acme/embed", "capabilities": ["text-embedding"]},
    {"id": "acme/chat", "capabilities": ["chat-completion"]},
]


def events(*texts: str, end: str = "[DONE]") -> str:
    choices = [{"choices": [{"delta": {"content": text}}]} for text in texts]
    # A comment keeps the connection alive; the first event has a role, the last usage only.
    odd = [": still there", 'data: {"choices": [{"delta": {"role": "assistant"}}]}']
    lines = [*odd, *(f"data: {json.dumps(each)}" for each in choices), 'data: {"choices": []}']
    return "\n\n".join([*lines, f"data: {end}", ""])


class Server:
    def __init__(self, *answers: str | tuple[int, Any]) -> None:
        self._answers = list(answers)
        self.asked: list[dict[str, Any]] = []

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        if request.url.path == "/v1/models":
            return httpx2.Response(200, json={"data": MODELS})
        self.asked.append(json.loads(request.content))
        answer = self._answers.pop(0)
        if isinstance(answer, str):
            return httpx2.Response(200, text=answer)
        return httpx2.Response(answer[0], json=answer[1])


def client(server: Server) -> httpx2.Client:
    return httpx2.Client(base_url="http://box", transport=httpx2.MockTransport(server))


def test_every_turn_sends_all_that_was_said() -> None:
    server = Server(events("Hel", "lo"), events("Bye"))
    talk = Conversation(client(server), "acme/chat", "Be brief.")
    assert list(talk.answer("Hi")) == ["", "Hel", "lo"]
    assert "".join(talk.answer("Go")) == "Bye"
    system, hi, go = ({"role": r, "content": c} for r, c in
                      [("system", "Be brief."), ("user", "Hi"), ("user", "Go")])  # fmt: skip
    assert [asked["messages"] for asked in server.asked] == [
        [system, hi],
        [system, hi, {"role": "assistant", "content": "Hello"}, go],
    ]
    assert all(asked["stream"] and asked["model"] == "acme/chat" for asked in server.asked)
    talk.clear()
    assert talk.messages == []


def test_an_answer_that_is_stopped_is_kept_as_far_as_it_came() -> None:
    talk = Conversation(client(Server(events("One", "Two"))), "acme/chat", None)
    pieces = talk.answer("Count")
    assert [next(pieces), next(pieces)] == ["", "One"]
    pieces.close()
    assert talk.messages[-1] == {"role": "assistant", "content": "One"}


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ((503, {"error": {"message": "the model is loading"}}), "503: the model is loading"),
        ((502, ["?"]), '502: ["?"]'),
        (events("a", end='{"error": {"message": "the worker died"}}'), "the worker died"),
        (events("a").replace("data: [DONE]", ""), "the answer was cut off"),
    ],
)
def test_a_turn_without_a_whole_answer_is_forgotten_and_explained(answer: Any, said: str) -> None:
    talk = Conversation(client(Server(answer)), "acme/chat", None)
    with pytest.raises(NoAnswer, match=said.replace("[", r"\[").replace("?", r"\?")):
        list(talk.answer("Hi"))
    assert talk.messages == []


def test_the_model_is_the_first_that_chats_or_the_named_one() -> None:
    assert chat_model(client(Server()), None) == "acme/chat"
    assert chat_model(client(Server()), "acme/chat") == "acme/chat"
    with pytest.raises(Unreached, match=r"no chat model 'acme/embed'; did you mean acme/chat\?"):
        chat_model(client(Server()), "acme/embed")
