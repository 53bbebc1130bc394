"""GET /openapi.json: the API as this very server offers it, with its models and its limits.

Requests are described by the models that check them, see `frontend.openapi.request_shapes`; answers
by models that exist for this alone, and are held against real answers by the tests.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema
from starlette.requests import Request
from starlette.responses import Response

from frontend.api.compat.llama_cpp_embeddings import PlainEmbeddingRequest
from frontend.api.openai.audio_request import AudioRequest
from frontend.api.openai.chat_request import ChatRequest
from frontend.api.openai.embeddings_request import EmbeddingRequest
from frontend.api.rerank.request import RERANK_PATHS, RerankRequest, TextsRerankRequest
from frontend.api.validate import Body
from frontend.openapi import answers
from frontend.openapi.request_shapes import Schema, names_of, one_of, shape
from ipc.messages.control import Serve
from ipc.messages.errors import BY_CODE
from ipc.messages.jobs import Task

VERSION = "3.1.0"
_REFS = "#/components/schemas/"
_JSON, _FORM, _TEXT, _EVENTS = (
    "application/json",
    "multipart/form-data",
    "text/plain",
    "text/event-stream",
)
# What may go wrong with any request, with one that has a body, and with one that needs a worker.
_ALWAYS = (500,)
_BODY = (400, 408, 413, 415)
_WORK = (404, 429, 503, 504)


@dataclass(frozen=True)
class Operation:
    """One method of one route. ``takes`` is what its body is checked by, one of several where there
    are several forms; ``gives`` maps the media types of its 200 to what they hold; ``ignores`` are
    parameters that may be anything."""

    path: str
    id: str
    summary: str
    gives: Mapping[str, type[BaseModel] | tuple[Any, ...] | list[Any] | None]
    takes: type[Body] | tuple[type[Body], ...] | None = None
    task: Task | None = None
    ignores: tuple[str, ...] = ()
    errors: tuple[int, ...] = ()
    also: Mapping[int, type[BaseModel]] = field(default_factory=dict)

    @property
    def method(self) -> str:
        return "post" if self.takes else "get"


_AUDIO = {
    _JSON: (answers.Transcript, answers.VerboseTranscript),
    _TEXT: None,
    _EVENTS: None,
}
_PLAIN = {_JSON: [answers.PlainEmbedding]}
OPERATIONS = (
    Operation(
        "/v1/chat/completions",
        "chat",
        "Answer a conversation, whole or as a stream",
        {_JSON: answers.ChatCompletion, _EVENTS: None},
        ChatRequest,
        "chat",
    ),
    Operation(
        "/v1/embeddings",
        "embeddings",
        "A vector for each text",
        {_JSON: answers.EmbeddingList},
        EmbeddingRequest,
        "embed",
    ),
    Operation(
        "/embedding",
        "embedding_plain",
        "A vector for each text, as llama.cpp's server gives it",
        _PLAIN,
        PlainEmbeddingRequest,
        "embed",
    ),
    Operation(
        "/embeddings",
        "embeddings_plain",
        "The same, under its other name",
        _PLAIN,
        PlainEmbeddingRequest,
        "embed",
    ),
    *(
        Operation(
            path,
            path.strip("/").replace("/", "_"),
            "Documents by their relevance to a query",
            {_JSON: (answers.Ranking, [answers.RankedByTei])},
            (RerankRequest, TextsRerankRequest),
            "rerank",
        )
        for path in RERANK_PATHS
    ),
    Operation(
        "/v1/audio/transcriptions",
        "transcribe",
        "Speech to text in its own language",
        _AUDIO,
        AudioRequest,
        "speech",
    ),
    Operation(
        "/v1/audio/translations",
        "translate",
        "Speech to English text",
        _AUDIO,
        AudioRequest,
        "speech",
        ignores=("language",),
    ),
    Operation("/v1/models", "models", "The configured models", {_JSON: answers.ModelList}),
    Operation(
        "/v1/models/{id}", "model", "One of them", {_JSON: answers.ModelEntry}, errors=(404,)
    ),
    Operation("/", "front", "What this server is, in a line", {_TEXT: None}),
    Operation("/livez", "livez", "The server answers", {_JSON: answers.Life}),
    Operation(
        "/readyz",
        "readyz",
        "Every model that should run is ready",
        {_JSON: answers.Readiness},
        also={503: answers.Readiness},
    ),
    Operation(
        "/health",
        "health",
        "Every process, measured now",
        {_JSON: answers.HealthReport},
        also={503: answers.HealthReport},
    ),
    Operation("/metrics", "metrics", "For Prometheus", {_TEXT: None}),
    Operation("/openapi.json", "openapi", "This description", {_JSON: None}),
)


class OpenApi:
    """Answers with the description, which is made when it is first asked for."""

    def __init__(self, serve: Serve) -> None:
        self._serve = serve
        self._content: bytes | None = None

    async def describe(self, _: Request) -> Response:
        if self._content is None:
            self._content = orjson.dumps(document(self._serve))
        return Response(self._content, media_type=_JSON)


def document(serve: Serve) -> Schema:
    """The OpenAPI document for a server with ``serve``'s models, limits and gate."""
    shown = [each for each in OPERATIONS if serve.metrics or each.id != "metrics"]
    paths: Schema = {}
    for operation in shown:
        paths.setdefault(operation.path, {})[operation.method] = _operation(operation, serve)
    keys = {"bearer": {"type": "http", "scheme": "bearer"}}
    keys["x-api-key"] = {"type": "apiKey", "in": "header", "name": "x-api-key"}
    guarded = bool(serve.gate.api_keys)
    return {
        "openapi": VERSION,
        "info": {"title": "edge-serve", "version": "1"},
        "paths": paths,
        "components": {
            "schemas": _schemas(shown),
            **({"securitySchemes": keys} if guarded else {}),
        },
        **({"security": [{name: []} for name in keys]} if guarded else {}),
    }


