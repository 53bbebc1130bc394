"""POST /mcp: one message, and its answer. Nothing is remembered from one to the next."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope

from frontend.api.mcp import messages
from frontend.api.mcp.in_hand import InHand, Mark, Patience
from frontend.api.mcp.messages import Call, Reply, RpcError
from frontend.api.mcp.pending import Pending, as_json
from frontend.api.mcp.tools import TOOLS, Tool, refused
from frontend.api.validate import check
from frontend.dispatch.dispatcher import Dispatcher
from frontend.http.body import read_json
from frontend.http.foreign_pages import ForeignPages, Origins
from frontend.http.operators import check_operator
from frontend.http.request_context import RequestContext
from frontend.in_process import Asked, ask
from ipc.messages.control import Serve
from ipc.messages.errors import Cancelled, ServeError
from ipc.transport.wire import MAX_BLOB_BYTES

# What a message has beside a recording in it.
_OVERHEAD_BYTES = 64 << 10
# What the request of a tool has of the one that has called it: who asks, and from where.
_PASSED_ON = ("http_version", "scheme", "client", "server")
_NOT_PASSED_ON = frozenset(
    {
        *(b"content-type", b"content-length", b"transfer-encoding", b"content-encoding"),
        *(b"accept", b"accept-encoding", b"x-request-id", b"x-request-resume"),
    }
)
_INSTRUCTIONS = (
    "Models that run on this machine. list_models says which there are; one that is not loaded is "
    "loaded when it is asked, which takes seconds."
)


class Mcp:
    """Each tool asks this very application in the name of whoever calls it."""

    def __init__(self, dispatcher: Dispatcher, serve: Serve) -> None:
        self._dispatcher = dispatcher
        self._serve = serve
        self._pages = ForeignPages(Origins(serve.gate.cors_origins).allows)
        most_audio = min(serve.max_audio_bytes, MAX_BLOB_BYTES)
        self._most_bytes = max(serve.max_json_bytes, most_audio * 4 // 3 + _OVERHEAD_BYTES)
        self._in_hand = InHand()
        self._methods: Mapping[str, Callable[[Call, Scope], Reply]] = {
            "initialize": self._initialize,
            "server/discover": self._discover,
            "ping": lambda _call, _scope: {},
            "tools/list": self._tools,
        }

    async def answer(self, request: Request) -> Response:
        self._pages.check(request.scope)
        data = (await read_json(request, self._most_bytes)).data
        try:
            call = messages.read(data, request.headers)
        except RpcError as error:
            message_id = data.get("id")
            known = message_id if messages.is_id(message_id) else None
            return as_json(messages.failure(error, known), 400)
        if call.id is None:
            self._take_note(call, request)
            return Response(status_code=202)
        if call.method == "tools/call":
            return Pending(
                lambda: self._called(call, request), call.progress, self._serve.keepalive_s
            )
        return self._at_once(call, request.scope)

    def _at_once(self, call: Call, scope: Scope) -> Response:
        method = self._methods.get(call.method)
        if method is None:
            error = RpcError(messages.METHOD_NOT_FOUND, f"no method {call.method[:64]!r} here")
            status, body = call.refusal(error)
            return as_json(body, status)
        body = call.reply(method(call, scope))
        answer = as_json(body)
        if call.method == "initialize":
            answer.headers[messages.SESSION_HEADER] = secrets.token_hex(16)
        return answer

    def _take_note(self, call: Call, request: Request) -> None:
        """Of a notification: one calls off an earlier call, the others change nothing."""
        mark = _mark(request, call.params.get("requestId"))
        if call.method == "notifications/cancelled" and mark is not None:
            self._in_hand.call_off(mark)

    # --- what this server is ---

    def _initialize(self, call: Call, _scope: Scope) -> Reply:
        wanted = call.params.get("protocolVersion")
        known = wanted in messages.HANDSHAKE
        return {
            "protocolVersion": wanted if known else messages.HANDSHAKE[-1],
            "serverInfo": messages.SERVER_INFO,
            **_WHAT,
        }

    def _discover(self, _call: Call, _scope: Scope) -> Reply:
        versions = [*messages.HANDSHAKE, *messages.MODERN]
        return {"supportedVersions": versions, **_WHAT, **_FRESH}

    # --- its tools ---

    def _tools(self, call: Call, scope: Scope) -> Reply:
        is_operator = self._is_operator(scope)
        found = [
            tool.described(self._models(tool))
            for tool in TOOLS.values()
            if (is_operator or not tool.admin) and (tool.task is None or self._models(tool))
        ]
        return {"tools": found, **(_FRESH if call.is_modern else {})}

    def _models(self, tool: Tool) -> list[str]:
        return [spec.name for spec in self._dispatcher.specs.values() if spec.task == tool.task]

    def _is_operator(self, scope: Scope) -> bool:
        try:
            check_operator(scope, with_keys=bool(self._serve.gate.api_keys))
        except ServeError:
            return False
        return True

    async def _called(self, call: Call, request: Request) -> tuple[int, Reply]:
        """Status and body of the answer to a call of a tool. Raises `Cancelled` where its client
        has left."""
        patience = Patience(request.receive)
        try:
            with self._in_hand.one(_mark(request, call.id), patience):
                result = await self._result(call, request, patience)
        except RpcError as error:
            return call.refusal(error)
        except Cancelled:
            raise
        except ServeError as error:
            return call.refusal(RpcError.of(error))
        return 200, call.reply(result)

    async def _result(self, call: Call, request: Request, patience: Patience) -> Reply:
        tool, asked = self._asked(call)
        claim = RequestContext.of(request.scope).claim
        about = {name: request.scope[name] for name in _PASSED_ON if name in request.scope}
        answered = await ask(
            request.app, _in_name_of(request, asked), about, patience.ends, claim.add
        )
        if answered.ok:
            return tool.gives(answered)
        if patience.is_called_off:
            raise RpcError(messages.CANCELLED, "the call was called off")
        if answered.status == Cancelled.status:
            raise Cancelled("the client has closed the connection")
        return refused(answered)

    def _asked(self, call: Call) -> tuple[Tool, Asked]:
        """The tool that is called, and its request. Raises `RpcError` and `InvalidRequest`."""
        name, given = call.params.get("name"), call.params.get("arguments")
        tool = TOOLS.get(name) if isinstance(name, str) else None
        if tool is None:
            raise RpcError(messages.INVALID_PARAMS, "no such tool here; tools/list has them")
        if given is None:
            given = {}
        if not isinstance(given, dict):
            raise RpcError(messages.INVALID_PARAMS, "`arguments` must be an object")
        if tool.task is not None and given.get("model") is None:
            if not (models := self._models(tool)):
                raise RpcError(messages.INVALID_PARAMS, f"no model here is for {tool.task}")
            given = {**given, "model": models[0]}
        return tool, tool.asks(check(tool.takes, given))


_WHAT: Reply = {"capabilities": {"tools": {}}, "instructions": _INSTRUCTIONS}
# Models come and go, and tools with them.
_FRESH: Reply = {"ttlMs": 0, "cacheScope": "private"}


def _in_name_of(request: Request, asked: Asked) -> Asked:
    """``asked`` with the keys, the host and the origin of ``request``, and under its id."""
    passed_on = [field for field in request.scope["headers"] if field[0] not in _NOT_PASSED_ON]
    request_id = RequestContext.of(request.scope).request_id.encode("ascii")
    headers = (*asked.headers, *passed_on, (b"x-request-id", request_id))
    return Asked(asked.method, asked.path, asked.query, headers, asked.body)


def _mark(request: Request, call_id: Any) -> Mark | None:
    session = request.headers.get(messages.SESSION_HEADER)
    if session is None or not messages.is_id(call_id):
        return None
    return Mark(RequestContext.of(request.scope).client.name, session, call_id)
