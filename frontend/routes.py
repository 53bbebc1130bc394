"""Every route of this server, and all that is known of it; each face has a table of its own. One
that is added there is served, described, guarded, counted, and named where a path is not found."""

from __future__ import annotations

from frontend.api.admin import routes as admin
from frontend.api.anthropic import routes as anthropic
from frontend.api.anthropic.errors import message_error
from frontend.api.audio import routes as audio
from frontend.api.batch import routes as batch
from frontend.api.compat import routes as compat
from frontend.api.compat.lm_studio import routes as lm_studio
from frontend.api.compat.router import routes as router
from frontend.api.compat.swap import routes as swap
from frontend.api.completions import routes as completions
from frontend.api.discovery import Discovery, ServerCard
from frontend.api.health import Health, HealthReport, Life, Readiness
from frontend.api.held_streams import HeldStreams, StreamQuery, StreamStopped
from frontend.api.logins import LoggedOut, LogIn, Logins, SessionShown
from frontend.api.mcp import routes as mcp
from frontend.api.ollama import errors as ollama_errors
from frontend.api.ollama import routes as ollama
from frontend.api.openai import routes as openai
from frontend.api.realtime import routes as realtime
from frontend.api.rerank import routes as rerank
from frontend.api.responses import routes as responses
from frontend.api.route import EVENTS, HTML, JSON, TEXT, Route, Services
from frontend.api.usage.answers import OwnUsage
from frontend.api.usage.asked import OwnUsageQuery
from frontend.api.usage.route import Usage
from frontend.http.paths import PathSet
from frontend.http.request_context import ErrorForm, openai_form
from frontend.openapi.document import OpenApi
from frontend.ui.page import Page
from frontend.ui.page import docs as page_docs
from frontend.ui.page import file as page_file
from ipc.messages.control import Serve

