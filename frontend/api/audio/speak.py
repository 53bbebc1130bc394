"""POST /v1/audio/speech"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from frontend.api.audio.sound import AudioForm, SoundEvents
from frontend.api.audio.speak_request import SpeakRequest
from frontend.api.queued import queue_as_asked
from frontend.api.submission import submit
from frontend.api.validate import check
from frontend.dispatch.dispatcher import Dispatcher
from frontend.http.answer_stream import AnswerStream
from frontend.http.body import read_json
from frontend.http.request_context import RequestContext
from ipc.messages.control import Serve


class Speech:
    """Text to speech, sent while it is spoken."""

    def __init__(self, dispatcher: Dispatcher, limits: Serve) -> None:
        self._dispatcher = dispatcher
        self._limits = limits

    async def create(self, request: Request) -> Response:
        body = await read_json(request, self._limits.max_json_bytes)
        asked = check(SpeakRequest, body.data, self._limits)
        queue_as_asked(request, asked)
        spec = self._dispatcher.spec(asked.model, "speak")
        context = RequestContext.of(request.scope)
        context.names(spec)
        stream = submit(self._dispatcher, context, spec, asked.to_input(), body.size_bytes)
        if asked.stream_format == "sse":
            return AnswerStream(stream, SoundEvents(), self._limits.keepalive_s)
        # Nothing can be said in a file before its sound: it begins when that is there.
        return AnswerStream(stream, AudioForm(asked.format), keepalive_s=None)
