"""GET /openapi.json: the API as this very server offers it, with its models and its limits.

Requests are described by the models that check them, see `frontend.openapi.request_schema`; answers
by models that exist for this alone, and are held against real answers by the tests.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import orjson
from msgspec import structs
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema
from starlette.requests import Request
from starlette.responses import Response

from frontend.api.fields import Schema
from frontend.api.route import JSON, Given, Route, Services
from frontend.openapi.request_schema import names_of, one_of, request_schema
from ipc.messages.control import Serve
from ipc.messages.errors import BY_CODE
from ipc.messages.keys import KEY_NAME
from ipc.tasks import TASKS

VERSION = "3.1.0"
_REFS = "#/components/schemas/"
# What may go wrong with any request, with one that has a body, and with one that needs a worker.
_ALWAYS = (500,)
_BODY = (400, 408, 413, 415)
_WORK = (404, 429, 503, 504)


class OpenApi:
    """Answers with the description of ``routes``, which is made anew when the models change."""

    def __init__(self, routes: Sequence[Route], its: Services) -> None:
        self._routes = routes
        self._dispatcher = its.dispatcher
        self._serve = its.serve
        self._content = b""

    async def describe(self, _: Request) -> Response:
        specs, aliases = [*self._dispatcher.specs.values()], {**self._dispatcher.aliases}
        serve = structs.replace(self._serve, specs=specs, aliases=aliases)
        if not self._content or serve != self._serve:
            self._serve = serve
            self._content = orjson.dumps(document(self._routes, serve))
        return Response(self._content, media_type=JSON)


def document(routes: Sequence[Route], serve: Serve) -> Schema:
    """The OpenAPI document of ``routes``, with ``serve``'s models, limits and gate."""
    paths: Schema = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, serve)
    keys = {"bearer": {"type": "http", "scheme": "bearer"}}
    keys["x-api-key"] = {"type": "apiKey", "in": "header", "name": "x-api-key"}
    guarded = bool(serve.gate.api_keys)
    return {
        "openapi": VERSION,
        "info": {"title": "edge-serve", "version": "1"},
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": _schemas(routes),
            **({"securitySchemes": keys} if guarded else {}),
        },
        **({"security": [{name: []} for name in keys]} if guarded else {}),
    }


def _operation(route: Route, serve: Serve) -> Schema:
    described: Schema = {
        "operationId": route.id,
        "summary": route.summary,
        "responses": dict(_responses(route, serve)),
    }
    if route.takes:
        content = {route.body: {"schema": _taken(route, serve), **_example(route, serve)}}
        described["requestBody"] = {"required": not route.body_optional, "content": content}
    if parameters := [*_of_path(route, serve), *_of_query(route, serve)]:
        described["parameters"] = parameters
    if route.open or route.keyless:
        described["security"] = []
    return described


def _of_path(route: Route, serve: Serve) -> Iterable[Schema]:
    for name in route.parameters:
        yield {"name": name, "in": "path", "required": True, "schema": _in_path(name, serve)}


def _in_path(name: str, serve: Serve) -> Schema:
    if name == "model":
        return one_of(names_of(serve.specs, serve))
    if name == "key":
        return {"type": "string", "pattern": KEY_NAME.pattern}
    return {"type": "string", "minLength": 1}


def _of_query(route: Route, serve: Serve) -> Iterable[Schema]:
    if route.asks is not None:
        for name, schema in request_schema(route.asks, None, serve)["properties"].items():
            yield {"name": name, "in": "query", "required": False, "schema": schema}


def _example(route: Route, serve: Serve) -> Schema:
    """A body that a client could send to this very server; none for a form with a file, or where
    no model would answer."""
    kind = route.takes[0]
    task = TASKS[route.task] if route.task else None
    first = task.example if task and (route.path == task.path or not kind.EXAMPLE) else None
    body = first or kind.EXAMPLE
    names = [spec.name for spec in serve.specs if spec.task == route.task]
    if not body or (task and not names):
        return {}
    named = {"model": names[0]} if names and "model" in kind.model_fields else {}
    return {"example": {**named, **body}}


def _taken(route: Route, serve: Serve) -> Schema:
    shapes = [request_schema(kind, route.task, serve) for kind in route.takes]
    for each in shapes:
        each["properties"].update({name: {} for name in route.ignores})
    return shapes[0] if len(shapes) == 1 else {"anyOf": shapes}


def _responses(route: Route, serve: Serve) -> Iterable[tuple[str, Schema]]:
    content = {media: {"schema": _given(kind)} for media, kind in route.gives.items()}
    if content:
        yield "200", {"description": "The answer", "content": content}
    for status, kind in route.also.items():
        said = "It goes on" if status == 202 else "No"
        content = {"content": {JSON: {"schema": _ref(kind)}}} if kind else {}
        yield str(status), {"description": said, **content}
    for status in sorted(_failures(route, serve)):
        codes = sorted(code for code, error in BY_CODE.items() if error.status == status)
        content = {JSON: {"schema": _ref(route.error_model)}}
        yield str(status), {"description": ", ".join(codes), "content": content}


def _failures(route: Route, serve: Serve) -> set[int]:
    """The statuses of a route's errors."""
    statuses = {*_ALWAYS, *route.errors}
    if route.takes:
        statuses |= {*_BODY}
    if route.asks or route.socket:
        statuses |= {400}
    if route.task:
        statuses |= {*_WORK}
    if not route.open:
        statuses |= {401} if serve.gate.api_keys and not route.keyless else set()
        statuses |= {403} if serve.gate.hosts or route.admin else set()
    return statuses


def _given(kind: Given) -> Schema:
    if kind is None:
        return {}
    if isinstance(kind, tuple):
        return {"anyOf": [_given(each) for each in kind]}
    if isinstance(kind, list):
        return {"type": "array", "items": _given(kind[0])}
    return _ref(kind)


def _ref(kind: Any) -> Schema:
    return {"$ref": _REFS + kind.__name__}


def _kinds(given: Given) -> Iterable[type[BaseModel]]:
    """The models in what a route gives."""
    if isinstance(given, tuple | list):
        for each in given:
            yield from _kinds(each)
    elif given is not None:
        yield given


def _schemas(routes: Sequence[Route]) -> Schema:
    """Everything that is referred to, by name."""
    given: set[type[BaseModel]] = {route.error_model for route in routes}
    for route in routes:
        for kind in (*route.gives.values(), *route.also.values()):
            given |= set(_kinds(kind))
    ordered = sorted(given, key=lambda kind: kind.__name__)
    _, found = models_json_schema(
        [(kind, "serialization") for kind in ordered], ref_template=_REFS + "{model}"
    )
    definitions: Schema = found["$defs"]
    return definitions
