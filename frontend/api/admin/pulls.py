"""/admin/pulls: models that the server fetches by itself, and what one would take"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from frontend.api.admin.asked import PullRequest, PullsQuery
from frontend.api.admin.models import as_json
from frontend.api.admin.operator import Operator
from frontend.api.validate import check, check_query
from frontend.http.body import read_json
from frontend.http.disconnect import Watch
from frontend.http.request_context import RequestContext


class Pulls:
    """Renders what `Operator` tells of pulls. 202 means that it goes on."""

    def __init__(self, operator: Operator, max_json_bytes: int) -> None:
        self._operator = operator
        self._max_json_bytes = max_json_bytes

    async def start(self, request: Request) -> Response:
        query = check_query(PullsQuery, request)
        asked = check(PullRequest, (await read_json(request, self._max_json_bytes)).data)
        if query.estimates:
            RequestContext.of(request.scope).only_asks = True
            async with Watch(request.receive):
                return as_json(await self._operator.estimate_pull(asked.place))
        RequestContext.of(request.scope).acted_on = asked.place
        pull = await self._operator.pull(
            asked.place, name=asked.name or "", serve=asked.serve, force=asked.force
        )
        return as_json(pull, 202)

    async def index(self, _: Request) -> Response:
        return as_json(await self._operator.pulls())

    async def get(self, request: Request) -> Response:
        return as_json(await self._operator.pull_of(_id(request)))

    async def cancel(self, request: Request) -> Response:
        return as_json(await self._operator.control_pull(_id(request), "cancel"))

    async def pause(self, request: Request) -> Response:
        return as_json(await self._operator.control_pull(_id(request), "pause"))

    async def resume(self, request: Request) -> Response:
        return as_json(await self._operator.control_pull(_id(request), "resume"), 202)


def _id(request: Request) -> str:
    pull_id: str = request.path_params["pull_id"]
    return pull_id
