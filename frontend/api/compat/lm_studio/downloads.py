"""POST /api/v1/models/download and its status, as in LM Studio: the pulls of this server.

https://lmstudio.ai/docs/developer/rest/download
"""

from __future__ import annotations

import time
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from frontend.api.admin.model_report import Report
from frontend.api.admin.models import as_json
from frontend.api.compat.lm_studio.asked import LmStudioDownload
from frontend.api.ollama.answer import timestamp
from frontend.api.route import Services
from frontend.api.validate import check
from frontend.http.body import read_json

# The states of a pull by its words.
_STATUSES = {
    "waiting": "downloading",
    "running": "downloading",
    "paused": "paused",
    "finished": "completed",
    "failed": "failed",
    "cancelled": "failed",
}
_GROUPS = ("downloading", "completed", "failed", "paused")


class Downloads:
    """Renders what `Operator` tells of pulls."""

    def __init__(self, its: Services) -> None:
        self._dispatcher = its.dispatcher
        self._operator = its.operator
        self._max_json_bytes = its.serve.max_json_bytes

    async def start(self, request: Request) -> Response:
        body = await read_json(request, self._max_json_bytes)
        asked = check(LmStudioDownload, body.data)
        if self._dispatcher.called(asked.model) is not None:
            return as_json({"status": "already_downloaded"})
        pull = await self._operator.pull(asked.source, name="", serve=True, force=False)
        return as_json(told(pull, time.time()))

    async def index(self, _: Request) -> Response:
        now_s = time.time()
        jobs = [told(pull, now_s) for pull in (await self._operator.pulls())["pulls"]]
        groups = {name: [job for job in jobs if job["status"] == name] for name in _GROUPS}
        return as_json(groups)

    async def get(self, request: Request) -> Response:
        pull = await self._operator.pull_of(request.path_params["pull_id"])
        return as_json(told(pull, time.time()))


def told(pull: Report, now_s: float) -> dict[str, Any]:
    """``pull`` as LM Studio tells a download at ``now_s``, in seconds since 1970."""
    status = _STATUSES[pull["state"]]
    job = {
        "job_id": pull["id"],
        "status": status,
        "total_size_bytes": pull["total_bytes"],
        "downloaded_bytes": pull["done_bytes"],
        "started_at": timestamp(pull["created_at"]),
    }
    if status == "completed":
        job["completed_at"] = timestamp(pull["changed_at"])
    if status == "downloading":
        job["bytes_per_second"] = pull["bytes_per_s"] or 0
        if pull["eta_s"] is not None:
            job["estimated_completion"] = timestamp(now_s + pull["eta_s"])
    return job
