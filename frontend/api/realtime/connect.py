"""GET /v1/realtime, by WebSocket: a transcription session."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from frontend.api.submission import submit
from frontend.dispatch.dispatcher import Dispatcher
from frontend.dispatch.stream import Stream
from frontend.http.request_context import RequestContext
from frontend.http.socket import Socket
from frontend.live.sessions import LiveSessions
from frontend.metrics.prometheus import Metrics
from ipc.messages.errors import InvalidRequest, UnsupportedParameter
from ipc.messages.jobs import SpeechInput
from ipc.messages.spec import Spec


class Realtime:
    """Sessions in which speech is heard while it is said."""

    def __init__(self, dispatcher: Dispatcher, sessions: LiveSessions, metrics: Metrics) -> None:
        self._dispatcher = dispatcher
        self._sessions = sessions
        self._metrics = metrics

    async def connect(self, request: Request) -> Response:
        socket = Socket.of(request.scope)
        if socket is None:
            raise InvalidRequest("/v1/realtime is a WebSocket: ask to upgrade to one")
        if request.query_params.get("intent", "transcription") != "transcription":
            raise UnsupportedParameter(
                "`intent` must be 'transcription': no model here speaks in a session",
                param="intent",
            )
        model = request.query_params.get("model") or None
        if model is not None:
            self._find(model)
        return _Taken(partial(self._converse, RequestContext.of(request.scope), socket, model))

    def _find(self, model: str | None) -> Spec:
        if model is None:
            return self._dispatcher.only("speech")
        return self._dispatcher.spec(model, "speech")

    async def _converse(self, context: RequestContext, socket: Socket, model: str | None) -> None:
        # With the first session: a server that has none stays small.
        from frontend.api.realtime.conversation import SESSION_S, Conversation

        context.streams = True

        def open_for(spec: Spec) -> partial[Stream]:
            context.names(spec)
            context.work_s = SESSION_S
            return partial(self._open, context, spec)

        def count(model: str, outcome: str, heard_s: float) -> None:
            self._metrics.count_live_turn(model, outcome)
            context.heard_s += heard_s

        parts = (self._find, open_for, self._sessions, count)
        await Conversation(socket, model, *parts, context.key).run()

    def _open(self, context: RequestContext, spec: Spec, asked: SpeechInput) -> Stream:
        return submit(self._dispatcher, context, spec, asked, 0)


class _Taken(Response):
    """Takes the socket, and is over when that is."""

    def __init__(self, converse: Callable[[], Awaitable[None]]) -> None:
        super().__init__(status_code=101)
        self._converse = converse

    async def __call__(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 101, "headers": []})
        await self._converse()
