"""Speech as the bytes of a file, or as server-sent events."""

from __future__ import annotations

import base64
from collections.abc import Iterator

from frontend.http.answer_stream import misplaced
from frontend.http.sse import SseForm, event
from ipc.messages.errors import ServeError
from ipc.messages.events import Audio, Done, Piece, SpeakResult
from ipc.messages.jobs import AudioFormat

MEDIA_TYPES: dict[AudioFormat, bytes] = {
    "mp3": b"audio/mpeg",
    "opus": b"audio/ogg",
    "aac": b"audio/aac",
    "flac": b"audio/flac",
    "wav": b"audio/wav",
    "pcm": b"audio/pcm",
}
MAX_EVENT_BYTES = 32 << 10


class AudioForm:
    """The file itself. One that breaks off has no end, since a file has no place to say why."""

    def __init__(self, form: AudioFormat) -> None:
        self.media_type = MEDIA_TYPES[form]

    def render(self, events: list[Piece | Done]) -> bytes:
        return b"".join(map(_sound, events))

    def keepalive(self) -> bytes:
        return b""

    def comment(self, _text: str) -> bytes:
        return b""

    def failure(self, _error: ServeError) -> None:
        return None


class SoundEvents(SseForm):
    """``speech.audio.delta`` for each piece of the file, then ``speech.audio.done``."""

    def __init__(self) -> None:
        super().__init__(lambda events: b"".join(part for item in events for part in _events(item)))


def _sound(item: Piece | Done) -> bytes:
    if isinstance(item, Audio):
        return item.data.data
    if isinstance(item, Done):
        return b""
    raise misplaced(item, "speech")


def _events(item: Piece | Done) -> Iterator[bytes]:
    if isinstance(item, Done):
        assert isinstance(item.result, SpeakResult)
        yield event({"type": "speech.audio.done", **_end(item.result)})
        return
    data = _sound(item)
    for at in range(0, len(data), MAX_EVENT_BYTES):
        audio = base64.b64encode(data[at : at + MAX_EVENT_BYTES]).decode("ascii")
        yield event({"type": "speech.audio.delta", "audio": audio})


def _end(result: SpeakResult) -> dict[str, object]:
    read, made = result.usage.prompt_tokens, result.usage.completion_tokens
    usage = {"input_tokens": read, "output_tokens": made, "total_tokens": read + made}
    return {"usage": usage, "left_out_characters": result.left_out}
