"""The application: which route is answered by what, and the one layer around them."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import Route

from frontend.control import Control
from frontend.dispatch import Dispatcher
from frontend.errors import on_http_exception, on_serve_error
from frontend.guard import Hosts, Keys
from frontend.metrics import Metrics
from frontend.middleware import Access
from frontend.openapi import OpenApi
from frontend.routes.audio import Audio
from frontend.routes.chat import Chat
from frontend.routes.embeddings import Embeddings
from frontend.routes.health import Health
from frontend.routes.models import Models
from frontend.routes.rerank import Rerank
from ipc.control import Gate, Serve
from ipc.errors import ServeError


def build(dispatcher: Dispatcher, control: Control, serve: Serve, metrics: Metrics) -> Starlette:
    """The ASGI application that answers for ``dispatcher``'s models within ``serve``'s limits."""
    chat = Chat(dispatcher, serve, metrics)
    embeddings = Embeddings(dispatcher, serve)
    rerank = Rerank(dispatcher, serve)
    audio = Audio(dispatcher, serve)
    models = Models(dispatcher)
    health = Health(dispatcher, control, metrics)
    routes = [
        Route("/v1/chat/completions", chat.complete, methods=["POST"]),
        Route("/v1/embeddings", embeddings.create, methods=["POST"]),
        Route("/embedding", embeddings.create_plain, methods=["POST"]),
        Route("/embeddings", embeddings.create_plain, methods=["POST"]),
        Route("/v1/rerank", rerank.rerank, methods=["POST"]),
        Route("/rerank", rerank.rerank, methods=["POST"]),
        Route("/v1/audio/transcriptions", audio.transcribe, methods=["POST"]),
        Route("/v1/audio/translations", audio.translate, methods=["POST"]),
        Route("/v1/models", models.index),
        Route("/v1/models/{id:path}", models.get),
        Route("/livez", health.livez),
        Route("/readyz", health.readyz),
        Route("/health", health.health),
        Route("/openapi.json", OpenApi(serve).describe),
    ]
    if serve.metrics:
        routes.append(Route("/metrics", health.metrics))
    app = Starlette(
        routes=routes,
        middleware=[Middleware(Access, metrics=metrics), *_gate(serve.gate)],
        exception_handlers={ServeError: on_serve_error, HTTPException: on_http_exception},
    )
    # A redirect would be built from the client's Host header, and repeat the whole body.
    app.router.redirect_slashes = False
    return app


def _gate(gate: Gate) -> list[Middleware]:
    """What stands before the routes. A browser's question whether it may ask carries no key."""
    layers = []
    if gate.hosts:
        layers.append(Middleware(Hosts, hosts=gate.hosts))
    if gate.cors_origins:
        layers.append(
            Middleware(
                CORSMiddleware,
                allow_origins=gate.cors_origins,
                allow_methods=["GET", "POST"],
                allow_headers=["*"],
                expose_headers=["x-request-id", "retry-after", "x-should-retry"],
            )
        )
    if gate.api_keys:
        layers.append(Middleware(Keys, keys=gate.api_keys))
    return layers
