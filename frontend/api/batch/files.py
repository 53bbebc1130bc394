"""/v1/files: lines to be asked in a batch, and what they were answered"""

from __future__ import annotations

from typing import Any

import orjson
from starlette.datastructures import FormData, UploadFile
from starlette.requests import Request
from starlette.responses import FileResponse, Response

from frontend.api.batch import answers
from frontend.api.batch.requests import FILE_REFUSED, MAX_NAME_CHARS, FileRequest, FilesQuery
from frontend.api.validate import check, check_query, refuse_unsupported
from frontend.batches.service import Batches
from frontend.http.body import FORM_OVERHEAD_BYTES, read_form
from frontend.http.request_context import RequestContext
from ipc.messages.errors import InvalidRequest, PayloadTooLarge


class Files:
    """They are on the disk, and are never in memory as a whole."""

    def __init__(self, batches: Batches) -> None:
        self._batches = batches
        self._max_bytes = batches.config.max_file_bytes

    async def create(self, request: Request) -> Response:
        declared = request.headers.get("content-length", "")
        expected = int(declared[:20]) if declared.isdecimal() else self._max_bytes
        expected = min(expected, self._max_bytes + FORM_OVERHEAD_BYTES)
        with self._batches.upload(expected) as place:
            async with read_form(request, self._max_bytes, place) as form:
                fields = _fields(form)
                refuse_unsupported(fields, FILE_REFUSED)
                check(FileRequest, fields)
                file = _file(form, self._max_bytes)
            name = (file.filename or "")[:MAX_NAME_CHARS]
            kept = await self._batches.add(place, name, file.size or 0, _key(request))
        return _json(answers.of_file(kept))

    async def index(self, request: Request) -> Response:
        asked = check_query(FilesQuery, request)
        found = self._batches.files(_key(request))
        if asked.purpose is not None:
            found = [file for file in found if file.purpose == asked.purpose]
        if asked.order == "desc":
            found.reverse()
        return _json(answers.page(found, asked.after, asked.limit, answers.of_file))

    async def get(self, request: Request) -> Response:
        file = self._batches.file(request.path_params["file_id"], _key(request))
        return _json(answers.of_file(file))

    async def delete(self, request: Request) -> Response:
        file_id = request.path_params["file_id"]
        await self._batches.delete(file_id, _key(request))
        return _json({"id": file_id, "object": "file", "deleted": True})

    async def content(self, request: Request) -> Response:
        file = self._batches.file(request.path_params["file_id"], _key(request))
        path = self._batches.path(file)
        return FileResponse(path, media_type="application/octet-stream", filename=file.name or None)


def _fields(form: FormData) -> dict[str, Any]:
    """Its texts; a key like ``expires_after[seconds]`` is one of ``expires_after``."""
    return {
        name.partition("[")[0]: value
        for name, value in form.multi_items()
        if isinstance(value, str)
    }


def _file(form: FormData, limit_bytes: int) -> UploadFile:
    file = form.get("file")
    if not isinstance(file, UploadFile):
        raise InvalidRequest("`file` is required, as a file of the form", param="file")
    if (file.size or 0) > limit_bytes:
        raise PayloadTooLarge(f"the file is over this server's limit of {limit_bytes} bytes")
    return file


def _key(request: Request) -> str | None:
    return RequestContext.of(request.scope).key


def _json(body: dict[str, Any]) -> Response:
    return Response(orjson.dumps(body), media_type="application/json")
