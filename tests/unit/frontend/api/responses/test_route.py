"""/v1/responses, over the application: what Codex sends, errors, what is kept."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from starlette.testclient import TestClient

from ipc.messages.control import AccessConfig
from ipc.messages.errors import ContextTooLong
from ipc.messages.events import CallArguments, CallOpened
from ipc.messages.jobs import ChatInput, TokenizeInput
from ipc.messages.keys import ApiKey
from tests.unit.frontend.http_fakes import (
    FakeDispatcher,
    FakeTokenizers,
    Script,
    application,
    chat_done,
    counts,
    says,
)

# What version 0.171.0 of OpenAI's command line program sends after a first call, recorded; texts of
# more than 200 characters are cut, and the folder is another.
CODEX: dict[str, Any] = orjson.loads(Path(__file__).with_name("codex_0_171_0.json").read_bytes())


def fails(stream: Any) -> None:
    stream.fail(ContextTooLong("`messages` has 9000 tokens", param="messages"))


def post(script: Script, **asked: Any) -> Any:
    with TestClient(application(FakeDispatcher(script))) as client:
        return client.post("/v1/responses", json={"model": "org/chat", "input": "Hi", **asked})


def test_what_codex_sends_is_answered() -> None:
    fake = FakeDispatcher(says("Two files."))
    with TestClient(application(fake)) as client:
        answer = client.post("/v1/responses", json=CODEX | {"model": "org/chat"})
    assert answer.status_code == 200
    names = [line for line in answer.text.split("\n") if line.startswith("event: ")]
    assert (names[0], names[-1]) == ("event: response.created", "event: response.completed")
    (job,) = fake.asked
    assert isinstance(job, ChatInput)
    assert [tool.name for tool in job.tools] == [
        tool["name"] for tool in CODEX["tools"] if tool["type"] == "function"
    ]
    assert [message.role for message in job.messages] == [
        *("system", "system", "user", "user"),
        *("assistant", "tool"),
    ]
    turn, result = job.messages[-2:]
    assert (turn.reasoning, turn.content) == ("Look.", "I look.")
    assert [(call.id, call.name) for call in turn.tool_calls] == [("call_1", "exec_command")]
    assert (result.tool_call_id, result.name) == ("call_1", "exec_command")


def test_a_prompt_that_is_too_long_is_refused_with_the_code_that_codex_reads() -> None:
    for stream in (False, True):
        answer = post(fails, stream=stream)
        assert answer.status_code == 400
        assert answer.json()["error"] == {
            "message": "`input` has 9000 tokens",
            "type": "invalid_request_error",
            "param": "input",
            "code": "context_length_exceeded",
        }


@pytest.mark.parametrize(
    ("asked", "param"),
    [
        (
            {"text": {"format": {"type": "json_schema", "schema": {"not": {}}}}},
            "text.format.schema",
        ),
        (
            {
                "tools": [
                    {"type": "web_search"},
                    {"type": "function", "name": "f", "parameters": {"not": {}}},
                ]
            },
            "tools[1].parameters",
        ),
        ({"model": "org/other"}, "model"),
    ],
)
def test_what_is_found_wrong_later_is_told_in_the_clients_words_too(
    asked: dict[str, Any], param: str
) -> None:
    error = post(says("x"), **asked).json()["error"]
    assert error["param"] == param


def test_what_of_a_loose_schema_is_dropped_is_named() -> None:
    loose = {"type": "json_schema", "schema": {"not": {}}, "strict": False}
    answer = post(says("{}"), text={"format": loose})
    assert (answer.status_code, answer.headers["x-schema-dropped"]) == (200, "#/not")


def test_reasoning_that_is_not_wanted_is_not_told() -> None:
    answer = post(says("Hello"), include_reasoning=False)
    assert [item["type"] for item in answer.json()["output"]] == ["message"]


# --- asked for again -----------------------------------------------------------------------------


@pytest.fixture
def fake() -> FakeDispatcher:
    return FakeDispatcher(says("It", " is."))


@pytest.fixture
def client(fake: FakeDispatcher) -> Iterator[TestClient]:
    with TestClient(application(fake)) as client:
        yield client


def respond(client: TestClient, **asked: Any) -> Any:
    answer = client.post("/v1/responses", json={"model": "org/chat", "input": "Hi", **asked})
    assert answer.status_code == 200, answer.text
    return answer.json()


def streamed(client: TestClient, **asked: Any) -> Any:
    """The last event's response."""
    asked = {"model": "org/chat", "input": "Hi", "stream": True, **asked}
    *_, last = client.post("/v1/responses", json=asked).text.removesuffix("\n\n").split("\n\n")
    return orjson.loads(last.partition("\ndata: ")[2])["response"]


