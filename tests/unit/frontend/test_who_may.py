"""Who may ask what: ten thousand requests by chance, over routes, roles, origins, names, servers.

What is expected is written here, from docs/admin.md, and knows nothing of how it is done. A route
that is not in the table fails the first test, so nobody adds one without saying who may ask it.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson
import pytest
from starlette.applications import Starlette

from frontend.app import Kept
from frontend.routes import routes
from ipc.messages.control import AccessConfig
from ipc.messages.keys import ApiKey, KeyLimits, digest_of
from tests.unit.frontend.http_fakes import (
    FakeControl,
    FakeDispatcher,
    application,
    limits,
    report,
)

REQUESTS, SEED = 10_000, 20261128

# --- the table: who may ask -----------------------------------------------------------------------

OPEN = """
GET /
GET /ui/{version}/{file}
GET /docs
GET /livez
"""
# The door of the page: without a key, but by a name that is this server's.
DOOR = """
POST /login
POST /logout
"""
USER = """
POST /v1/chat/completions
POST /v1/embeddings
POST /embedding
POST /embeddings
GET /v1/models
GET /v1/models/{model}
POST /v1/messages
POST /v1/messages/count_tokens
POST /v1/responses
POST /v1/responses/input_tokens
GET /v1/responses/{response_id}/input_items
GET /v1/responses/{response_id}
DELETE /v1/responses/{response_id}
POST /v1/completions
POST /v1/fim/completions
POST /fim/completions
POST /infill
POST /tokenize
POST /detokenize
POST /apply-template
GET /props
POST /v1/rerank
POST /rerank
POST /v2/rerank
POST /v1/reranking
POST /reranking
POST /v1/score
POST /score
POST /v1/audio/transcriptions
POST /v1/audio/translations
POST /v1/audio/speech
GET /v1/audio/voices
GET /v1/realtime
POST /v1/files
GET /v1/files
GET /v1/files/{file_id}
DELETE /v1/files/{file_id}
GET /v1/files/{file_id}/content
POST /v1/batches
GET /v1/batches
GET /v1/batches/{batch_id}
POST /v1/batches/{batch_id}/cancel
GET /v1/stream
DELETE /v1/stream
GET /v1/usage
GET /llms.txt
GET /.well-known/edge-serve.json
GET /session
GET /readyz
GET /health
GET /openapi.json
GET /metrics
GET /models
GET /slots
GET /running
GET /api/v0/models
GET /api/v0/models/{model}
POST /api/v0/chat/completions
POST /api/v0/completions
POST /api/v0/embeddings
GET /api/v1/models
POST /api/chat
POST /api/generate
POST /api/embed
POST /api/embeddings
GET /api/tags
GET /api/ps
POST /api/show
POST /api/pull
GET /api/version
POST /upstream/{model}
POST /mcp
"""
ADMIN = """
GET /admin/models
GET /admin/models/{model}
POST /admin/models/{model}/load
POST /admin/models/{model}/unload
POST /admin/models/{model}/pin
POST /admin/models/{model}/unpin
POST /admin/models/{model}/restart
POST /admin/models/{model}/drain
POST /admin/models/{model}/resume
DELETE /admin/models/{model}
POST /admin/models/{model}/update
POST /admin/models/{model}/rollback
POST /admin/pulls
GET /admin/pulls
GET /admin/pulls/{pull_id}
DELETE /admin/pulls/{pull_id}
POST /admin/pulls/{pull_id}/pause
POST /admin/pulls/{pull_id}/resume
GET /admin/keys
POST /admin/keys/{key}
PATCH /admin/keys/{key}
DELETE /admin/keys/{key}
GET /admin/usage
POST /admin/reload
GET /admin/requests
GET /admin/requests/{request_id}
DELETE /admin/requests/{request_id}
GET /admin/config
GET /admin/events
GET /admin/logs/{process}
GET /admin/box
GET /admin/samples
GET /admin/incidents
GET /admin/incidents/{incident_id}
POST /admin/drain
POST /admin/resume
POST /models
DELETE /models
POST /models/load
POST /models/unload
GET /models/sse
GET /unload
POST /api/models/unload
POST /api/models/unload/{model}
GET /upstream/{model}
GET /upstream/{model}/health
DELETE /api/delete
GET /logs
GET /logs/stream
GET /logs/stream/{model}
POST /api/v1/models/load
POST /api/v1/models/unload
POST /api/v1/models/download
GET /api/v1/models/download/status
GET /api/v1/models/download/status/{pull_id}
"""
TABLE = {
    line: level
    for level, lines in (("open", OPEN), ("door", DOOR), ("user", USER), ("admin", ADMIN))
    for line in lines.split("\n")
    if line
}
# What changes something although it is asked for by GET.
CHANGES_BY_GET = {"/unload", "/upstream/{model}", "/upstream/{model}/health"}

# --- who asks, and how ----------------------------------------------------------------------------

SECRETS = {"user": "sk-of-user", "limited": "sk-of-limited", "admin": "sk-of-admin"}
KEYS = {
    "user": ApiKey.of(SECRETS["user"]),
    "limited": ApiKey(
        digest=digest_of(SECRETS["limited"]),
        limits=KeyLimits(requests_per_min=10**6, models=["org/embed"]),
    ),
    "admin": ApiKey.of(SECRETS["admin"], "admin"),
}
HERE = ["localhost", "127.0.0.1", "[::1]"]
SERVERS = {
    "keys": AccessConfig(api_keys=KEYS),
    "keys and names": AccessConfig(api_keys=KEYS, hosts=[*HERE, "box.lan"]),
    "no keys, this machine": AccessConfig(hosts=HERE),
    "no keys, the network": AccessConfig(),
}
NAMES = {"keys and names": ("localhost", "box.lan"), "no keys, this machine": ("localhost",)}
# What is sent to show who asks: a key, a session's cookie with its token or without, both.
CREDENTIALS = (
    *("nothing", "wrong key", "user", "limited", "admin"),
    *("cookie of user", "cookie of admin", "cookie and token of user", "cookie and token of admin"),
    *("cookie of nobody", "wrong key and cookie and token of admin"),
)
# Of the server of this port.
COOKIE = "edge_serve_session_8000"
OTHER_SITES = ("same-site", "cross-site")


@dataclass(frozen=True)
class Asked:
    server: str
    method: str
    path: str
    level: str
    credential: str
    host: str
    origin: str | None  # own, foreign, null
    site: str | None  # Sec-Fetch-Site
    form: bool
    proxied: bool
    local: bool
    header: str
    spelling: str

    @property
    def has_keys(self) -> bool:
        return self.server.startswith("keys")


def by_chance(chance: random.Random) -> Asked:
    line, level = chance.choice([*TABLE.items()])
    method, path = line.split()
    if method == "GET" and chance.random() < 0.1:
        method = "HEAD"
    return Asked(
        server=chance.choice([*SERVERS]),
        method=method,
        path=path,
        level=level,
        credential=chance.choice(CREDENTIALS),
        host=chance.choice(("localhost", "localhost", "box.lan", "evil.example")),
        origin=chance.choice((None, None, "own", "own", "foreign", "null")),
        site=chance.choice((None, None, "same-origin", "none", *OTHER_SITES)),
        form=chance.random() < 0.3,
        proxied=chance.random() < 0.2,
        local=chance.random() < 0.6,
        header=chance.choice(("bearer", "x-api-key")),
        spelling=chance.choice(("plain", "plain", "//", "/")),
    )


# --- what is expected -----------------------------------------------------------------------------


def verdict(asked: Asked) -> tuple[int, str] | None:
    """Why it is refused; None: it is let in."""
    if asked.level == "open":
        return None
    if asked.server in NAMES and asked.host not in NAMES[asked.server]:
        return 403, "host_not_allowed"
    if not asked.has_keys and asked.form and is_foreign_page(asked):
        return 403, "cross_site"
    if asked.level == "door":
        return None
    if asked.has_keys and (refused := by_credential(asked)):
        return refused
    if asked.path == "/mcp" and is_foreign_page(asked):
        return 403, "cross_site"
    if asked.path == "/metrics" and asked.has_keys and asked.credential == "limited":
        return 403, "admin_required"  # it tells of models that are not there for this key
    return as_operator(asked) if asked.level == "admin" else None


def by_credential(asked: Asked) -> tuple[int, str] | None:
    """A wrong key is wrong whatever else is sent; a cookie is for the page itself."""
    if asked.credential in ("user", "limited", "admin"):
        return None
    if "wrong key" in asked.credential or asked.credential in ("nothing", "cookie of nobody"):
        return 401, "invalid_api_key"
    if asked.site in OTHER_SITES:
        return 403, "cross_site"
    changes = asked.method not in ("GET", "HEAD")
    if changes and (asked.origin != "own" or "token" not in asked.credential):
        return 403, "cross_site"
    return None


def as_operator(asked: Asked) -> tuple[int, str] | None:
    if asked.site in OTHER_SITES or asked.origin in ("foreign", "null"):
        return 403, "cross_site"
    if not asked.has_keys:
        here = asked.local and not asked.proxied and asked.host == "localhost"
        return None if here else (403, "admin_required")
    if not asked.credential.endswith("admin"):
        return 403, "admin_required"
    if asked.path in CHANGES_BY_GET and asked.credential.startswith("cookie"):
        return 403, "cross_site"
    return None


def is_foreign_page(asked: Asked) -> bool:
    """What browsers say by themselves of a page counts first; a proxy may have put another name in
    place of the one that was asked."""
    if asked.site is not None:
        return asked.site in OTHER_SITES
    return not asked.proxied and asked.origin in ("foreign", "null")


# --- what is sent, and what comes of it -----------------------------------------------------------


class Server:
    """One application with all of its layers, and fakes behind it."""

    def __init__(self, gate: AccessConfig) -> None:
        self.control = FakeControl(report(chat="ready"))
        self.fake = FakeDispatcher()
        self.kept = Kept.of(limits(gate=gate), self.control.events)
        self.app: Starlette = application(
            self.fake, self.control, kept=self.kept, gate=gate, ollama=True
        )

    @property
    def done(self) -> tuple[int, int, int]:
        """How much has been asked of models and of the supervisor, and written down."""
        return len(self.fake.asked), len(self.control.wishes), len(self.control.acts)

    async def ask(self, asked: Asked) -> tuple[int | None, Any]:
        """The status and the JSON of the answer, None where there is none: whoever asks leaves as
        soon as his request is read."""
        told: dict[str, Any] = {"status": None, "body": b""}

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                told["status"] = message["status"]
            told["body"] += message.get("body", b"")

        coming = iter([{"type": "http.request", "body": body_of(asked), "more_body": False}])

        async def receive() -> Any:
            return next(coming, {"type": "http.disconnect"})

        await asyncio.wait_for(self.app(self._scope(asked), receive, send), 60)
        try:
            return told["status"], orjson.loads(told["body"])
        except orjson.JSONDecodeError:
            return told["status"], None

    def _scope(self, asked: Asked) -> dict[str, Any]:
        path = asked.path.replace("{model}", "org/chat").replace("{", "").replace("}", "")
        path = {"plain": path, "//": f"/{path}", "/": f"{path}/"}[asked.spelling]
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": asked.method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "root_path": "",
            "query_string": b"",
            "headers": [(name.encode(), value.encode()) for name, value in self._headers(asked)],
            "client": ("127.0.0.1" if asked.local else "192.168.1.7", 40_000),
            "server": ("127.0.0.1", 8000),
        }

    def _headers(self, asked: Asked) -> Iterator[tuple[str, str]]:
        host = f"{asked.host}:8000"
        yield "host", host
        kind = "multipart/form-data; boundary=b" if asked.form else "application/json"
        yield "content-type", kind
        yield "content-length", str(len(body_of(asked)))
        if asked.origin is not None:
            origins = {"own": f"http://{host}", "foreign": "http://other.example", "null": "null"}
            yield "origin", origins[asked.origin]
        if asked.site is not None:
            yield "sec-fetch-site", asked.site
        if asked.proxied:
            yield "x-forwarded-for", "127.0.0.1"
        yield from self._credentials(asked)

    def _credentials(self, asked: Asked) -> Iterator[tuple[str, str]]:
        secret = SECRETS.get(asked.credential)
        if "wrong key" in asked.credential:
            secret = "sk-of-nobody"
        if secret is not None and asked.header == "bearer":
            yield "authorization", f"Bearer {secret}"
        elif secret is not None:
            yield "x-api-key", secret
        if "cookie" in asked.credential:
            name = asked.credential.rpartition(" ")[2]
            if name == "nobody" or not asked.has_keys:
                yield "cookie", f"{COOKIE}=0123456789"
                return
            cookie, session = self.kept.sessions.open(name)
            yield "cookie", f"a=b; {COOKIE}={cookie}"
            if "token" in asked.credential:
                yield "x-csrf", session.token


def body_of(asked: Asked) -> bytes:
    if asked.method in ("GET", "HEAD", "DELETE"):
        return b""
    return b"--b--\r\n" if asked.form else b"{}"


# --- the tests ------------------------------------------------------------------------------------


def test_every_route_is_in_the_table() -> None:
    assert sorted(TABLE) == sorted(
        f"{each.method} {each.path}"
        for each in routes(limits(ollama=True))
        if (each.method, each.path) != ("HEAD", "/")
    )


def test_nobody_gets_in_where_he_does_not_belong() -> None:
    chance = random.Random(SEED)
    servers = {name: Server(gate) for name, gate in SERVERS.items()}
    counts = {"in": 0, "refused": 0}

    async def main() -> None:
        for _ in range(REQUESTS):
            asked = by_chance(chance)
            server, expected = servers[asked.server], verdict(asked)
            before = server.done
            status, answer = await server.ask(asked)
            if expected is None:
                assert status not in (401, 403), (asked, answer)
                counts["in"] += 1
                continue
            counts["refused"] += 1
            assert status == expected[0], (asked, answer)
            assert asked.method == "HEAD" or expected[1] in codes(answer), (asked, answer)
            # Of what is refused nothing is done, but that a change by GET is written down.
            assert server.done[:2] == before[:2], asked

    asyncio.run(main())
    assert min(counts.values()) > REQUESTS // 5, counts


def codes(answer: Any) -> set[str]:
    """The code of an error as each API tells it; those that tell none, tell words."""
    error = answer.get("error", answer) if isinstance(answer, dict) else answer
    if isinstance(error, dict) and "code" in error:
        return {error.get("data", error)["code"]}  # as JSON-RPC has it, too
    # Anthropic's errors and Ollama's have no code.
    return {"invalid_api_key", "cross_site", "admin_required", "host_not_allowed"}


@pytest.mark.parametrize("path", ["/admin", "/admin/none", "/v1/none", "/none", "/v1/../admin/box"])
def test_what_is_not_there_is_closed_as_well(path: str) -> None:
    server = Server(SERVERS["keys"])
    asked = Asked(
        *("keys", "GET", path, "user", "nothing", "localhost", None, None),
        *(False, False, True, "bearer", "plain"),
    )
    status, _ = asyncio.run(server.ask(asked))
    assert status == 401
