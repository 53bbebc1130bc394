"""Cookies in place of keys: who is let in with one, from where, and until when."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.testclient import TestClient

from frontend.http.sessions import MAX_SESSIONS, SESSION_S, Sessions, cookie_name
from ipc.messages.control import AccessConfig
from ipc.messages.keys import ApiKey
from tests.unit.frontend.http_fakes import FakeDispatcher, application

GATE = AccessConfig(
    api_keys={"ann": ApiKey.of("sesame", "admin"), "bob": ApiKey.of("poppy")},
    hosts=["testserver"],
)
OWN = {"origin": "http://testserver"}
# As a test's client asks, and as one of a socket without a port.
COOKIE = cookie_name({"type": "http", "server": ("testserver", 80)})
PLAIN = cookie_name({"type": "http"})


@pytest.fixture
def client() -> TestClient:
    return TestClient(application(FakeDispatcher(), gate=GATE))


def log_in(client: TestClient, key: str = "sesame") -> dict[str, Any]:
    found: dict[str, Any] = client.post("/login", json={"key": key}).json()
    return found


def test_a_key_is_changed_for_a_cookie(client: TestClient) -> None:
    assert client.get("/v1/models").status_code == 401
    answer = client.post("/login", json={"key": "sesame"})
    assert answer.json() | {"token": ""} == {
        "keys": True,
        "name": "ann",
        "role": "admin",
        "token": "",
    }
    words = answer.headers["set-cookie"].lower()
    assert "httponly" in words
    assert "samesite=strict" in words
    assert "sesame" not in words
    assert client.get("/v1/models").status_code == 200
    assert client.get("/session").json()["token"] == answer.json()["token"]


def test_an_unknown_key_gets_no_cookie(client: TestClient) -> None:
    answer = client.post("/login", json={"key": "guess"})
    assert answer.status_code == 401
    assert "set-cookie" not in answer.headers


def test_guesses_are_bounded(client: TestClient) -> None:
    for _ in range(10):
        assert client.post("/login", json={"key": "guess"}).status_code == 401
    refused = client.post("/login", json={"key": "guess"})
    assert (refused.status_code, refused.json()["error"]["code"]) == (429, "rate_limit_exceeded")


def test_whoever_guesses_keeps_nobody_out(client: TestClient) -> None:
    for _ in range(11):
        client.post("/login", json={"key": "guess"})
    assert client.post("/login", json={"key": "sesame"}).status_code == 200


def test_who_logs_out_is_out(client: TestClient) -> None:
    log_in(client)
    cookie = client.cookies[COOKIE]
    assert client.post("/logout").json() == {"logged_in": False}
    client.cookies.set(COOKIE, cookie)
    assert client.get("/v1/models").status_code == 401


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_another_site_cannot_read_with_the_cookie(client: TestClient, site: str) -> None:
    log_in(client)
    refused = client.get("/v1/models", headers={"sec-fetch-site": site})
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "cross_site")


@pytest.mark.parametrize("site", ["same-origin", "none"])
def test_the_page_itself_can(client: TestClient, site: str) -> None:
    log_in(client)
    assert client.get("/v1/models", headers={"sec-fetch-site": site}).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": "http://testserver:1"},
        OWN,
        {**OWN, "x-csrf": "guess"},
    ],
)
def test_a_change_needs_the_own_origin_and_the_token(
    client: TestClient, headers: dict[str, str]
) -> None:
    token = log_in(client)["token"]
    given = headers if "x-csrf" in headers or headers == OWN else {**headers, "x-csrf": token}
    body = {"model": "org/chat", "messages": [{"role": "user", "content": "hi"}]}
    refused = client.post("/v1/chat/completions", json=body, headers=given)
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "cross_site")


def test_with_both_it_is_made(client: TestClient) -> None:
    token = log_in(client)["token"]
    headers = {**OWN, "x-csrf": token}
    answer = client.post("/v1/embeddings", json={"input": 1}, headers=headers)
    assert answer.json()["error"]["code"] == "invalid_value"  # so far has it come


def test_a_key_that_is_sent_needs_neither(client: TestClient) -> None:
    log_in(client)
    headers = {"authorization": "Bearer poppy"}
    answer = client.post("/v1/embeddings", json={"input": 1}, headers=headers)
    assert answer.status_code == 400


def test_a_session_ends_by_itself_with_its_key_and_where_there_are_too_many() -> None:
    now, keys = [0.0], dict(GATE.api_keys)
    sessions = Sessions(keys, lambda: now[0])
    first, _ = sessions.open("ann")
    second, _ = sessions.open("bob")
    assert sessions.key_of(scope(first)) == "ann"
    keys["bob"] = ApiKey.of("another")
    assert sessions.key_of(scope(second)) is None
    now[0] = SESSION_S
    assert sessions.key_of(scope(first)) is None
    kept = [sessions.open("ann")[0] for _ in range(MAX_SESSIONS + 1)]
    assert sessions.key_of(scope(kept[0])) is None
    assert sessions.key_of(scope(kept[1])) == "ann"


def test_one_key_makes_room_of_its_own_sessions() -> None:
    sessions = Sessions(GATE.api_keys)
    admins, _ = sessions.open("ann")
    for _ in range(2 * MAX_SESSIONS):
        sessions.open("bob")
    assert sessions.key_of(scope(admins)) == "ann"


@pytest.mark.parametrize(
    "other",
    [
        *("a[b]=1", 'x={"a":1}', "n\xe4me=1", "path=/", "a=b c", 'a="unclosed', "=x", "expires"),
        f"{PLAIN}=of-another-server",
    ],
)
@pytest.mark.parametrize("order", [1, -1])
def test_cookies_of_other_servers_on_this_host_do_not_hide_it(other: str, order: int) -> None:
    sessions = Sessions(GATE.api_keys)
    secret, _ = sessions.open("ann")
    cookies = "; ".join([other, f"{PLAIN}={secret}"][::order])
    asked = {"type": "http", "method": "GET", "headers": [(b"cookie", cookies.encode("latin-1"))]}
    assert sessions.key_of(asked) == "ann"
    sessions.close(asked)
    assert sessions.key_of(asked) is None


def test_two_servers_of_one_host_are_logged_in_at_beside_each_other() -> None:
    """Browsers send a host's cookies to all of its ports, so one would overwrite the other's."""
    clients = [
        TestClient(application(FakeDispatcher(), gate=GATE), base_url=f"http://testserver:{port}")
        for port in (8000, 8001)
    ]
    clients[1].cookies = clients[0].cookies  # one browser
    for client in clients:
        log_in(client)
    assert [client.get("/v1/models").status_code for client in clients] == [200, 200]


def test_nothing_is_changed_by_an_address_alone(client: TestClient) -> None:
    log_in(client)
    refused = client.get("/unload")  # as for an image, by a browser that does not say from where
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "cross_site")
    assert client.head("/unload").status_code == 403
    assert client.get("/logs").status_code == 200


def scope(cookie: str) -> dict[str, Any]:
    headers = [(b"cookie", f"other=1; {PLAIN}={cookie}".encode())]
    return {"type": "http", "method": "GET", "headers": headers}
