"""The application: which route is answered by what, and the layers around them."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from frontend.access_log import AccessLogEntry
from frontend.api.admin.guarded import for_operators
from frontend.api.admin.operator import Operator
from frontend.api.responses.store import ResponseStore
from frontend.api.route import Answer, Services
from frontend.api.route import Route as Entry
from frontend.batches.service import Batches
from frontend.dispatch.budget import Budget
from frontend.dispatch.control import Control
from frontend.dispatch.dispatcher import Dispatcher
from frontend.http import waiting
from frontend.http.access import Guard, Guarded, host_guards, key_guards
from frontend.http.foreign_forms import ForeignForms
from frontend.http.paths import COVERED, PathSet, Unserved
from frontend.http.sessions import Sessions
from frontend.metrics import Metrics
from frontend.middleware import Access, Refusals
from frontend.resume.held import HeldAnswers
from frontend.resume.layer import Resumable
from frontend.routes import KEYLESS, LISTED, OPEN, POLLED, error_forms, routes
from ipc.messages.control import AccessConfig, Serve

SLICE_BYTES = 64 << 10
# These may have slashes, as parts of a path.
_WITH_SLASHES = re.compile(r"\{(model|file|request_id)\}")


class Application(Starlette):
    """Starlette without its own two layers around ours: they do the same again, and take 7 % of
    the time of a small request."""

    def build_middleware_stack(self) -> ASGIApp:
        app: ASGIApp = self.router
        for layer, args, options in reversed(self.user_middleware):
            app = layer(app, *args, **options)
        return app


class Endpoint:
    """What the routes of one path answer, each by its method, as an ASGI application."""

    def __init__(self, answers: Mapping[str, Answer]) -> None:
        self._answers = answers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = await self._answers[scope["method"]](Request(scope, receive, send))
        body = getattr(response, "body", None)  # a stream has none
        small = body is not None and len(body) <= SLICE_BYTES
        await response(scope, receive, send if small else sliced(send))


def sliced(send: Send) -> Send:
    """Sends no more at once than a transport's buffer holds anyway. So a large answer waits here
    while its client reads, and is counted: its request has not ended."""

    async def send_slices(message: Message) -> None:
        body = message.get("body", b"")
        if len(body) <= SLICE_BYTES:
            await send(message)
            return
        view, more = memoryview(body), message.get("more_body", False)
        for at in range(0, len(body), SLICE_BYTES):
            last = at + SLICE_BYTES >= len(body)
            part = {"body": view[at : at + SLICE_BYTES], "more_body": more or not last}
            await send({"type": message["type"], **part})

    return send_slices


@dataclass(frozen=True, slots=True)
class Kept:
    """What outlives an application whose limits have changed."""

    responses: ResponseStore
    sessions: Sessions
    held: HeldAnswers

    @classmethod
    def of(cls, serve: Serve) -> Kept:
        """For the first one."""
        return cls(ResponseStore(), Sessions(serve.gate.api_keys), HeldAnswers())


def build(
    dispatcher: Dispatcher,
    control: Control,
    serve: Serve,
    metrics: Metrics,
    budget: Budget,
    batches: Batches | None = None,
    operator: Operator | None = None,
    kept: Kept | None = None,
) -> Starlette:
    """The ASGI application that answers for ``dispatcher``'s models within ``serve``'s limits, and
    with no more memory for all requests than ``budget`` has. Lines of batches are for `lines_of`
    it. ``kept`` is what it has in common with the one before it."""
    offered = routes(serve)
    batches = batches or Batches(serve.batches, dispatcher, serve.max_json_bytes)
    operator = operator or Operator(dispatcher, control)
    kept = kept or Kept.of(serve)
    kept.sessions.know(serve.gate.api_keys)
    services = Services(
        dispatcher=dispatcher,
        control=control,
        serve=serve,
        metrics=metrics,
        responses=kept.responses,
        batches=batches,
        sessions=kept.sessions,
        operator=operator,
        held=kept.held,
    )
    app = Application(
        routes=[
            Route(_WITH_SLASHES.sub(r"{\1:path}", path), Endpoint(answers), methods=[*answers])
            for path, answers in _by_path(offered, services).items()
        ],
        middleware=[
            Middleware(Resumable, held=kept.held),
            Middleware(
                Access,
                record=AccessLogEntry(metrics, POLLED),
                budget=budget,
                error_forms=error_forms(serve),
                id_headers={each.path: each.id_header for each in offered if each.id_header},
                requests=operator.requests,
                listed=LISTED,
            ),
            *_gate(serve.gate, kept.sessions),
            Middleware(Refusals),
        ],
    )
    # A redirect would be built from the client's Host header, and repeat the whole body.
    app.router.redirect_slashes = False
    unserved = Unserved([(each.method, each.path) for each in offered])
    app.router.default = unserved
    app.router.routes[:0] = [Route(path, unserved) for path in COVERED]
    return app


def _by_path(offered: Iterable[Entry], services: Services) -> Mapping[str, Mapping[str, Answer]]:
    """What is answered at each path, by its methods: who asks by another one is told of all."""
    found: dict[str, dict[str, Answer]] = {}
    for each in offered:
        methods = found.setdefault(each.path, {})
        answer = each.answer(services)
        if each.admin:
            with_keys = bool(services.serve.gate.api_keys)
            answer = for_operators(each, answer, services.control, with_keys=with_keys)
        methods[each.method] = answer
        if each.method == "GET":
            methods.setdefault("HEAD", answer)
    return found


def lines_of(app: Starlette, metrics: Metrics, budget: Budget) -> ASGIApp:
    """``app`` for lines of batches: their host and key were looked at when the batch came."""
    return Access(Refusals(app.router), record=AccessLogEntry(metrics, POLLED), budget=budget)


def _gate(gate: AccessConfig, sessions: Sessions) -> list[Middleware]:
    """What stands before the routes. A browser's question whether it may ask carries no key."""
    layers = [_guarded(guard, OPEN) for guard in host_guards(gate)]
    cors = functools.partial(
        CORSMiddleware,
        allow_origins=[origin for origin in gate.cors_origins if not _is_pattern(origin)],
        allow_origin_regex=_one_of(filter(_is_pattern, gate.cors_origins)),
        allow_methods=["GET", "POST", "DELETE"],
        allow_headers=["*"],
        # Chrome asks before a public page may reach a server on the user's own network.
        allow_private_network=True,
        expose_headers=[
            "x-request-id",
            "retry-after",
            "x-should-retry",
            "x-schema-dropped",
            "x-stream-id",
            *waiting.HEADERS,
        ],
    )
    if gate.cors_origins:
        layers.append(Middleware(cors))
    if not gate.api_keys:
        layers.append(_guarded(ForeignForms(cors(_nothing).is_allowed_origin), OPEN))
    return layers + [_guarded(guard, KEYLESS) for guard in key_guards(gate, sessions)]


async def _nothing(_scope: Scope, _receive: Receive, _send: Send) -> None:
    """An application that is never asked."""


def _guarded(guard: Guard, open_paths: PathSet) -> Middleware:
    return Middleware(Guarded, guard=guard, open_paths=open_paths)


def _is_pattern(origin: str) -> bool:
    return "*" in origin and origin != "*"


def _one_of(patterns: Iterable[str]) -> str | None:
    """The origins that match ``https://*.name`` or ``http://name:*``, as a regular expression."""
    forms = (
        re.escape(pattern).replace(r"://\*", r"://[^/:@]+").replace(r":\*", r"(:\d+)?")
        for pattern in patterns
    )
    return "|".join(forms) or None
