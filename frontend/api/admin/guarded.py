"""What stands before each route for operators: who may ask, and a line for what was done."""

from __future__ import annotations

import asyncio

from starlette.requests import Request
from starlette.responses import Response

from frontend.api.route import Answer, Route
from frontend.dispatch.control import Control
from frontend.http.operators import check_operator
from frontend.http.request_context import RequestContext
from ipc.messages.admin import AdminAct
from ipc.messages.errors import CrossSite, ServeError

_MAX_SUBJECT_CHARS = 256


def for_operators(route: Route, answer: Answer, control: Control, *, with_keys: bool) -> Answer:
    """``answer``, for those who may manage this server; see `check_operator` for ``with_keys``.

    What they do is told to the supervisor, which writes it down. What is refused here is not: else
    strangers could fill the log.
    """

    async def guarded(request: Request) -> Response:
        check_operator(request.scope, with_keys=with_keys)
        if route.act is None:
            return await answer(request)
        _check_meant(request)
        result = "internal_error"
        try:
            response = await answer(request)
            result = "ok"
            return response
        except ServeError as error:
            result = error.code
            raise
        except asyncio.CancelledError:
            result = "cancelled"
            raise
        finally:
            control.acted(_act(request, route.act, result))

    return guarded


def _check_meant(request: Request) -> None:
    """Raises `CrossSite` for a change by GET with nothing but a cookie: a browser sends that along
    with an image, too, and has no token for it."""
    if request.method in ("GET", "HEAD") and RequestContext.of(request.scope).by_cookie:
        raise CrossSite("a change by GET needs the key itself, not a cookie")


def _act(request: Request, act: str, result: str) -> AdminAct:
    context = RequestContext.of(request.scope)
    subject = context.model or ", ".join(map(str, request.path_params.values()))
    return AdminAct(
        by=context.key or context.client.name,
        act=act,
        on=subject[:_MAX_SUBJECT_CHARS] or None,
        result=result,
        request_id=context.request_id,
    )
