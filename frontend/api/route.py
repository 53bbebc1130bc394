"""What a route is: one entry says all that the parts of this process know of it.

The entries are in `frontend.routes`. The application, the OpenAPI document, the words of a 404, the
check of keys, the log and the listener read them there.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from frontend.api.admin.guarded import OperatorGuard
from frontend.api.admin.operator import Operator
from frontend.api.answer import Error
from frontend.api.responses.store import ResponseStore
from frontend.api.validate import Body
from frontend.batches.service import Batches
from frontend.dispatch.control import Control
from frontend.dispatch.dispatcher import Dispatcher
from frontend.history.events import EventHistory
from frontend.history.sampling import Sampling
from frontend.http.request_context import ErrorForm
from frontend.http.sessions import Sessions
from frontend.live.sessions import LiveSessions
from frontend.metrics.prometheus import Metrics
from frontend.quotas.headers import HeaderForm
from frontend.resume.held import HeldAnswers
from frontend.store.database import Database
from frontend.usage.report import UsageReports
from ipc.messages.control import Serve
from ipc.messages.jobs import Task

JSON, FORM, TEXT, CSV, HTML, EVENTS, SOUND, BYTES, GZIP = (
    "application/json",
    "multipart/form-data",
    "text/plain",
    "text/csv",
    "text/html",
    "text/event-stream",
    "audio/*",
    "application/octet-stream",
    "application/gzip",
)

_PARAMETER = re.compile(r"\{(\w+)\}")
Answer = Callable[[Request], Awaitable[Response]]
# What a media type holds: a model, one of several, an array of one; None: no JSON.
Given = type[BaseModel] | tuple[Any, ...] | list[Any] | None


@dataclass(frozen=True, slots=True)
class Services:
    """What routes answer with. Shared by all of them."""

    dispatcher: Dispatcher
    control: Control
    serve: Serve
    metrics: Metrics
    responses: ResponseStore
    batches: Batches
    sessions: Sessions
    held: HeldAnswers
    operator: Operator
    guard: OperatorGuard
    events: EventHistory
    sampling: Sampling
    store: Database
    usage: UsageReports
    live: LiveSessions


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One path with its method.

    ``answer`` makes what answers its requests. ``takes`` are the models that check a body, one of
    which fits; none: there is no body. It comes as ``body``; one that is ``body_optional`` may be
    left out. ``task`` is what a model must do that serves the request. ``gives`` maps the media
    types of a 200 to what they hold, ``also`` other statuses to answers that are no errors, None
    where there is nothing in one; ``errors`` are statuses of errors beside those that any such
    route has. ``ignores`` are keys of
    the body that may hold anything; ``asks`` checks the query, of which nothing is required.
    """

    method: Literal["GET", "POST", "PATCH", "DELETE", "HEAD"]
    path: str
    id: str
    summary: str
    answer: Callable[[Services], Answer]
    gives: Mapping[str, Given]
    takes: tuple[type[Body], ...] = ()
    body: str = JSON
    body_optional: bool = False
    task: Task | None = None
    ignores: tuple[str, ...] = ()
    asks: type[Body] | None = None
    errors: tuple[int, ...] = ()
    also: Mapping[int, type[BaseModel] | None] = field(default_factory=dict)
    # Anybody may ask, with a key or without, under whatever name they call this server.
    open: bool = False
    # Anybody may ask without a key, under a name that this server is known by.
    keyless: bool = False
    # Only for who may manage this server; ``act`` is what is written down of it where it changes
    # something. A route that is for others too, but not all of it, asks `Services.guard` by itself.
    admin: bool = False
    act: str | None = None
    # Monitors ask for it every few seconds: its lines are in the log for who looks for details.
    polled: bool = False
    # Answered even where no connection is free: whether this server lives must be known then, too.
    probe: bool = False
    # It is asked for by a WebSocket, and answers 101.
    socket: bool = False
    # A header that tells the request's id beside `x-request-id`, where SDKs look for it.
    id_header: str | None = None
    # How what a key has left is told, where that is not as in OpenAI's API.
    quota_form: HeaderForm | None = None
    # How its errors are told, where that is not as in OpenAI's API, and what describes them.
    error_form: ErrorForm | None = None
    error_model: type[BaseModel] = Error

    @property
    def parameters(self) -> list[str]:
        """The names of the path's parts that differ from request to request; ``model`` is the name
        of one."""
        return _PARAMETER.findall(self.path)
