"""A recording's job, begun as early as its upload allows."""

from __future__ import annotations

from starlette.datastructures import FormData
from starlette.requests import Request

from frontend.api.audio.transcribe_request import AudioRequest, check_file, parse_audio
from frontend.api.queued import queue_as_asked
from frontend.api.submission import submit
from frontend.dispatch.dispatcher import Dispatcher
from frontend.dispatch.stream import Stream
from frontend.http.body import COPIES
from frontend.http.request_context import RequestContext
from frontend.uploads.spool import HELD_BYTES
from frontend.uploads.upload import Upload
from ipc.messages.errors import InvalidRequest, PayloadTooLarge
from ipc.messages.jobs import INPUT_CREDIT_BYTES
from ipc.messages.spec import Spec
from ipc.transport.wire import MAX_BLOB_BYTES


class Hearing:
    """Finds out what is asked for by the form of ``upload``, and hands over its job. Each of them
    is closed with the upload."""

    def __init__(
        self, dispatcher: Dispatcher, request: Request, upload: Upload, *, translate: bool
    ) -> None:
        self._dispatcher = dispatcher
        self._request = request
        self._context = RequestContext.of(request.scope)
        self._upload = upload
        self._translate = translate

    async def begin(self) -> tuple[AudioRequest, Stream]:
        """What is asked for, and its job. All fields have come by then, or its answer is one that
        is told as it is made, of which there is something to tell.

        Raises the `ServeError` of the form, or of the job."""
        await self._upload.begin()
        early = await self._early()
        if early is not None and not self._upload.is_whole:
            return early
        form = await self._upload.whole()
        asked = parse_audio(form)
        if early is not None:
            if early[0] == asked:
                return early
            early[1].close()  # a field behind the file has changed what is to be heard
        spec = self._spec(asked)
        check_file(form)
        return asked, await self._submit(asked, spec)

    async def _early(self) -> tuple[AudioRequest, Stream] | None:
        """The job by the fields before the file, if they tell enough of it, once the others have
        come or there is something to tell."""
        upload = self._upload
        if upload.is_whole:
            return None
        try:
            asked = parse_audio(upload.fields)
        except InvalidRequest:
            return None  # what is missing may stand behind the file
        spec = self._spec(asked)
        if not self._dispatcher.hears_early(spec, upload.rest_s):
            return None
        stream = self._stream(asked, spec)
        await upload.until(stream, told=asked.stream)
        if not upload.is_whole:
            upload.check_at_end(lambda form: _unchanged(form, asked))
        return asked, stream

    def _spec(self, asked: AudioRequest) -> Spec:
        queue_as_asked(self._request, asked)
        spec = self._dispatcher.spec(asked.model, "speech")
        self._context.names(spec)
        return spec

    async def _submit(self, asked: AudioRequest, spec: Spec) -> Stream:
        """The job of a form that has come."""
        size = self._upload.spool.size
        if size > HELD_BYTES and self._dispatcher.takes_pieces(spec):
            return self._stream(asked, spec)
        if size > MAX_BLOB_BYTES:
            raise PayloadTooLarge(
                f"model {spec.name!r} takes whole recordings, of at most {MAX_BLOB_BYTES} bytes"
            )
        self._context.claim.add(COPIES * size)
        audio = await self._upload.bytes()
        await self._context.claim.turn()
        job = asked.to_input(audio, translate=self._translate)
        return submit(self._dispatcher, self._context, spec, job, size)

    def _stream(self, asked: AudioRequest, spec: Spec) -> Stream:
        """A job that the file follows."""
        upload = self._upload
        job = asked.to_input(
            upload.spool.head, translate=self._translate, request_bytes=upload.request_bytes
        )
        held = HELD_BYTES + INPUT_CREDIT_BYTES
        stream = submit(self._dispatcher, self._context, spec, job, held)
        upload.feed(stream, told=asked.stream)
        return stream


def _unchanged(form: FormData, asked: AudioRequest) -> None:
    """Raises a `ServeError` where all of ``form`` asks for something else than ``asked``."""
    whole = parse_audio(form)
    changed = [
        name for name in AudioRequest.model_fields if getattr(whole, name) != getattr(asked, name)
    ]
    if changed:
        raise InvalidRequest(
            f"`{changed[0]}` came after the file, of which some has been told; send it before",
            param=changed[0],
        )
