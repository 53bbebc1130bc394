"""POST /v1/audio/speech: what is asked, as a `SpeakInput`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints, Tag

from frontend.api.fields import Name, NoNul, text_or
from frontend.api.known_keys import Row, done, harmless, refused, refused_keys
from frontend.api.queued import KEY as QUEUED
from frontend.api.queued import Queued
from frontend.api.validate import Body
from ipc.messages.jobs import AudioFormat, SpeakInput

MAX_CHARS = 4096
MAX_VOICE_CHARS = 256

KEYS: tuple[Row, ...] = (
    done("model input", "required; up to 4,096 characters"),
    done("voice", "a name of `/v1/audio/voices`, or `{id}`; left out: the model's first"),
    done("response_format", "`mp3` (left out), `opus`, `aac`, `flac`, `wav`, `pcm`"),
    done("speed", "0.25 to 4, at the voice's own pitch"),
    done("stream_format", "`audio` (left out), `sse`"),
    QUEUED,
    harmless("user request_id keep_alive cache_salt", "bookkeeping and scheduling"),
    harmless("stream stream_options", "every answer is sent while it is made"),
    harmless("language lang_code", "a voice has one language: choose the `voice`"),
    # Home Assistant says the latter where it has none.
    refused("instructions", "no voice here takes any", "", "None"),
    refused("seed temperature top_p top_k max_new_tokens", "nothing is drawn by chance"),
    refused("repetition_penalty exaggeration cfg_weight", "nothing is drawn by chance"),
    refused("volume volume_multiplier", "not built", 1, 1.0),
    refused("sample_rate", "24 kHz, opus 48 kHz", 24000),
    refused("pitch", "the voice's own", 0, 1, 1.0),
    refused("task_type", "not built", "CustomVoice"),
    refused("ref_audio ref_text x_vector_only_mode speaker_embedding", "no voice is copied"),
    refused("return_timestamps return_download_link", "not built", False),
    refused("normalization_options", "texts are read as they are", {}),
)


class VoiceId(Body):
    id: Annotated[str, StringConstraints(min_length=1, max_length=MAX_VOICE_CHARS), NoNul]


VoiceName = Annotated[str, StringConstraints(min_length=1, max_length=MAX_VOICE_CHARS), NoNul]


class SpeakRequest(Queued):
    REFUSED = refused_keys(KEYS)
    EXAMPLE = {"input": "Hello there."}

    model: Name
    input: Annotated[str, StringConstraints(min_length=1, max_length=MAX_CHARS), NoNul]
    voice: (
        Annotated[
            Annotated[VoiceName, Tag("<text>")] | Annotated[VoiceId, Tag("<object>")],
            text_or("<object>", dict, "must be a voice's name, or an object with its `id`"),
        ]
        | None
    ) = None
    response_format: AudioFormat | None = None
    speed: Annotated[float, Field(ge=0.25, le=4)] | None = None
    stream_format: Literal["audio", "sse"] | None = None

    @property
    def format(self) -> AudioFormat:
        return self.response_format or "mp3"

    def to_input(self) -> SpeakInput:
        return SpeakInput(
            text=self.input,
            voice=self.voice.id if isinstance(self.voice, VoiceId) else self.voice,
            speed=1.0 if self.speed is None else self.speed,
            format=self.format,
        )