def test_a_response_goes_on_from_another(client: TestClient, fake: FakeDispatcher) -> None:
    first = respond(client, instructions="Be kind.")
    second = streamed(client, input="And?", previous_response_id=first["id"])
    respond(client, input=[], previous_response_id=second["id"], instructions="Be brief.")
    assert second["previous_response_id"] == first["id"]
    assert [(message.role, message.content) for message in fake.asked[1].messages] == [
        ("user", "Hi"),
        ("assistant", "It is."),
        ("user", "And?"),
    ]
    assert [(message.role, message.content) for message in fake.asked[2].messages] == [
        ("system", "Be brief."),
        *[("user", "Hi"), ("assistant", "It is."), ("user", "And?"), ("assistant", "It is.")],
    ]


def test_a_response_is_there_until_it_is_deleted(client: TestClient) -> None:
    made = [respond(client), streamed(client)]
    for response in made:
        path = f"/v1/responses/{response['id']}"
        assert client.get(path).json() == response
        assert client.delete(path).json() == {
            "id": response["id"],
            "object": "response",
            "deleted": True,
        }
        for answer in (client.get(path), client.delete(path), client.get(f"{path}/input_items")):
            assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")


def test_what_is_not_built_is_no_response_of_that_name(client: TestClient) -> None:
    path = "/v1/responses/compact"
    for answer in (client.post(path, json={}), client.get(path)):
        assert answer.status_code == 404
        assert "OpenAI's API that is not built here" in answer.json()["error"]["message"]


def test_the_tokens_of_a_prompt_are_counted_with_what_it_goes_on_from() -> None:
    fake = FakeTokenizers(says("It is."))
    with TestClient(application(fake)) as client:
        first = respond(client, instructions="Be kind.")
        fake.script = counts(7)
        asked = {"model": "org/chat", "input": "And?", "previous_response_id": first["id"]}
        answer = client.post("/v1/responses/input_tokens", json=asked)
    assert answer.json() == {"object": "response.input_tokens", "input_tokens": 7}
    wanted = fake.asked[-1]
    assert isinstance(wanted, TokenizeInput)
    assert wanted.chat is not None
    assert [message.content for message in wanted.chat.messages] == ["Hi", "It is.", "And?"]


def test_what_cannot_be_counted_is_refused_in_the_words_of_the_request(client: TestClient) -> None:
    asked = {"model": "org/chat", "input": "x", "tools": [{"type": "function", "name": "a b"}]}
    for path in ("/v1/responses", "/v1/responses/input_tokens"):
        error = client.post(path, json=asked).json()["error"]
        assert error["param"] == "tools[0].name"


def test_a_path_tells_all_of_its_methods(client: TestClient) -> None:
    for path, allowed in (("/v1/responses/x", "DELETE, GET, HEAD"), ("/v1/responses", "POST")):
        told = [client.options(path), client.patch(path)]
        assert [answer.status_code for answer in told] == [204, 405]
        assert {answer.headers["allow"] for answer in told} == {allowed}


def test_what_is_not_to_be_stored_is_not(client: TestClient) -> None:
    response = respond(client, store=False)
    assert response["store"] is False
    assert client.get(f"/v1/responses/{response['id']}").status_code == 404
    refused = client.post(
        "/v1/responses",
        json={"model": "org/chat", "input": "x", "previous_response_id": response["id"]},
    )
    assert refused.status_code == 400
    error = refused.json()["error"]
    assert (error["code"], error["param"]) == (
        "previous_response_not_found",
        "previous_response_id",
    )


def test_the_items_of_a_response_are_listed(client: TestClient) -> None:
    items = [
        {"role": "user", "content": "Look", "id": "msg_mine"},
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": "x"},
    ]
    first = respond(client, input=items)
    second = respond(client, input="And?", previous_response_id=first["id"])
    path = f"/v1/responses/{second['id']}/input_items"
    listed = client.get(path, params={"order": "asc"}).json()
    assert [item["type"] for item in listed["data"]] == [
        *("message", "function_call", "function_call_output", "message", "message"),
    ]
    assert listed["data"][0] == {
        "id": "msg_mine",
        "type": "message",
        "role": "user",
        "content": [{"type": "input_text", "text": "Look"}],
    }
    assert listed["data"][3] == first["output"][0]
    ids = [item["id"] for item in listed["data"]]
    assert len({*ids}) == 5
    assert (listed["object"], listed["has_more"]) == ("list", False)
    assert (listed["first_id"], listed["last_id"]) == (ids[0], ids[-1])
    newest = client.get(path, params={"limit": 2}).json()
    assert [item["id"] for item in newest["data"]] == [ids[4], ids[3]]
    assert newest["has_more"] is True
    rest = client.get(path, params={"limit": 3, "after": ids[3]}).json()
    assert [item["id"] for item in rest["data"]] == [ids[2], ids[1], ids[0]]
    assert rest["has_more"] is False