def _operation(operation: Operation, serve: Serve) -> Schema:
    described: Schema = {
        "operationId": operation.id,
        "summary": operation.summary,
        "responses": dict(_responses(operation, serve)),
    }
    if operation.takes is not None and operation.task is not None:
        schema = _taken(operation.takes, operation.task, serve, operation.ignores)
        media = _FORM if operation.takes is AudioRequest else _JSON
        described["requestBody"] = {"required": True, "content": {media: {"schema": schema}}}
    if "{id}" in operation.path:
        names = names_of(serve.specs, serve)
        described["parameters"] = [
            {"name": "id", "in": "path", "required": True, "schema": one_of(names)}
        ]
    if operation.path == "/livez":
        described["security"] = []
    return described


def _taken(
    takes: type[Body] | tuple[type[Body], ...], task: Task, serve: Serve, ignores: tuple[str, ...]
) -> Schema:
    if isinstance(takes, tuple):
        return {"anyOf": [_taken(each, task, serve, ignores) for each in takes]}
    schema = shape(takes, task, serve)
    schema["properties"].update({name: {} for name in ignores})
    return schema


def _responses(operation: Operation, serve: Serve) -> Iterable[tuple[str, Schema]]:
    content = {media: {"schema": _given(kind)} for media, kind in operation.gives.items()}
    yield "200", {"description": "The answer", "content": content}
    for status, kind in operation.also.items():
        yield str(status), {"description": "No", "content": {_JSON: {"schema": _ref(kind)}}}
    statuses = {*_ALWAYS, *operation.errors}
    if operation.takes:
        statuses |= {*_BODY, *_WORK}
    if operation.path != "/livez":
        statuses |= {401} if serve.gate.api_keys else set()
        statuses |= {403} if serve.gate.hosts else set()
    for status in sorted(statuses):
        codes = sorted(code for code, error in BY_CODE.items() if error.status == status)
        description = ", ".join(codes)
        yield (
            str(status),
            {
                "description": description,
                "content": {_JSON: {"schema": _ref(answers.Error)}},
            },
        )


def _given(kind: object) -> Schema:
    if kind is None:
        return {}
    if isinstance(kind, tuple):
        return {"anyOf": [_given(each) for each in kind]}
    if isinstance(kind, list):
        return {"type": "array", "items": _ref(kind[0])}
    return _ref(kind)


def _ref(kind: Any) -> Schema:
    return {"$ref": _REFS + kind.__name__}


def _kinds(given: Any) -> Iterable[type[BaseModel]]:
    """The models in what an operation gives."""
    if isinstance(given, tuple | list):
        for each in given:
            yield from _kinds(each)
    elif given is not None:
        yield given


def _schemas(operations: Iterable[Operation]) -> Schema:
    """Everything that is referred to, by name."""
    given: set[type[BaseModel]] = {answers.Error}
    for operation in operations:
        for kind in (*operation.gives.values(), *operation.also.values()):
            given |= set(_kinds(kind))
    ordered = sorted(given, key=lambda kind: kind.__name__)
    _, found = models_json_schema(
        [(kind, "serialization") for kind in ordered], ref_template=_REFS + "{model}"
    )
    definitions: Schema = found["$defs"]
    return definitions
