"""POST /v1/audio/transcriptions and /v1/audio/translations"""

from __future__ import annotations

from contextlib import AsyncExitStack

import orjson
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

from frontend.api.audio import transcripts
from frontend.api.audio.hearing import Hearing
from frontend.api.audio.transcribe_request import AudioRequest
from frontend.dispatch.dispatcher import Dispatcher
from frontend.http.answer_stream import AnswerStream
from frontend.http.collect import collect
from frontend.http.request_context import RequestContext
from frontend.http.sse import SseForm
from frontend.uploads.upload import Upload
from ipc.messages.control import Serve
from ipc.messages.events import SpeechResult


class Audio:
    """Speech to text, in its own language or in English."""

    def __init__(self, dispatcher: Dispatcher, limits: Serve) -> None:
        self._dispatcher = dispatcher
        self._limits = limits

    async def transcribe(self, request: Request) -> Response:
        return await self._answer(request, translate=False)

    async def translate(self, request: Request) -> Response:
        return await self._answer(request, translate=True)

    async def _answer(self, request: Request, *, translate: bool) -> Response:
        async with AsyncExitStack() as closing:
            upload = Upload(request, self._limits.max_audio_bytes)
            closing.push_async_callback(upload.close)
            hearing = Hearing(self._dispatcher, request, upload, translate=translate)
            asked, stream = await hearing.begin()
            if asked.stream:
                answer = AnswerStream(stream, SseForm(transcripts.events), self._limits.keepalive_s)
                return _WhileItComes(answer, upload, closing.pop_all())
            done = await collect(stream, upload.receive)
        RequestContext.of(request.scope).usage = done.result.usage
        assert isinstance(done.result, SpeechResult)
        return render(done.result, asked, translate=translate)


class _WhileItComes(Response):
    """An answer that is told while its upload may still come; then ``closing`` is closed."""

    def __init__(self, answer: AnswerStream, upload: Upload, closing: AsyncExitStack) -> None:
        super().__init__()
        self._answer = answer
        self._upload = upload
        self._closing = closing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        async with self._closing:
            await self._answer(scope, self._upload.receive, send)


def render(result: SpeechResult, asked: AudioRequest, *, translate: bool) -> Response:
    """The transcript in the form that was asked for."""
    match asked.response_format:
        case "text":
            return PlainTextResponse(transcripts.plain(result))
        case "srt":
            return PlainTextResponse(transcripts.srt(result.segments))
        case "vtt":
            return PlainTextResponse(transcripts.vtt(result.segments))
        case "json":
            body = transcripts.brief(result)
        case "verbose_json":
            body = transcripts.verbose(
                result, translate=translate, segments=asked.segments, words=asked.words
            )
    return Response(orjson.dumps(body), media_type="application/json")