_HELD = (
    Route(
        method="GET",
        path="/v1/stream",
        id="stream",
        summary="Read on an answer that was asked for with X-Request-Resume: 1",
        answer=lambda its: HeldStreams(its.held).read,
        asks=StreamQuery,
        gives={EVENTS: None, JSON: None},
        errors=(404,),
    ),
    Route(
        method="DELETE",
        path="/v1/stream",
        id="stream_stop",
        summary="Stop such an answer",
        answer=lambda its: HeldStreams(its.held).stop,
        asks=StreamQuery,
        gives={JSON: StreamStopped},
        errors=(404,),
    ),
)
_USAGE = Route(
    method="GET",
    path="/v1/usage",
    id="usage",
    summary="What the key that asks has used, and what it has left",
    answer=lambda its: Usage(its.usage).own,
    asks=OwnUsageQuery,
    gives={JSON: OwnUsage},
    errors=(503,),
)
_HERE = "edge-serve: an inference server with OpenAI's API under /v1, described at /openapi.json\n"
_PAGE = (
    Route(
        method="GET",
        path="/",
        id="front",
        summary="The page for people; for programs what this server is, in a line",
        answer=lambda its: Page(ollama.RUNNING if its.serve.ollama else _HERE).front,
        gives={TEXT: None, HTML: None},
        open=True,
    ),
    Route(
        method="GET",
        path="/ui/{version}/{file}",
        id="page_file",
        summary="A file of the page",
        answer=lambda _: page_file,
        gives={HTML: None},
        errors=(404,),
        open=True,
    ),
    Route(
        method="GET",
        path="/docs",
        id="docs",
        summary="This description, as a page to read",
        answer=lambda _: page_docs,
        gives={HTML: None},
        open=True,
    ),
    Route(
        method="GET",
        path="/llms.txt",
        id="llms_txt",
        summary="What this server is and has, for language models",
        answer=lambda its: Discovery(its.dispatcher, its.serve).for_models,
        gives={TEXT: None},
    ),
    Route(
        method="GET",
        path="/.well-known/edge-serve.json",
        id="server_card",
        summary="What this server is and has, for programs",
        answer=lambda its: Discovery(its.dispatcher, its.serve).card,
        gives={JSON: ServerCard},
    ),
    Route(
        method="GET",
        path="/session",
        id="session",
        summary="Who asks, by a key or as somebody who has logged in",
        answer=lambda its: Logins(its.sessions, its.serve).show,
        gives={JSON: SessionShown},
    ),
    Route(
        method="POST",
        path="/login",
        id="log_in",
        summary="Log in with a key: a cookie for the page, in place of the key",
        answer=lambda its: Logins(its.sessions, its.serve).log_in,
        takes=(LogIn,),
        gives={JSON: SessionShown},
        errors=(401, 429),
        keyless=True,
    ),
    Route(
        method="POST",
        path="/logout",
        id="log_out",
        summary="Log out",
        answer=lambda its: Logins(its.sessions, its.serve).log_out,
        gives={JSON: LoggedOut},
        keyless=True,
    ),
)
_SERVER = (
    Route(
        method="GET",
        path="/livez",
        id="livez",
        summary="The server answers",
        answer=lambda its: _health(its).livez,
        gives={JSON: Life},
        open=True,
        polled=True,
        probe=True,
    ),
    Route(
        method="GET",
        path="/readyz",
        id="readyz",
        summary="Every model that should run is ready",
        answer=lambda its: _health(its).readyz,
        gives={JSON: Readiness},
        also={503: Readiness},
        polled=True,
        probe=True,
    ),
    Route(
        method="GET",
        path="/health",
        id="health",
        summary="Every process, measured now",
        answer=lambda its: _health(its).health,
        gives={JSON: HealthReport},
        also={503: HealthReport},
        polled=True,
        probe=True,
    ),
    Route(
        method="GET",
        path="/openapi.json",
        id="openapi",
        summary="This description",
        answer=lambda its: OpenApi(routes(its.serve), its).describe,
        gives={JSON: None},
    ),
)
_METRICS = Route(
    method="GET",
    path="/metrics",
    id="metrics",
    summary="For Prometheus",
    answer=lambda its: _health(its).metrics,
    gives={TEXT: None},
    errors=(403,),
    polled=True,
)
ROUTES = (
    *openai.ROUTES,
    *anthropic.ROUTES,
    *responses.ROUTES,
    *completions.ROUTES,
    *compat.ROUTES,
    *rerank.ROUTES,
    *audio.ROUTES,
    *realtime.ROUTES,
    *batch.ROUTES,
    *mcp.ROUTES,
    *_HELD,
    _USAGE,
    *_PAGE,
    *_SERVER,
    _METRICS,
    *admin.ROUTES,
    *router.ROUTES,
    *swap.ROUTES,
    *lm_studio.ROUTES,
)
# These are below those of Ollama's API, which tells errors otherwise.
_AS_OPENAI = ("/api/v0/", "/api/v1/", "/api/models/")

_ANY = (*ROUTES, *ollama.ROUTES)
POLLED = frozenset(route.path for route in _ANY if route.polled)
SOCKETS = frozenset(route.path for route in _ANY if route.socket)
PROBES = frozenset(route.path for route in _ANY if route.probe)
# Whose requests are worth a line for who runs this server: those for a model.
LISTED = frozenset(route.path for route in _ANY if route.task)
OPEN = PathSet(route.path for route in _ANY if route.open)
KEYLESS = PathSet(route.path for route in _ANY if route.open or route.keyless)


def routes(serve: Serve) -> tuple[Route, ...]:
    """Those of a server that is set up like this."""
    own = [route for route in ROUTES if serve.metrics or route is not _METRICS]
    return (*own, *(ollama.ROUTES if serve.ollama else ()))


def error_forms(serve: Serve) -> dict[str, ErrorForm]:
    """How errors are told at each path that does not do it as OpenAI's API; one that ends in a
    slash is all that is below it."""
    forms = {each.path: each.error_form for each in routes(serve) if each.error_form}
    forms["/v1/messages/"] = message_error
    forms |= dict.fromkeys(_AS_OPENAI, openai_form)
    return forms | ({ollama.BELOW: ollama_errors.error_form} if serve.ollama else {})


def _health(its: Services) -> Health:
    return Health(its.dispatcher, its.control, its.metrics)
