"""/admin/incidents: files of what has gone wrong"""

from __future__ import annotations

import asyncio

from starlette.requests import Request
from starlette.responses import Response

from frontend.api.admin.models import as_json
from frontend.api.route import GZIP
from frontend.incidents.folder import ENDING, Folder
from ipc.messages.errors import NotFound


class Incidents:
    """Of a server that keeps none, there are none."""

    def __init__(self, folder: Folder | None) -> None:
        self._folder = folder

    async def index(self, _: Request) -> Response:
        found = await asyncio.to_thread(self._folder.summaries) if self._folder else []
        return as_json({"incidents": found})

    async def get(self, request: Request) -> Response:
        """Raises `NotFound`."""
        incident_id = request.path_params["incident_id"]
        data = None
        if self._folder is not None:
            data = await asyncio.to_thread(self._folder.read, incident_id)
        if data is None:
            raise NotFound(
                "there is no incident with this id; GET /admin/incidents lists them",
                param="incident_id",
            )
        name = f'attachment; filename="{incident_id}{ENDING}"'
        headers = {"content-disposition": name, "cache-control": "no-store"}
        return Response(data, media_type=GZIP, headers=headers)
