"""What every route that has a chat model write shares: the job handed over, its answer sent."""

from __future__ import annotations

from typing import Protocol

from starlette.requests import Request
from starlette.responses import Response

from frontend.api.submission import submit
from frontend.api.whole_answer import WholeAnswer
from frontend.dispatch.dispatcher import Dispatcher
from frontend.http.answer_stream import AnswerStream, StreamForm
from frontend.http.collect import collect
from frontend.http.request_context import RequestContext
from frontend.metrics.prometheus import Metrics
from ipc.chat_parameters import check_engine
from ipc.messages.control import Serve
from ipc.messages.events import ChatResult
from ipc.messages.jobs import ChatInput
from ipc.messages.spec import Spec


class Face(Protocol):
    """An answer in the form of one API."""

    def whole(self, answer: WholeAnswer, result: ChatResult) -> bytes:
        """All of it, as JSON."""
        ...

    def streamed(self) -> StreamForm:
        """The form of its events, where it is a stream."""
        ...


class Writer:
    """Has a model write, and sends what it writes."""

    def __init__(self, dispatcher: Dispatcher, limits: Serve, metrics: Metrics) -> None:
        self._dispatcher = dispatcher
        self._limits = limits
        self._metrics = metrics

    async def answer(
        self,
        request: Request,
        spec: Spec,
        wanted: ChatInput,
        size_bytes: int,
        face: Face,
        *,
        stream: bool,
    ) -> Response:
        """The answer to ``wanted``, in the form of ``face``. ``size_bytes`` is the request's.

        Raises `UnsupportedParameter` for what the model's engine lacks.
        """
        check_engine(spec.engine, wanted)
        context = RequestContext.of(request.scope)
        if context.claim.is_large:
            await context.claim.turn()
        job = submit(self._dispatcher, context, spec, wanted, size_bytes)
        if stream:
            return AnswerStream(
                job,
                face.streamed(),
                self._limits.keepalive_s,
                on_gap=self._metrics.on_gap(spec.name),
            )
        answer = WholeAnswer()
        done = await collect(job, request.receive, answer.add)
        context.usage = done.result.usage
        answer.marks = done.marks
        assert isinstance(done.result, ChatResult)
        return Response(face.whole(answer, done.result), media_type="application/json")
