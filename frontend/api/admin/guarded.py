"""What stands before what operators do, by whichever route: who may, and a line for it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from starlette.requests import Request

from frontend.dispatch.control import Control
from frontend.http.operators import check_operator
from frontend.http.request_context import RequestContext
from ipc.messages.admin import AdminAct
from ipc.messages.errors import CrossSite, ServeError

_MAX_SUBJECT_CHARS = 256


class OperatorGuard:
    """Lets in those who may manage this server; see `check_operator` for ``with_keys``.

    What they do is told to the supervisor, which writes it down. What is refused here is not: else
    strangers could fill the log.
    """

    def __init__(self, control: Control, *, with_keys: bool) -> None:
        self._control = control
        self._with_keys = with_keys

    def check(self, request: Request) -> None:
        """Raises `AdminRequired` and `CrossSite`."""
        check_operator(request.scope, with_keys=self._with_keys)

    @contextmanager
    def doing(self, request: Request, act: str) -> Iterator[None]:
        """For a block that does ``act``: raises as `check`, and has it written down with what came
        of it, unless it turned out to be a request that `only_asks`."""
        self.check(request)
        _check_meant(request)
        result = "internal_error"
        try:
            yield
            result = "ok"
        except ServeError as error:
            result = error.code
            raise
        except asyncio.CancelledError:
            result = "cancelled"
            raise
        finally:
            if not RequestContext.of(request.scope).only_asks:
                self._control.acted(_act(request, act, result))


def _check_meant(request: Request) -> None:
    """Raises `CrossSite` for a change by GET with nothing but a cookie: a browser sends that along
    with an image, too, and has no token for it."""
    if request.method in ("GET", "HEAD") and RequestContext.of(request.scope).by_cookie:
        raise CrossSite("a change by GET needs the key itself, not a cookie")


def _act(request: Request, act: str, result: str) -> AdminAct:
    context = RequestContext.of(request.scope)
    parts = ", ".join(map(str, request.path_params.values()))
    subject = context.acted_on or context.model or parts
    return AdminAct(
        by=context.key or context.client.name,
        act=act,
        on=subject[:_MAX_SUBJECT_CHARS] or None,
        result=result,
        request_id=context.request_id,
    )
