"""POST /v1/chat/completions"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from frontend.api.images import Remote
from frontend.api.openai.chat_answer import Completion, fingerprint
from frontend.api.openai.chat_request import parse_chat
from frontend.api.remote_images import ImageFetcher
from frontend.api.whole_answer import WholeAnswer
from frontend.dispatch.dispatcher import Dispatcher
from frontend.http.body import COPIES, read_json
from frontend.http.collect import collect
from frontend.http.request_context import RequestContext
from frontend.http.sse import EventStream
from frontend.metrics import Metrics
from ipc.messages.control import Serve
from ipc.messages.events import ChatResult


class Chat:
    """One turn of a conversation, streamed or whole."""

    def __init__(self, dispatcher: Dispatcher, limits: Serve, metrics: Metrics) -> None:
        self._dispatcher = dispatcher
        self._limits = limits
        self._metrics = metrics
        self._fetcher = ImageFetcher(limits.remote_images, metrics.remote_images)

    async def complete(self, request: Request) -> Response:
        body = await read_json(request, self._limits.max_json_bytes)
        asked = parse_chat(body.data)
        spec = self._dispatcher.spec(asked.model, "chat")
        context = RequestContext.of(request.scope)
        context.names(spec)
        remote: list[Remote] = []
        wanted = asked.to_input(spec, remote)
        fetched_bytes = await self._fetcher.fill(remote) if remote else 0
        if fetched_bytes:
            context.claim.add(COPIES * fetched_bytes)
        if context.claim.is_large:
            await context.claim.turn()
        size_bytes = body.size_bytes + fetched_bytes
        stream = context.stream = self._dispatcher.submit(
            context.request_id, spec, wanted, size_bytes, context.claim
        )
        completion = Completion(asked.model, fingerprint(spec))
        if asked.stream:
            return EventStream(
                stream,
                completion.chunks(include_usage=asked.include_usage),
                self._limits.keepalive_s,
                on_gap=self._metrics.on_gap(spec.name),
            )
        answer = WholeAnswer()
        done = await collect(stream, request.receive, answer.add)
        context.usage = done.result.usage
        assert isinstance(done.result, ChatResult)
        return Response(completion.whole(answer, done.result), media_type="application/json")
