"""Routes of keys, and what is told of limits and of usage."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from frontend.app import Kept
from ipc.messages.admin import AddKey, ListKeys, RemoveKey, SetKey
from ipc.messages.control import AccessConfig, HistoryConfig
from ipc.messages.errors import Conflict
from ipc.messages.keys import ApiKey, KeyLimits, digest_of
from tests.unit.frontend.http_fakes import (
    FakeControl,
    FakeDispatcher,
    application,
    limits,
    report,
    says,
)

ADMIN, USER = "sk-of-an-admin-in-the-test", "sk-of-a-user-in-the-test"
LIMITS = KeyLimits(requests_per_min=2, tokens_per_day=1000)
GATE = AccessConfig(
    api_keys={
        "ann": ApiKey.of(ADMIN, "admin"),
        "bob": ApiKey(digest=digest_of(USER), limits=LIMITS),
    }
)
HI = {"model": "org/chat", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 50}


def key(secret: str) -> dict[str, str]:
    return {"authorization": f"Bearer {secret}"}


@pytest.fixture
def control() -> FakeControl:
    return FakeControl(report(chat="ready"))


@pytest.fixture
def client(control: FakeControl, tmp_path: Path) -> Any:
    history = HistoryConfig(file=str(tmp_path / "history.db"))
    kept = Kept.of(limits(gate=GATE, history=history), control.events)
    kept.store.begin()
    app = application(FakeDispatcher(says("hi")), control, kept=kept, gate=GATE, ollama=True)
    with TestClient(app) as client:
        yield client
    kept.store.end()


def test_a_key_is_made_here_and_its_digest_passed_on(
    client: TestClient, control: FakeControl
) -> None:
    control.report = {"name": "sam"}
    asked = {"role": "user", "requests_per_min": 60, "models": ["a"]}
    answer = client.post("/admin/keys/sam", json=asked, headers=key(ADMIN))
    secret = answer.json()["secret"]
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
    (wish,) = control.wishes
    assert isinstance(wish, AddKey)
    assert (wish.name, wish.key.digest, wish.key.requests_per_min) == (
        "sam",
        digest_of(secret),
        60,
    )
    assert secret.startswith("sk-")
    assert len(secret) == 46
    (act,) = control.acts
    assert (act.by, act.act, act.on, act.result) == ("ann", "key.add", "sam", "ok")


def test_a_key_is_changed_and_removed(client: TestClient, control: FakeControl) -> None:
    control.report = {"name": "bob"}
    changed = client.patch("/admin/keys/bob", json={"weight": 2}, headers=key(ADMIN))
    renewed = client.patch("/admin/keys/bob", json={"new_secret": True}, headers=key(ADMIN))
    client.delete("/admin/keys/bob", headers=key(ADMIN))
    client.get("/admin/keys", headers=key(ADMIN))
    assert changed.json()["secret"] is None
    first, second, third, fourth = control.wishes
    assert isinstance(first, SetKey)
    assert (first.change.digest, first.change.weight) == (None, 2.0)
    assert isinstance(second, SetKey)
    assert second.change.digest == digest_of(renewed.json()["secret"])
    assert (third, fourth) == (RemoveKey("bob"), ListKeys())
    assert [act.act for act in control.acts] == ["key.set", "key.set", "key.remove"]


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"role": "root"}, "role"),
        ({"weight": 0}, "weight"),
        ({"weight": 1e-05}, "weight"),
        ({"priority": 11}, "priority"),
        ({"tokens_per_day": -1}, "tokens_per_day"),
        ({"models": ["a b"]}, "models[0]"),
        ({"models": ["a", "é"]}, "models[1]"),
        ({"models": ["x\u001cghost:ghostsecret1234567:admin"]}, "models[0]"),
        ({"models": ["x\n"]}, "models[0]"),
    ],
)
def test_a_wrong_wish_is_named(
    client: TestClient, control: FakeControl, body: dict[str, Any], param: str
) -> None:
    answer = client.post("/admin/keys/sam", json=body, headers=key(ADMIN))
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)
    assert control.wishes == []


@pytest.mark.parametrize(
    ("body", "param", "meant"),
    [
        ({"request_per_min": 5}, "request_per_min", "did you mean `requests_per_min`?"),
        ({"secret": "sk-of-my-own"}, "secret", "there are role, weight"),
        ({"foo": 1, "weight": 2}, "foo", "there are role, weight"),
    ],
)
def test_a_slip_is_no_wish(
    client: TestClient, control: FakeControl, body: dict[str, Any], param: str, meant: str
) -> None:
    for method, path in (("POST", "/admin/keys/sam"), ("PATCH", "/admin/keys/bob")):
        answer = client.request(method, path, json=body, headers=key(ADMIN))
        error = answer.json()["error"]
        assert (answer.status_code, error["param"]) == (400, param)
        assert f"`{param}` is unknown; " in error["message"]
    answer = client.post("/admin/keys/sam", json=body, headers=key(ADMIN))
    assert meant in answer.json()["error"]["message"]
    assert control.wishes == []


@pytest.mark.parametrize("path", ["requests", "usage", "events", "samples", "logs/frontend"])
def test_a_slip_in_a_question_is_said(client: TestClient, path: str) -> None:
    answer = client.get(f"/admin/{path}?foo=1", headers=key(ADMIN))
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "foo")


def test_what_the_supervisor_refuses_is_told(client: TestClient, control: FakeControl) -> None:
    control.refusal = Conflict("it is the last key")
    answer = client.delete("/admin/keys/ann", headers=key(ADMIN))
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "conflict")
    assert control.acts[0].result == "conflict"


def test_a_user_may_do_none_of_it(client: TestClient, control: FakeControl) -> None:
    for method, path in (
        *(("GET", "/admin/keys"), ("POST", "/admin/keys/x"), ("PATCH", "/admin/keys/bob")),
        *(("DELETE", "/admin/keys/ann"), ("GET", "/admin/usage")),
    ):
        assert client.request(method, path, headers=key(USER)).status_code == 403, path
    assert control.wishes == []


# --- limits ---


def chat(client: TestClient, path: str = "/v1/chat/completions", **more: Any) -> Any:
    return client.post(path, json={**HI, **more}, headers=key(USER))


def test_a_limited_key_is_told_what_it_has_left(client: TestClient) -> None:
    answer = chat(client)
    told = {name: value for name, value in answer.headers.items() if "ratelimit" in name}
    assert answer.status_code == 200
    reset = told.pop("x-ratelimit-reset-tokens")
    assert reset.endswith("s")
    assert told.pop("x-ratelimit-reset-requests") in ("30s", "29.999s", "29.998s", "29.997s")
    assert told == {
        "x-ratelimit-limit-requests": "2",
        "x-ratelimit-remaining-requests": "1",
        "x-ratelimit-limit-tokens": "1000",
        "x-ratelimit-remaining-tokens": "949",  # half a token of prompt, and 50 that may come
    }
    assert not any("ratelimit" in name for name in client.get("/livez").headers)
    admin = client.get("/v1/models", headers=key(ADMIN))
    assert not any("ratelimit" in name for name in admin.headers)


@pytest.mark.parametrize("stream", [False, True])
def test_tokens_are_counted_as_they_were(client: TestClient, stream: bool) -> None:
    chat(client, stream=stream)
    # Of an answer for no model the headers tell it, too: the chat had 9 tokens.
    then = client.get("/v1/models", headers=key(USER))
    assert then.headers["x-ratelimit-remaining-tokens"] == "991"
    assert then.headers["x-ratelimit-remaining-requests"] == "1"


def test_whoever_asks_too_often_is_told_when_to_come_back(client: TestClient) -> None:
    assert [chat(client).status_code for _ in range(3)] == [200, 200, 429]
    refused = chat(client)
    error = refused.json()["error"]
    assert (error["code"], error["type"]) == ("rate_limit_exceeded", "rate_limit_error")
    assert "2 requests a minute" in error["message"]
    assert refused.headers["retry-after"] in ("29", "30")
    assert refused.headers["x-ratelimit-remaining-requests"] == "0"


def test_every_face_has_the_limits_in_its_own_words(client: TestClient) -> None:
    first = chat(client, "/v1/messages")
    second = client.post("/api/chat", json={**HI, "stream": False}, headers=key(USER))
    third, fourth = chat(client, "/v1/messages"), client.post("/api/chat", headers=key(USER))
    statuses = [one.status_code for one in (first, second, third, fourth)]
    assert statuses == [200, 200, 429, 429]
    assert first.headers["anthropic-ratelimit-requests-remaining"] == "1"
    assert third.json()["error"]["type"] == "rate_limit_error"
    assert third.headers["anthropic-ratelimit-requests-limit"] == "2"
    assert second.headers["x-ratelimit-remaining-requests"] == "0"
    assert "2 requests a minute" in fourth.json()["error"]


def test_a_day_that_is_used_up_is_no_reason_to_ask_again() -> None:
    bob = ApiKey(digest=digest_of(USER), limits=KeyLimits(tokens_per_day=9))
    gate = AccessConfig(api_keys={"bob": bob})
    with TestClient(application(FakeDispatcher(says("hi")), gate=gate)) as client:
        assert chat(client).status_code == 200
        refused = chat(client)
    error = refused.json()["error"]
    assert (refused.status_code, error["code"], error["type"]) == (
        *(429, "insufficient_quota", "insufficient_quota"),
    )
    assert refused.headers["x-should-retry"] == "false"
    assert 0 < int(refused.headers["retry-after"]) <= 86_400


# --- usage ---


def test_usage_is_told_to_who_runs_the_server(client: TestClient) -> None:
    chat(client)
    chat(client)
    chat(client)
    told = client.get("/admin/usage?by=key,model", headers=key(ADMIN)).json()
    assert [(row["key"], row["model"], row["requests"], row["failed"]) for row in told["rows"]] == [
        ("bob", "", 1, 1),
        ("bob", "org/chat", 2, 0),
    ]
    assert told["rows"][1]["prompt_tokens"] == 14
    table = client.get("/admin/usage?by=key&format=csv", headers=key(ADMIN))
    assert table.headers["content-type"].startswith("text/csv")
    assert table.text.splitlines()[1].startswith("bob,3,1,14,6,4")


def test_a_key_is_told_its_own_usage_and_no_other(client: TestClient) -> None:
    chat(client)
    own = client.get("/v1/usage?by=model&key=ann", headers=key(USER)).json()
    assert (own["key"], [row["requests"] for row in own["rows"]]) == ("bob", [1])
    assert own["left"]["tokens_of_day"]["remaining"] == 991
    others = client.get("/v1/usage", headers=key(ADMIN)).json()
    assert (others["key"], others["rows"]) == ("ann", [])


@pytest.mark.parametrize("query", ["by=colour", "since=yesterday", "days=0", "until=2026-13-01"])
def test_a_wrong_question_is_named(client: TestClient, query: str) -> None:
    answer = client.get(f"/admin/usage?{query}", headers=key(ADMIN))
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == query.partition("=")[0]


def test_tokens_of_keys_are_metrics_of_bounded_number(client: TestClient) -> None:
    chat(client)
    told = client.get("/metrics", headers=key(ADMIN)).text
    for kind, count in (("prompt", 7), ("cached", 3), ("completion", 2)):
        line = f'edge_serve_key_tokens_total{{key="bob",kind="{kind}",model="org/chat"}} {count}.0'
        assert line in told
