"""POST /api/pull and DELETE /api/delete: models that come, and that leave for good.

https://github.com/ollama/ollama/blob/main/docs/api.md#pull-a-model
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncGenerator
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from frontend.api.admin import hub_names
from frontend.api.admin.asked import PullRequest
from frontend.api.admin.model_report import Report
from frontend.api.ollama.errors import error_object
from frontend.api.ollama.models_request import OllamaModelRequest, OllamaPullRequest
from frontend.api.ollama.names import LATEST, known_as
from frontend.api.route import JSON, Services
from frontend.api.translated import told_by
from frontend.api.validate import check
from frontend.dispatch import refusals
from frontend.http.body import read_json
from frontend.http.disconnect import Watch
from frontend.http.following import Following, Form
from frontend.http.ndjson import KEEPALIVE, MEDIA_TYPE, line
from frontend.http.request_context import RequestContext
from ipc.messages.errors import InvalidRequest, ServeError, Unavailable

_SUCCESS = {"status": "success"}
_STOPPING = {"error": "this server is stopping; the pull goes on when it runs again"}
_LINES = Form(MEDIA_TYPE.encode("ascii"), KEEPALIVE, line(_STOPPING))
_DIGITS = 12  # of a digest, in what people read


class OllamaPulls:
    """A pull is a job of this server, which goes on when its client leaves. Anybody may ask for a
    model that is served; for another one only who may manage this server."""

    def __init__(self, its: Services) -> None:
        self._dispatcher = its.dispatcher
        self._operator = its.operator
        self._guard = its.guard
        self._max_bytes = its.serve.max_json_bytes
        self._keepalive_s = its.serve.keepalive_s

    async def pull(self, request: Request) -> Response:
        body = await read_json(request, self._max_bytes)
        asked = check(OllamaPullRequest, body.data)
        if self._dispatcher.called(known_as(self._dispatcher, asked.wanted)) is not None:
            media_type = JSON if asked.stream is False else MEDIA_TYPE
            return Response(line(_SUCCESS), media_type=media_type)
        with self._guard.doing(request, "pull.start"):
            job = await self._begin(request, asked.wanted)
        if asked.stream is False:
            return await self._whole(request, job["id"])
        return Following(self._lines(job), self._operator.followers, self._keepalive_s, _LINES)

    async def delete(self, request: Request) -> Response:
        body = await read_json(request, self._max_bytes)
        name = known_as(self._dispatcher, check(OllamaModelRequest, body.data).wanted)
        RequestContext.of(request.scope).acted_on = name
        await self._operator.remove(name)
        return PlainTextResponse("")

    async def _begin(self, request: Request, name: str) -> Report:
        hub = hub_names.parse(name) if hub_names.is_of_the_hub(name) else None
        words = {"source": hub.source if hub else name.removesuffix(LATEST)}
        if hub and hub.own_name:
            words["name"] = hub.own_name
        with told_by({"source": "model", "name": "model"}):
            asked = check(PullRequest, words)
        RequestContext.of(request.scope).acted_on = asked.source
        return await self._operator.pull(
            asked.source, name=asked.name or "", serve=True, force=False
        )

    async def _whole(self, request: Request, pull_id: str) -> Response:
        last: Report = {}
        with self._operator.followers.one_more(RequestContext.of(request.scope).key) as end:
            async with Watch(request.receive):
                async for pull in self._operator.pull_steps(pull_id):
                    if end.done():
                        raise refusals.stopping()
                    last = pull
        if last["state"] != "finished":
            raise _failure(last)
        return Response(orjson.dumps(_SUCCESS), media_type=JSON)

    async def _lines(self, job: Report) -> AsyncGenerator[bytes, None]:
        try:
            yield line({"status": "pulling manifest"})
            async for pull in self._operator.pull_steps(job["id"]):
                if (told := step(pull)) is not None:
                    yield line(told)
            if pull["state"] != "finished":
                raise _failure(pull)
            yield line(_SUCCESS)
        except ServeError as error:
            yield line(error_object(error))


def step(pull: Report) -> dict[str, Any] | None:
    """What a pull does now, as a line of the stream; None where there is nothing to tell.

    Clients show a bar for each ``digest``: here a pull has one, which is made of its source, since
    the digests of its files are known only once these are here.
    """
    if not pull["doing"] or pull["state"] not in ("waiting", "running"):
        return None
    if pull["doing"].startswith("checking "):
        return {"status": "verifying sha256 digest"}
    if not pull["total_bytes"]:
        return {"status": pull["doing"]}
    digest = hashlib.sha256(pull["source"].encode()).hexdigest()
    return {
        "status": f"pulling {digest[:_DIGITS]}",
        "digest": f"sha256:{digest}",
        "total": pull["total_bytes"],
        "completed": pull["done_bytes"],
    }


def _failure(pull: Report) -> ServeError:
    """Why a pull has ended without its model. What was never found out of it, was asked for
    wrongly, unless the hub was not reached."""
    if pull["state"] != "failed":
        return Unavailable(f"{pull['id']} was {pull['state']} by an operator of this server")
    if pull["looked"] is None and not pull["unreached"]:
        return InvalidRequest(pull["error"], param="model")
    return Unavailable(pull["error"])
