"""GET /, /docs and /ui/: the page for people, one line for programs."""

from __future__ import annotations

import asyncio

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from frontend.ui.files import File, files
from ipc.messages.errors import NotFound

# Nothing but this server's own files runs or is loaded, whatever a model writes.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "media-src 'self' blob:; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; "
    "form-action 'none'; require-trusted-types-for 'script'; trusted-types dompurify"
)
_HEADERS = {
    "content-security-policy": _POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "vary": "accept, accept-encoding",
}
_FOR_GOOD = "public, max-age=31536000, immutable"


class Page:
    """``line`` is what programs read at / that look whether somebody is there."""

    def __init__(self, line: str) -> None:
        self._line = line

    async def front(self, request: Request) -> Response:
        """The page for whoever accepts HTML, as browsers do by name."""
        if "text/html" in request.headers.get("accept", ""):
            found = await asyncio.to_thread(files)  # the first time takes 40 ms of compressing
            return _response(request, found.index, "no-cache")
        return PlainTextResponse(self._line, headers={"vary": "accept"})


async def docs(request: Request) -> Response:
    """The page, which begins with the description of the API where it finds itself here."""
    found = await asyncio.to_thread(files)
    return _response(request, found.index, "no-cache")


async def file(request: Request) -> Response:
    """A file of the page. One of another version has gone: the page is to be loaded again."""
    found = await asyncio.to_thread(files)
    named = found.by_path.get(request.path_params["file"])
    if named is None or request.path_params["version"] != found.version:
        raise NotFound("the page has no such file any more; load / again")
    return _response(request, named, _FOR_GOOD)


def _response(request: Request, file: File, kept: str) -> Response:
    headers = {**_HEADERS, "cache-control": kept}
    if "gzip" not in request.headers.get("accept-encoding", ""):
        return Response(file.plain, headers=headers, media_type=file.media_type)
    headers["content-encoding"] = "gzip"
    return Response(file.packed, headers=headers, media_type=file.media_type)
