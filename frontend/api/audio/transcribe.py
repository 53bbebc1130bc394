"""POST /v1/audio/transcriptions and /v1/audio/translations"""

from __future__ import annotations

import orjson
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from frontend.api.audio import transcripts
from frontend.api.audio.transcribe_request import AudioRequest, parse_audio, read_file
from frontend.api.queued import queue_as_asked
from frontend.api.submission import submit
from frontend.dispatch.dispatcher import Dispatcher
from frontend.http.answer_stream import AnswerStream
from frontend.http.body import read_form
from frontend.http.collect import collect
from frontend.http.request_context import RequestContext
from frontend.http.sse import SseForm
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
        async with read_form(request, self._limits.max_audio_bytes) as form:
            asked = parse_audio(form)
            queue_as_asked(request, asked)
            spec = self._dispatcher.spec(asked.model, "speech")
            audio = await read_file(form, self._limits.max_audio_bytes)
        context = RequestContext.of(request.scope)
        context.names(spec)
        job = asked.to_input(audio, translate=translate)
        await context.claim.turn()
        stream = submit(self._dispatcher, context, spec, job, len(audio))
        if asked.stream:
            return AnswerStream(stream, SseForm(transcripts.events), self._limits.keepalive_s)
        done = await collect(stream, request.receive)
        context.usage = done.result.usage
        assert isinstance(done.result, SpeechResult)
        return render(done.result, asked, translate=translate)


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
