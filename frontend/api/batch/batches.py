"""/v1/batches: many requests, answered while nobody else asks anything"""

from __future__ import annotations

from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from frontend.api.batch import answers
from frontend.api.batch.requests import BatchesQuery, BatchRequest
from frontend.api.validate import check, check_query
from frontend.batches.service import Batches
from frontend.http.body import read_json
from frontend.http.request_context import RequestContext


class BatchJobs:
    """Those of the API key that asks."""

    def __init__(self, batches: Batches, max_json_bytes: int) -> None:
        self._batches = batches
        self._max_json_bytes = max_json_bytes

    async def create(self, request: Request) -> Response:
        body = await read_json(request, self._max_json_bytes)
        asked = check(BatchRequest, body.data)
        batch = await self._batches.create(
            asked.input_file_id, asked.endpoint, asked.metadata, _key(request)
        )
        return _json(answers.of_batch(batch))

    async def index(self, request: Request) -> Response:
        asked = check_query(BatchesQuery, request)
        found = self._batches.batches(_key(request))[::-1]
        return _json(answers.page(found, asked.after, asked.limit, answers.of_batch))

    async def get(self, request: Request) -> Response:
        batch = self._batches.batch(request.path_params["batch_id"], _key(request))
        return _json(answers.of_batch(batch))

    async def cancel(self, request: Request) -> Response:
        batch = await self._batches.cancel(request.path_params["batch_id"], _key(request))
        return _json(answers.of_batch(batch))


def _key(request: Request) -> str | None:
    return RequestContext.of(request.scope).key


def _json(body: dict[str, Any]) -> Response:
    return Response(orjson.dumps(body), media_type="application/json")
