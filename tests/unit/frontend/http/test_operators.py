"""Who may manage this server, and who may not."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.testclient import TestClient

from frontend.http.request_context import RequestContext, is_forwarded
from ipc.messages.control import AccessConfig
from ipc.messages.keys import ApiKey
from tests.unit.frontend.http_fakes import FakeControl, FakeDispatcher, application, report

USER, ADMIN = "sk-of-a-user-in-the-test", "sk-of-an-admin-in-the-test"
KEYS = AccessConfig(api_keys={"ann": ApiKey.of(ADMIN, "admin"), "bob": ApiKey.of(USER)})
PATH = "/admin/models"


def ask(
    headers: dict[str, str] | None = None,
    *,
    gate: AccessConfig | None = None,
    peer: str = "127.0.0.1",
    host: str = "localhost:8000",
) -> Any:
    control = FakeControl(report(chat="ready"))
    app = application(FakeDispatcher(), control, gate=gate or AccessConfig())
    client = TestClient(app, base_url="http://localhost:8000", client=(peer, 40_000))
    return client.get(PATH, headers={"host": host, **(headers or {})})


def key(secret: str) -> dict[str, str]:
    return {"authorization": f"Bearer {secret}"}


def code(answer: Any) -> Any:
    return answer.status_code, answer.json().get("error", {}).get("code")


def test_a_key_needs_the_role_admin() -> None:
    assert code(ask(gate=KEYS)) == (401, "invalid_api_key")
    assert code(ask(key(USER), gate=KEYS)) == (403, "admin_required")
    assert code(ask(key(ADMIN), gate=KEYS)) == (200, None)


def test_with_keys_it_does_not_matter_where_the_request_comes_from() -> None:
    headers = {**key(ADMIN), "x-forwarded-for": "10.0.0.9"}
    proxied = ask(headers, gate=KEYS, peer="10.0.0.7", host="box.lan")
    assert code(proxied) == (200, None)


@pytest.mark.parametrize("peer", ["127.0.0.1", "127.0.0.9", "::1", "::ffff:127.0.0.1"])
@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:8000", "[::1]:8000"])
def test_without_keys_this_machine_may(peer: str, host: str) -> None:
    assert code(ask(peer=peer, host=host)) == (200, None)


@pytest.mark.parametrize("peer", ["10.0.0.7", "172.17.0.1", "fe80::1", "testclient"])
def test_and_nobody_else(peer: str) -> None:
    assert code(ask(peer=peer)) == (403, "admin_required")


@pytest.mark.parametrize(
    "name", ["x-forwarded-for", "forwarded", "x-real-ip", "via", "x-forwarded-proto"]
)
def test_what_a_proxy_on_this_machine_passes_on_is_from_anybody(name: str) -> None:
    answer = ask({name: "127.0.0.1"})
    assert code(answer) == (403, "admin_required")
    assert "came through a proxy" in answer.json()["error"]["message"]


def test_nor_what_a_proxy_passes_on_that_says_nothing_but_speaks_as_nginx_does() -> None:
    scope = {"type": "http", "http_version": "1.0", "headers": [], "client": ("127.0.0.1", 1)}
    assert is_forwarded(scope)
    assert not RequestContext.begin(scope).client.admin
    assert RequestContext.begin({**scope, "http_version": "1.1"}).client.admin


def test_a_page_whose_name_was_made_to_resolve_to_this_machine_may_not() -> None:
    page = {"origin": "http://evil.example:8000", "sec-fetch-site": "same-origin"}
    assert code(ask(page, host="evil.example:8000")) == (403, "admin_required")


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"origin": "https://evil.example"},
        {"origin": "http://localhost:3000"},
        {"origin": "null"},
    ],
    ids=str,
)
@pytest.mark.parametrize("gate", [AccessConfig(), KEYS], ids=["without keys", "with keys"])
def test_a_page_of_another_site_may_not_whatever_it_knows(
    gate: AccessConfig, headers: dict[str, str]
) -> None:
    answer = ask({**key(ADMIN), **headers}, gate=gate)
    assert code(answer) == (403, "cross_site")


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "same-origin", "origin": "http://localhost:8000"},
        {"sec-fetch-site": "none"},
        {"origin": "https://LOCALHOST:8000"},
    ],
    ids=str,
)
def test_a_page_of_this_server_may(headers: dict[str, str]) -> None:
    assert code(ask(headers)) == (200, None)


def test_every_route_below_admin_is_for_operators_and_what_changes_something_is_written_down() -> (
    None
):
    from frontend.routes import ROUTES

    below = [route for route in ROUTES if route.path.startswith("/admin/")]
    assert below
    assert [route.path for route in below if not route.admin] == []
    assert [route.id for route in below if (route.method == "GET") == bool(route.act)] == []
