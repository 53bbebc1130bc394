"""The layer that holds each key to what it may have, whichever API it asks."""

from __future__ import annotations

import time
from collections.abc import Collection

from starlette.types import ASGIApp, Receive, Scope, Send

from frontend.http.request_context import RequestContext
from frontend.quotas import seen
from frontend.quotas.allowance import Allowance, Allowances
from frontend.usage.spent import spent_by


class Limited:
    """Stands behind what knows the key, within what answers errors. Requests for a model are
    counted, which are those for the ``counted`` paths; the models that a key may not use are not
    there for any of its requests."""

    def __init__(self, app: ASGIApp, allowances: Allowances, counted: Collection[str]) -> None:
        self._app = app
        self._allowances = allowances
        self._counted = counted

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        context = RequestContext.of(scope)
        allowance = self._allowances.of(context.key, in_background=context.background)
        if allowance is None:
            await self._app(scope, receive, send)
            return
        context.allowance = allowance
        with seen.only(allowance.models):
            if scope["path"] not in self._counted:
                await self._app(scope, receive, send)
                return
            allowance.begin()
            try:
                await self._app(scope, receive, send)
            finally:
                _settle(context, allowance)


def _settle(context: RequestContext, allowance: Allowance) -> None:
    spent = spent_by(context, time.monotonic())
    was_begun = context.stream is not None and context.stream.dispatched_at is not None
    is_unknown = was_begun and context.usage is None and not spent.tokens
    allowance.end(None if is_unknown else spent.tokens)
