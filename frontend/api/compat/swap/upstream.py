"""/upstream/{model}/…: what is below it is asked of that model, whatever the request names.

llama-swap hands such a request to the model's own server. Here all models have one server, so it is
the same request to that, for the model of the path. Clients use it where a request names none, as
those to /infill and /props do.
"""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import parse_qsl, quote, urlencode

from starlette.types import ASGIApp, Receive, Scope, Send

from frontend.dispatch.dispatcher import Dispatcher
from frontend.http.body import MODEL_OF_PATH
from frontend.http.paths import plain

ROOT = "/upstream/"


class Upstream:
    """``app``, which finds such a request as if it had been sent without that beginning. Stands
    outside of all that looks at a path: what guards the rest of the path guards it here, too. What
    has no rest, or begins with no model, is a route of its own, and so is a model's health."""

    def __init__(self, app: ASGIApp, dispatcher: Dispatcher) -> None:
        self._app = app
        self._dispatcher = dispatcher

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].startswith(ROOT):
            found = parted(plain(scope["path"]), self._is_model)
            if found is not None and found[1] != "/health":
                scope = _asked_of(scope, *found)
        await self._app(scope, receive, send)

    def _is_model(self, name: str) -> bool:
        return self._dispatcher.called(name) is not None


def parted(path: str, is_model: Callable[[str], bool]) -> tuple[str, str] | None:
    """The model that ``path`` begins with below `ROOT`, the longest name that is one, and the rest;
    None where there is none, or no rest."""
    parts = path.removeprefix(ROOT).split("/")
    for count in range(len(parts) - 1, 0, -1):
        name = "/".join(parts[:count])
        if is_model(name):
            return name, "/" + "/".join(parts[count:])
    return None


def _asked_of(scope: Scope, model: str, path: str) -> Scope:
    given = parse_qsl(scope.get("query_string", b"").decode("latin-1"), keep_blank_values=True)
    query = [(name, value) for name, value in given if name != "model"]
    return {
        **scope,
        "path": path,
        "raw_path": quote(path).encode("ascii"),
        "query_string": urlencode([*query, ("model", model)]).encode("ascii"),
        MODEL_OF_PATH: model,
    }
