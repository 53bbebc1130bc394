"""The outermost layer and the innermost: what every answer gets, and what failures turn into."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Collection, Mapping
from types import MappingProxyType

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from frontend.access_log import AccessLogEntry
from frontend.dispatch.budget import Budget
from frontend.history.request_record import ended_record
from frontend.history.request_registry import RequestRegistry
from frontend.http.errors import error_response, refusal
from frontend.http.paths import plain
from frontend.http.request_context import ErrorForm, RequestContext, openai_form
from frontend.http.waiting import waiting_headers
from frontend.quotas import headers as quota_headers
from frontend.quotas.headers import HeaderForm
from frontend.traces.export import Traces
from ipc.messages.errors import InternalError, ServeError

logger = logging.getLogger(__name__)


class Access:
    """A plain path for every request, a request id on every answer, and one log line for each.

    Logs each `RequestContext`, has those for ``listed`` paths in ``requests``, returns the memory
    that was claimed, and answers 500 if nobody else had an answer.
    """

    def __init__(
        self,
        app: ASGIApp,
        record: AccessLogEntry,
        budget: Budget,
        error_forms: Mapping[str, ErrorForm] = MappingProxyType({}),
        id_headers: Mapping[str, str] = MappingProxyType({}),
        quota_forms: Mapping[str, HeaderForm] = MappingProxyType({}),
        requests: RequestRegistry | None = None,
        listed: Collection[str] = (),
        traces: Traces | None = None,
        trusts_parent: bool = False,
    ) -> None:
        """``error_forms`` are those of paths that tell errors otherwise than OpenAI's API; one
        that ends in a slash is all that is below it. ``id_headers`` are where others look for
        a request's id, ``quota_forms`` how what a key has left is told where it is not as OpenAI
        does. ``traces`` are made of requests that are listed and of lines of batches, as part of
        their callers' where it ``trusts_parent``."""
        self._app = app
        self._error_forms = error_forms
        self._below = [(path, form) for path, form in error_forms.items() if path.endswith("/")]
        self._id_headers = {path: name.encode("ascii") for path, name in id_headers.items()}
        self._quota_forms = quota_forms
        self._record = record
        self._budget = budget
        self._requests = requests
        self._listed = listed
        self._traces = traces
        self._trusts_parent = trusts_parent

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        scope["path"] = plain(scope["path"])
        context = RequestContext.begin(scope, self._budget)
        context.error_form = self._error_form(scope["path"])
        if self._trusts_parent:
            context.hears_parent(scope)
        own_id = context.request_id.encode("ascii")
        ids = [(b"x-request-id", own_id)]
        if (name := self._id_headers.get(scope["path"])) is not None:
            ids.append((name, own_id))

        requests = self._requests if scope["path"] in self._listed else None
        if requests is not None:
            requests.begin(context)

        def send_marked(message: Message) -> Awaitable[None]:
            if message["type"] == "http.response.start":
                context.status = message["status"]
                told = waiting_headers(context)
                if context.allowance is not None:
                    form = self._quota_forms.get(scope["path"], quota_headers.openai)
                    told += form(context.allowance)
                message["headers"] = [*message.get("headers", ()), *ids, *told]
            return send(message)

        try:
            await self._app(scope, receive, send_marked)
        except Exception:
            logger.exception("request_failed", extra={"request_id": context.request_id})
            error = InternalError(
                "internal error; the server's log has it under this answer's x-request-id"
            )
            context.error = error.code
            # After the headers there is nothing to say: the server sees the answer unfinished and
            # cuts the connection, which is how the client learns of it.
            if not context.status:
                await error_response(error, context)(scope, receive, send_marked)
            context.status = error.status
        finally:
            context.claim.release()
            self._end(context, requests)
            # An idle connection keeps its last scope, and with a stream would keep job and answer.
            context.stream = None

    def _end(self, context: RequestContext, requests: RequestRegistry | None) -> None:
        """Tell all that keep something of a request."""
        record = ended_record(context, time.monotonic(), time.time())
        self._record(context, record)
        if requests is not None:
            requests.end(context, record)
        if self._traces is not None and (requests is not None or record.background):
            self._traces.add(record)

    def _error_form(self, path: str) -> ErrorForm:
        own = self._error_forms.get(path)
        return own or next((form for at, form in self._below if path.startswith(at)), openai_form)


class Refusals:
    """Answers what the routes raise. Stands inside the layers that add to every answer, as CORS
    does: a browser shows a page no error that lacks its headers."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._app(scope, receive, send)
        except (ServeError, HTTPException) as error:
            context = RequestContext.of(scope)
            if context.status:  # an answer has begun, and there is only one
                raise
            # Its frames hold the request's body, and some are held by their stream, which holds
            # the error: a circle that would wait for the garbage collector.
            error.__traceback__ = None
            await refusal(error, scope, context)(scope, receive, send)
