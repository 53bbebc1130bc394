"""What a path is taken for, and what is said of one that leads nowhere."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from frontend.http.errors import shown
from ipc.messages.errors import NotFound

_SLASHES = re.compile("//+")
# Routes that clients of these APIs know, by what they begin with; the first that fits is told.
_NOT_BUILT = {
    "OpenAI's API": (
        *("/v1/conversations", "/v1/images", "/v1/videos"),
        *("/v1/audio/voice_consents", "/v1/moderations", "/v1/uploads"),
        *("/v1/fine_tuning", "/v1/fine-tunes", "/v1/vector_stores", "/v1/assistants"),
        *("/v1/threads", "/v1/evals", "/v1/containers", "/v1/organization"),
        *("/v1/engines", "/v1/edits", "/v1/chat/completions", "/v1/responses/compact"),
    ),
    "Anthropic's API": ("/v1/messages/batches", "/v1/complete"),
    "LM Studio's API": ("/api/v1/chat",),
    "llama-swap's API": (
        *("/api/events", "/api/inflight", "/api/metrics", "/api/performance"),
        *("/api/profiles", "/api/captures", "/api/hardware"),
    ),
    "Ollama's API": ("/api",),
    "llama.cpp's server": ("/completion", "/completions", "/lora-adapters"),
    "vLLM": ("/pooling", "/classify", "/invocations", "/version", "/ping"),
}
# Those of them that a route would take for one of its own, with a part of the path for a name.
COVERED = ("/v1/responses/compact",)
# APIs that may be off: a route that is served where they are on, and the setting for it.
_OFF = {"Ollama's API": ("/api/tags", "OLLAMA_API=true")}


def plain(path: str) -> str:
    """``path`` without the slashes that clients add: at its end, and two where one belongs.

    It is made plain before anything is decided by it, so that the check of keys and the router see
    the same one.
    """
    if "//" in path:
        path = _SLASHES.sub("/", path)
    return path.rstrip("/") or "/" if path.endswith("/") else path


class PathSet:
    """The paths that fit one of ``routes``; what stands in braces there may be anything, so far as
    it is the last part."""

    def __init__(self, routes: Iterable[str]) -> None:
        known = list(routes)
        self._whole = frozenset(route for route in known if "{" not in route)
        self._below = tuple(route.partition("{")[0] for route in known if "{" in route)

    def __contains__(self, path: object) -> bool:
        return path in self._whole or (
            isinstance(path, str) and bool(self._below) and path.startswith(self._below)
        )


class Unserved:
    """What the router answers where no route fits: what was asked, and what there is."""

    def __init__(self, served: Sequence[tuple[str, str]]) -> None:
        """``served`` are methods with paths."""
        self._served = served

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if (scope["method"], scope["path"]) == ("OPTIONS", "*"):  # asked of the server as a whole
            allowed = ", ".join(
                sorted({"HEAD", "OPTIONS", *(method for method, _ in self._served)})
            )
            await Response(status_code=204, headers={"allow": allowed})(scope, receive, send)
            return
        raise NotFound(why(scope["method"], scope["path"], self._served))


def why(method: str, path: str, served: Sequence[tuple[str, str]]) -> str:
    """The words for a request that no route fits, where ``served`` are methods with paths."""
    what = f"{method} {shown(path)[1:-1]}"
    paths = [each for _, each in served]
    for meant in _meant(path):
        if meant in paths:
            return f"{what} is not served; did you mean {meant}?"
    for api, known in _NOT_BUILT.items():
        if any(path == each or path.startswith(f"{each}/") for each in known):
            one, setting = _OFF.get(api, ("", ""))
            if setting and one not in paths:
                return f"{what} is a route of {api}, which is off here; {setting} turns it on"
            return f"{what} is a route of {api} that is not built here; {_list(served)}"
    whole = [each for each in paths if "{" not in each]
    close = difflib.get_close_matches(path.lower(), whole, n=1, cutoff=0.9)
    hint = f"did you mean {close[0]}?" if close else _list(served)
    return f"{what} is not served; {hint}"


def _meant(path: str) -> Iterable[str]:
    """Where clients want to go whose base URL has a prefix too many or too few."""
    yield path.lower()
    at = path.rfind("/v1/")
    if at > 0:
        yield path[at:]
    yield f"/v1{path}"


def _list(served: Sequence[tuple[str, str]]) -> str:
    methods = dict.fromkeys(method for method, _ in served)
    told = (
        f"{method} " + ", ".join(path for each, path in served if each == method)
        for method in methods
    )
    return "this server has " + "; ".join(told)
