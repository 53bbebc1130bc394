"""The application: which route is answered by what, and the layers around them."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from frontend.access_log import AccessLogEntry
from frontend.api.admin.guarded import OperatorGuard
from frontend.api.admin.operator import Operator
from frontend.api.compat.swap.upstream import Upstream
from frontend.api.responses.store import ResponseStore
from frontend.api.route import Answer, Services
from frontend.api.route import Route as Entry
from frontend.batches.service import Batches
from frontend.dispatch.budget import Budget
from frontend.dispatch.control import Control
from frontend.dispatch.dispatcher import Dispatcher
from frontend.dispatch.event_feed import EventFeed
from frontend.history.events import EventHistory
from frontend.history.requests import Requests
from frontend.history.sampling import Sampling
from frontend.http import waiting
from frontend.http.access import Guard, Guarded, host_guards, key_guards
from frontend.http.foreign_pages import ForeignForms, Origins
from frontend.http.paths import COVERED, PathSet, Unserved
from frontend.http.sessions import Sessions
from frontend.http.socket import Sockets
from frontend.limited import Limited
from frontend.live.sessions import LiveSessions
from frontend.metrics.prometheus import Metrics
from frontend.middleware import Access, Refusals
from frontend.quotas import headers as quota_headers
from frontend.quotas.allowance import Allowances
from frontend.resume.held import HeldAnswers
from frontend.resume.layer import Resumable
from frontend.routes import KEYLESS, LISTED, OPEN, POLLED, error_forms, routes
from frontend.store.database import Database
from frontend.store.tables import tables
from frontend.traces.export import Traces
from frontend.usage.ledger import Ledger
from frontend.usage.report import UsageReports
from ipc.messages.control import AccessConfig, Serve
from ipc.messages.keys import ApiKey

SLICE_BYTES = 64 << 10
# These may have slashes, as parts of a path.
_WITH_SLASHES = re.compile(r"\{(model|file|process|request_id)\}")


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

    def send_slices(message: Message) -> Awaitable[None]:
        body = message.get("body", b"")
        return send(message) if len(body) <= SLICE_BYTES else each_slice(message, body)

    async def each_slice(message: Message, body: bytes) -> None:
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
    store: Database
    requests: Requests
    events: EventHistory
    sampling: Sampling
    traces: Traces
    ledger: Ledger
    allowances: Allowances
    live: LiveSessions

    @classmethod
    def of(cls, serve: Serve, feed: EventFeed) -> Kept:
        """For the first one, of a server of which ``feed`` tells what happens."""
        history = serve.history
        file = Path(history.file) if history.file else None
        store = Database(file, tables(history), history.max_bytes)
        keys = serve.gate.api_keys
        return cls(
            responses=ResponseStore(),
            sessions=Sessions(keys),
            held=HeldAnswers(),
            store=store,
            requests=Requests(store),
            events=EventHistory(feed, store),
            sampling=Sampling(store),
            traces=Traces(),
            ledger=Ledger(store),
            allowances=Allowances(keys),
            live=LiveSessions(),
        )

    def know(self, keys: dict[str, ApiKey]) -> None:
        """These are the keys from now on."""
        self.sessions.know(keys)
        self.allowances.know(keys)
        self.responses.know(keys)
        self.held.know(keys)
        self.live.know(keys)

    def begin(self) -> None:
        """The frontend serves."""
        self.store.begin()
        self.requests.begin()
        self.traces.begin()

    def end(self) -> None:
        """The frontend stops: what is not written yet is."""
        self.requests.end()
        self.events.end()
        self.sampling.end()
        self.ledger.flush()
        self.store.end()
        self.traces.end()


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
    kept = kept or Kept.of(serve, control.events)
    operator = operator or Operator(dispatcher, control, kept.requests)
    kept.know(serve.gate.api_keys)
    batches.know(serve.gate.api_keys)
    operator.followers.know(serve.gate.api_keys)
    services = _services(dispatcher, control, serve, metrics, batches, operator, kept)
    app = Application(
        routes=[
            Route(_WITH_SLASHES.sub(r"{\1:path}", path), Endpoint(answers), methods=[*answers])
            for path, answers in _by_path(offered, services).items()
        ],
        middleware=_layers(dispatcher, serve, metrics, budget, kept, offered),
    )
    # A redirect would be built from the client's Host header, and repeat the whole body.
    app.router.redirect_slashes = False
    unserved = Unserved([(each.method, each.path) for each in offered])
    app.router.default = unserved
    app.router.routes[:0] = [Route(path, unserved) for path in COVERED]
    return app


def _services(
    dispatcher: Dispatcher,
    control: Control,
    serve: Serve,
    metrics: Metrics,
    batches: Batches,
    operator: Operator,
    kept: Kept,
) -> Services:
    """What routes answer with."""
    return Services(
        dispatcher=dispatcher,
        control=control,
        serve=serve,
        metrics=metrics,
        responses=kept.responses,
        batches=batches,
        sessions=kept.sessions,
        operator=operator,
        guard=OperatorGuard(control, with_keys=bool(serve.gate.api_keys)),
        held=kept.held,
        events=kept.events,
        sampling=kept.sampling,
        store=kept.store,
        usage=UsageReports(kept.ledger, kept.store),
        live=kept.live,
    )


def _layers(
    dispatcher: Dispatcher,
    serve: Serve,
    metrics: Metrics,
    budget: Budget,
    kept: Kept,
    offered: Sequence[Entry],
) -> list[Middleware]:
    """What is around the routes, from the outside in."""
    return [
        Middleware(Sockets),
        Middleware(Upstream, dispatcher=dispatcher),
        Middleware(Resumable, held=kept.held),
        Middleware(
            Access,
            record=AccessLogEntry(metrics, kept.ledger, POLLED),
            budget=budget,
            error_forms=error_forms(serve),
            id_headers={each.path: each.id_header for each in offered if each.id_header},
            quota_forms={each.path: each.quota_form for each in offered if each.quota_form},
            requests=kept.requests.registry,
            listed=LISTED,
            traces=kept.traces,
            trusts_parent=serve.trust_trace_parent,
        ),
        *_gate(serve.gate, kept.sessions),
        Middleware(Refusals),
        Middleware(Limited, allowances=kept.allowances, counted=LISTED),
    ]


def _by_path(offered: Iterable[Entry], services: Services) -> Mapping[str, Mapping[str, Answer]]:
    """What is answered at each path, by its methods: who asks by another one is told of all."""
    found: dict[str, dict[str, Answer]] = {}
    for each in offered:
        methods = found.setdefault(each.path, {})
        answer = each.answer(services)
        if each.admin:
            answer = _for_operators(each, answer, services.guard)
        methods[each.method] = answer
        if each.method == "GET":
            methods.setdefault("HEAD", answer)
    return found


def _for_operators(route: Entry, answer: Answer, guard: OperatorGuard) -> Answer:
    async def guarded(request: Request) -> Response:
        if route.act is None:
            guard.check(request)
            return await answer(request)
        with guard.doing(request, route.act):
            return await answer(request)

    return guarded


def lines_of(app: Starlette, metrics: Metrics, budget: Budget, kept: Kept) -> ASGIApp:
    """``app`` for lines of batches: their host and key were looked at when the batch came."""
    lines = Limited(app.router, kept.allowances, LISTED)
    record = AccessLogEntry(metrics, kept.ledger, POLLED)
    return Access(Refusals(lines), record=record, budget=budget, traces=kept.traces)


def keyless_of(app: Starlette, metrics: Metrics, budget: Budget, kept: Kept) -> ASGIApp:
    """``app`` for clients of a port of which no host is asked and no key."""
    record = AccessLogEntry(metrics, kept.ledger, POLLED)
    return Access(
        Refusals(Limited(app.router, kept.allowances, LISTED)),
        record=record,
        budget=budget,
        requests=kept.requests.registry,
        listed=LISTED,
        traces=kept.traces,
    )


def _gate(gate: AccessConfig, sessions: Sessions) -> list[Middleware]:
    """What stands before the routes. A browser's question whether it may ask carries no key."""
    layers = [_guarded(guard, OPEN) for guard in host_guards(gate)]
    origins = Origins(gate.cors_origins)
    if gate.cors_origins:
        layers.append(_cors(origins))
    if not gate.api_keys:
        layers.append(_guarded(ForeignForms(origins.allows), OPEN))
    return layers + [_guarded(guard, KEYLESS) for guard in key_guards(gate, sessions)]


def _cors(origins: Origins) -> Middleware:
    return Middleware(
        CORSMiddleware,
        allow_origins=origins.named,
        allow_origin_regex=origins.expression,
        allow_methods=["GET", "POST", "PATCH", "DELETE"],
        allow_headers=["*"],
        # Chrome asks before a public page may reach a server on the user's own network.
        allow_private_network=True,
        expose_headers=[
            "x-request-id",
            "retry-after",
            "x-should-retry",
            "x-schema-dropped",
            "x-stream-id",
            "mcp-session-id",
            *waiting.HEADERS,
            *quota_headers.NAMES,
        ],
    )


def _guarded(guard: Guard, open_paths: PathSet) -> Middleware:
    return Middleware(Guarded, guard=guard, open_paths=open_paths)
