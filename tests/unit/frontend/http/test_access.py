"""Who may come in: keys and hosts, on every path there is and on those there are not."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from starlette.routing import Route
from starlette.testclient import TestClient

from ipc.messages.control import AccessConfig
from ipc.messages.keys import ApiKey
from tests.unit.frontend.http_fakes import FakeDispatcher, application, says

KEY = "sk-first-key-of-the-test"
OTHER = "sk-second-key-of-the-test"
GATE = AccessConfig(
    api_keys={name: ApiKey.of(key) for name, key in {"ann": KEY, "bob": OTHER}.items()}
)
ROUTES = [
    (method, route.path.replace("{id:path}", "org/chat"))
    for route in application(FakeDispatcher(), gate=GATE).routes
    if isinstance(route, Route)
    for method in sorted(route.methods or ())
]
# The page with its files, its door, and whether this server lives.
OPEN_PATHS = {"/", "/docs", "/ui/{version}/{file:path}", "/login", "/logout", "/livez"}
ODD = ["//v1/models", "/v1//models", "/v1/models/", "/V1/models", "/v1/../v1/models"]
ODD += ["/%76%31/models", "/livez/x", "/livez/../v1/models", "/x/livez", "/nothing", "/%"]


def client(gate: AccessConfig = GATE) -> TestClient:
    return TestClient(application(FakeDispatcher(says("hi")), gate=gate))


def ask(
    gate: AccessConfig, host: str = "testserver", path: str = "/v1/models", **headers: str
) -> Any:
    return client(gate).get(path, headers={"host": host, **headers})


# --- keys ---


def test_the_table_has_every_route() -> None:
    paths = {path for _, path in ROUTES}
    assert paths >= {"/v1/chat/completions", "/metrics", "/openapi.json", *OPEN_PATHS}


def said(error: Any) -> str:
    """The words of an error, in the form of any API."""
    return str(error["message"] if isinstance(error, dict) else error)


@pytest.mark.parametrize(
    ("method", "path"),
    [route for route in ROUTES if route[1] not in OPEN_PATHS]
    + [(method, path) for path in ODD for method in ("GET", "POST", "OPTIONS", "BREW")],
)
def test_without_a_key_all_but_the_page_and_livez_is_refused(method: str, path: str) -> None:
    answer = client().request(method, path)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    if method != "HEAD":
        assert "an API key is missing" in said(answer.json()["error"])


@pytest.mark.parametrize("host", ["x/livez#@", "livez", "127.0.0.1/livez?"])
def test_the_path_is_never_taken_from_the_host(host: str) -> None:
    assert ask(GATE, host).status_code == 401


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": f"Bearer {KEY}"},
        {"authorization": f"bearer  {OTHER}"},
        {"x-api-key": KEY},
        {"x-api-key": OTHER, "authorization": "Bearer wrong"},
    ],
)
def test_each_key_opens_in_either_header(headers: dict[str, str]) -> None:
    assert ask(GATE, **headers).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": f"Bearer {KEY[:-1]}"},
        {"authorization": f"Bearer {KEY}x"},
        {"authorization": f"Bearer {KEY},{OTHER}"},
        {"authorization": f"Basic {KEY}"},
        {"authorization": KEY},
        {"authorization": "Bearer"},
        {"authorization": "Bearer ann"},
        {"x-api-key": f"Bearer {KEY}"},
        {"x-api-key": GATE.api_keys["ann"].digest},
        {"x-api-key": ""},
        {"cookie": f"key={KEY}"},
    ],
)
def test_what_is_almost_a_key_does_not(headers: dict[str, str]) -> None:
    assert ask(GATE, **headers).status_code == 401
    assert ask(GATE, path=f"/v1/models?key={KEY}&api_key={KEY}").status_code == 401


def test_a_key_that_is_wrong_is_called_unknown_and_one_that_is_not_there_missing() -> None:
    def told(**headers: str) -> str:
        return str(ask(GATE, **headers).json()["error"]["message"])

    ending = "; send one of this server's as `Authorization: Bearer KEY`"
    unknown, missing = f"this API key is unknown{ending}", f"an API key is missing{ending}"
    assert told(authorization="Bearer sk-wrong") == told(**{"x-api-key": "sk-wrong"}) == unknown
    assert told() == told(authorization="Bearer") == told(**{"x-api-key": ""}) == missing
    assert told(authorization=KEY) == told(authorization=f"Basic {KEY}") == missing


@pytest.mark.parametrize("path", ["/livez/", "//livez", "//livez//"])
def test_the_open_path_is_open_however_its_slashes_are_written(path: str) -> None:
    assert client().get(f"http://testserver{path}").json() == {"status": "ok"}


def test_the_log_has_the_keys_name_and_nothing_else_of_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.DEBUG):
        ask(GATE, authorization=f"Bearer {OTHER}")
        ask(GATE, authorization="Bearer sk-wrong-key")
    named = [vars(line) for line in caplog.records if line.name == "edge_serve.access"]
    assert [(line["key"], line["status"]) for line in named] == [("bob", 200), (None, 401)]
    text = repr([vars(line) for line in caplog.records])
    assert OTHER not in text
    assert "sk-wrong-key" not in text
    assert GATE.api_keys["bob"].digest not in text


def test_without_any_key_nothing_is_asked_for() -> None:
    assert ask(AccessConfig()).status_code == 200
    assert ask(AccessConfig(), authorization="Bearer whatever").status_code == 200


# --- hosts ---

LOCAL = AccessConfig(hosts=["localhost", "127.0.0.1", "[::1]"])


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8000", "127.0.0.1:8000", "[::1]:8000"])
def test_requests_for_a_trusted_name_are_answered(host: str) -> None:
    assert ask(LOCAL, host).status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8000", "localhost.evil.example", "localhost@evil", ""]
)
def test_a_page_that_borrows_this_address_is_refused(host: str) -> None:
    answer = ask(LOCAL, host)
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "host_not_allowed")
    assert ask(LOCAL, host, "/livez").status_code == 200


@pytest.mark.parametrize(
    ("host", "told"),
    [
        ("box.lan", "Host 'box.lan' is not allowed; add it to TRUSTED_HOSTS."),
        ("Box.lan:8000", "Host 'box.lan' is not allowed; add it to TRUSTED_HOSTS."),
        ("[fe80::1]:80", "Host '[fe80::1]' is not allowed; add it to TRUSTED_HOSTS."),
        ("", "a request must name its host; add it to TRUSTED_HOSTS."),
        ("y" * 999, f"Host '{'y' * 200}...' is not allowed; add it to TRUSTED_HOSTS."),
        ("a'\"\x1b<b>", r"""Host 'a\'"\x1b<b>' is not allowed; add it to TRUSTED_HOSTS."""),
    ],
)
def test_the_host_that_is_refused_is_named(host: str, told: str) -> None:
    assert ask(LOCAL, host).json()["error"]["message"] == told


@pytest.mark.parametrize(
    "host", ["box.lan", "BOX.LAN:8000", "box.lan.", "a.b.lan.:80", "own.example", "own.example."]
)
def test_a_domain_is_all_names_under_it(host: str) -> None:
    assert ask(AccessConfig(hosts=[".lan", "own.example"]), host).status_code == 200


@pytest.mark.parametrize("host", ["lan", ".lan", "boxlan", "box.lan.evil.example", "a.own.example"])
def test_and_no_other_name(host: str) -> None:
    assert ask(AccessConfig(hosts=[".lan", "own.example"]), host).status_code == 403


# --- web pages on other sites ---

ASKS = {"origin": "https://chat.example", "access-control-request-method": "POST"}
OPEN = AccessConfig(cors_origins=["https://chat.example"], api_keys=GATE.api_keys)


def test_by_default_no_page_of_another_site_may_read_an_answer() -> None:
    answer = client(AccessConfig()).options("/v1/chat/completions", headers=ASKS)
    assert "access-control-allow-origin" not in answer.headers


def test_a_named_site_may_ask_and_needs_a_key_then() -> None:
    asked = {**ASKS, "access-control-request-headers": "authorization,content-type"}
    answer = client(OPEN).options("/v1/chat/completions", headers=asked)
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == "https://chat.example"
    assert "authorization" in answer.headers["access-control-allow-headers"]

    refused = ask(OPEN, origin="https://chat.example")
    assert refused.status_code == 401
    assert refused.headers["access-control-allow-origin"] == "https://chat.example"


def test_a_page_can_read_why_its_request_was_refused() -> None:
    site = {"origin": "https://chat.example"}
    with_key = {"authorization": f"Bearer {KEY}", **site}
    for path in ("/v1/models/none", "/no/such/route"):
        answer = client(OPEN).get(path, headers=with_key)
        assert answer.status_code == 404
        assert answer.headers["access-control-allow-origin"] == "https://chat.example"


def test_a_page_can_read_how_its_request_waited() -> None:
    answer = ask(OPEN, origin="https://chat.example")
    exposed = answer.headers["access-control-expose-headers"].split(", ")
    assert {"x-queue-position", "x-eta-start-ms", "x-eta-end-ms"} < set(exposed)
    assert {"x-queue-ms", "x-model-load-ms"} < set(exposed)


def test_a_named_site_may_reach_a_server_on_its_visitors_own_network() -> None:
    private = {"access-control-request-private-network": "true"}
    answer = client(OPEN).options("/v1/chat/completions", headers={**ASKS, **private})
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-private-network"] == "true"

    other = {**ASKS, **private, "origin": "https://evil.example"}
    answer = client(OPEN).options("/v1/chat/completions", headers=other)
    assert answer.status_code == 400
    assert "access-control-allow-origin" not in answer.headers


def test_another_site_may_not() -> None:
    answer = client(OPEN).options("/v1/models", headers={**ASKS, "origin": "https://evil.example"})
    assert answer.status_code == 400
    assert "access-control-allow-origin" not in answer.headers


PATTERNS = AccessConfig(
    cors_origins=["https://*.example.com", "http://localhost:*", "https://one.example"]
)


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        ("https://chat.example.com", True),
        ("https://a.b.example.com", True),
        ("https://one.example", True),
        ("http://localhost:5173", True),
        ("http://localhost", True),
        ("https://example.com", False),
        ("http://chat.example.com", False),
        ("https://chat.example.com:8443", False),
        ("https://chat.example.com.evil.example", False),
        ("https://evil/.example.com", False),
        ("https://chatXexample.com", False),
        ("http://localhost:5173.evil.example", False),
    ],
)
def test_a_pattern_lets_in_the_sites_that_it_names(origin: str, *, allowed: bool) -> None:
    answer = client(PATTERNS).get("/livez", headers={"origin": origin})
    assert (answer.headers.get("access-control-allow-origin") == origin) is allowed


# --- forms of other sites ---

EVIL = {"origin": "http://evil.example", "sec-fetch-site": "cross-site"}
OLDER = {"origin": "http://evil.example"}  # a browser that does not say it otherwise
OTHERS = AccessConfig(cors_origins=["https://chat.example"])


@pytest.mark.parametrize(
    ("gate", "headers", "is_let_in"),
    [
        (AccessConfig(), EVIL, False),
        (AccessConfig(), OLDER, False),
        (AccessConfig(), {"origin": "null"}, False),
        (AccessConfig(), {**OLDER, "sec-fetch-site": "same-site"}, False),
        (AccessConfig(), {}, True),
        (AccessConfig(), {"origin": "http://testserver"}, True),
        (AccessConfig(), {**OLDER, "sec-fetch-site": "same-origin"}, True),
        (AccessConfig(), {**OLDER, "x-forwarded-host": "evil.example"}, True),
        (AccessConfig(), {**EVIL, "x-forwarded-host": "evil.example"}, False),
        (OTHERS, EVIL, False),
        (OTHERS, {**EVIL, "origin": "https://chat.example"}, True),
        (AccessConfig(cors_origins=["*"]), EVIL, True),
        (GATE, {**EVIL, "authorization": f"Bearer {KEY}"}, True),
    ],
)
def test_without_keys_pages_of_other_sites_send_no_forms(
    gate: AccessConfig, headers: dict[str, str], is_let_in: bool
) -> None:
    form = {"file": ("a.wav", b"RIFF")}
    answer = client(gate).post("/v1/audio/transcriptions", files=form, headers=headers)
    assert (answer.status_code != 403) is is_let_in
    if not is_let_in:
        assert answer.json()["error"]["code"] == "cross_site"