@pytest.mark.parametrize("strange", ["msg_1", 5, {"a": "b"}, ["x"], "x" * 257, "\x00"])
def test_each_item_is_listed_once_whatever_its_id(client: TestClient, strange: Any) -> None:
    said = [("one", "msg_1"), ("two", strange), ("three", "msg_3"), ("four", strange)]
    items = [{"role": "user", "content": text, "id": item_id} for text, item_id in said]
    first = respond(client, input=items)
    second = respond(client, input=items, previous_response_id=first["id"])
    path = f"/v1/responses/{second['id']}/input_items"
    pages = [client.get(path, params={"limit": 1, "order": "asc"}).json()]
    while pages[-1]["has_more"] and len(pages) < 10:
        asked = {"limit": 1, "order": "asc", "after": pages[-1]["last_id"]}
        pages.append(client.get(path, params=asked).json())
    texts = [page["data"][0]["content"][0]["text"] for page in pages]
    once = ["one", "two", "three", "four"]
    assert texts == [*once, "It is.", *once]
    assert pages[0]["first_id"] == "msg_1"


@pytest.mark.parametrize(
    ("path", "param"),
    [
        ("?stream=true", "stream"),
        ("?starting_after=3", "starting_after"),
        ("/input_items?limit=0", "limit"),
        ("/input_items?limit=many", "limit"),
        ("/input_items?order=best", "order"),
        ("/input_items?after=msg_other", "after"),
    ],
)
def test_what_cannot_be_told_is_refused_by_name(client: TestClient, path: str, param: str) -> None:
    answer = client.get(f"/v1/responses/{respond(client)['id']}{path}")
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)


def test_what_was_made_with_one_key_is_not_there_for_another(fake: FakeDispatcher) -> None:
    keys = {name: ApiKey.of(name) for name in ("ann", "bob")}
    client = TestClient(application(fake, gate=AccessConfig(api_keys=keys)))
    ann, bob = ({"authorization": f"Bearer {name}"} for name in keys)
    asked = {"model": "org/chat", "input": "Hi"}
    made = client.post("/v1/responses", json=asked, headers=ann).json()["id"]
    assert client.get(f"/v1/responses/{made}", headers=bob).status_code == 404
    assert client.delete(f"/v1/responses/{made}", headers=bob).status_code == 404
    asked["previous_response_id"] = made
    assert client.post("/v1/responses", json=asked, headers=bob).status_code == 400
    assert client.post("/v1/responses", json=asked, headers=ann).status_code == 200


def test_nothing_goes_on_from_a_call_that_was_cut_off(fake: FakeDispatcher) -> None:
    def cut(stream: Any) -> None:
        stream.push(CallOpened("job", 0, "call_a", "f"), 0.0)
        stream.push(CallArguments("job", 0, '{"a'), 0.0)
        stream.push(chat_done("length"), 0.0)

    fake.script = cut
    with TestClient(application(fake)) as client:
        made = respond(client)["id"]
        answer = client.post(
            "/v1/responses",
            json={"model": "org/chat", "input": "x", "previous_response_id": made},
        )
    assert answer.status_code == 400
    assert "was cut off" in answer.json()["error"]["message"]


def test_a_history_is_bounded_as_a_body_is(fake: FakeDispatcher) -> None:
    with TestClient(application(fake, max_json_bytes=4000)) as client:
        first = respond(client, input="x" * 2000)["id"]
        asked = {"model": "org/chat", "input": "x" * 2000, "previous_response_id": first}
        answer = client.post("/v1/responses", json=asked)
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "request_too_large")


def test_the_items_of_a_history_are_bounded_as_those_of_a_request_are(client: TestClient) -> None:
    skipped = [{"type": "web_search_call", "id": "ws"}] * 5000
    asked = {"input": [{"role": "user", "content": "x"}, *skipped]}
    first = respond(client, **asked)["id"]
    second = respond(client, **asked, previous_response_id=first)["id"]
    refused = client.post(
        "/v1/responses", json={"model": "org/chat", "input": "x", "previous_response_id": second}
    )
    error = refused.json()["error"]
    assert (refused.status_code, error["param"]) == (400, "previous_response_id")
    assert "more than 8192 items" in error["message"]


def test_the_values_of_a_history_are_bounded_as_those_of_a_body_are(client: TestClient) -> None:
    action = {"type": "web_search_call", "id": "ws", "action": [1] * 100_000}
    asked = {"input": [{"role": "user", "content": "x"}, action]}
    first = respond(client, **asked)["id"]
    second = respond(client, **asked, previous_response_id=first)["id"]
    refused = client.post(
        "/v1/responses", json={"model": "org/chat", "input": "x", "previous_response_id": second}
    )
    assert (refused.status_code, refused.json()["error"]["code"]) == (413, "request_too_large")
