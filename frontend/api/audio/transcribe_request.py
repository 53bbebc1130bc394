"""POST /v1/audio/transcriptions and /v1/audio/translations: forms, as a `SpeechInput`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import orjson
from pydantic import BeforeValidator, ConfigDict, Field, StringConstraints, Tag, WithJsonSchema
from starlette.datastructures import FormData, UploadFile

from frontend.api.fields import Name, NoNul, Schema, Text, text_or
from frontend.api.known_keys import Row, done, harmless, refused, refused_keys
from frontend.api.queued import KEY as QUEUED
from frontend.api.queued import Queued
from frontend.api.validate import Body, check, refuse_unsupported
from ipc.facts.languages import NAMES, code_of
from ipc.messages.blob import Blob
from ipc.messages.errors import InvalidRequest, UnsupportedParameter
from ipc.messages.jobs import SpeechInput, Vad

MAX_PROMPT_CHARS = 4096
# Each is a field, of which a form may have 20; Whisper reads little before it hears anyway.
MAX_KEYWORDS, MAX_KEYWORD_CHARS = 8, 256

Format = Literal["json", "text", "srt", "vtt", "verbose_json"]
Granularity = Literal["word", "segment"]

# A form has only text.
_NO = ("false", "False", "0")

KEYS: tuple[Row, ...] = (
    done("file model", "required"),
    done("language prompt temperature response_format stream", "as OpenAI has them"),
    done("timestamp_granularities", "with `verbose_json`"),
    QUEUED,
    harmless(
        "user request_id stream_include_usage stream_continuous_usage_stats",
        "bookkeeping and scheduling",
    ),
    done("chunking_strategy", "`auto`, or `server_vad` with its three keys"),
    done("languages", "one, as `language`"),
    done("keywords", "up to 8; they go before the `prompt`"),
    refused("include", "no engine here tells how likely each token was", []),
    refused("known_speaker_names known_speaker_references", "nothing tells speakers apart", []),
    refused("url", "nothing is fetched; send the `file`"),
    refused("hotwords to_language", "not built; `prompt` takes names and spellings"),
    refused("vad_filter vad", "set by the model's entry: `vad`", "true", "True", "1"),
    refused("diarize diarization speaker_labels tinydiarize", "nothing tells speakers apart", *_NO),
    refused("translate", "send it to /v1/audio/translations", *_NO),
    refused("detect_language no_timestamps without_timestamps", "not built", *_NO),
    refused("n best_of", "one transcript to a request", "1"),
    refused("beam_size top_k top_p min_p seed max_completion_tokens", "set by the model's entry"),
    refused("frequency_penalty presence_penalty", "not built", "0", "0.0"),
    refused("repetition_penalty length_penalty", "not built", "1", "1.0"),
    refused("use_beam_search split_on_word suppress_non_speech", "not built", *_NO),
    refused("offset_t offset_n duration max_len temperature_inc", "not built"),
)

# Not described: what asks for nothing, null and [], cannot be said in a form.
_REFUSED = refused_keys(KEYS)
_LISTS = ("timestamp_granularities", "include", "languages", "keywords", "known_speaker_names")


def _as_form(schema: Schema) -> None:
    """A form holds a file beside what is checked here, and has no null but leaving a field out."""
    for name, field in schema["properties"].items():
        kinds = [kind for kind in field.get("anyOf", ()) if kind != {"type": "null"}]
        schema["properties"][name] = kinds[0] if kinds else field
    schema["properties"]["file"] = {"type": "string", "format": "binary", "minLength": 1}
    schema["required"] = [*schema["required"], "file"]
    # What `parse_audio` refuses.
    schema["anyOf"] = [
        {"properties": {"response_format": {"enum": ["json", "text"]}, **_NO_TIMES}},
        {
            "properties": {"response_format": {"enum": ["srt", "vtt"]}, **_NO_TIMES, **_NO_STREAM},
            "required": ["response_format"],
        },
        {
            "properties": {"response_format": {"const": "verbose_json"}, **_NO_STREAM},
            "required": ["response_format"],
        },
    ]


_NO_TIMES: Schema = {"timestamp_granularities": {"maxItems": 0}}
_NO_STREAM: Schema = {"stream": {"enum": [False, 0]}}
# Many more are understood; these are understood by everybody.
Language = Annotated[Text, WithJsonSchema({"enum": sorted(NAMES)})]

Keyword = Annotated[str, StringConstraints(max_length=MAX_KEYWORD_CHARS), NoNul]


class ServerVad(Body):
    """How the recording is cut where nobody speaks; what is left out is as the engine does."""

    model_config = ConfigDict(strict=False)

    type: Literal["server_vad"]
    threshold: Annotated[float, Field(ge=0, le=1)] | None = None
    silence_duration_ms: Annotated[int, Field(ge=0, le=60_000)] | None = None
    prefix_padding_ms: Annotated[int, Field(ge=0, le=10_000)] | None = None

    def to_vad(self) -> Vad:
        return Vad(
            threshold=self.threshold,
            silence_ms=self.silence_duration_ms,
            padding_ms=self.prefix_padding_ms,
        )


def _object(given: object) -> object:
    """``given``, read where it is an object that came as JSON."""
    if isinstance(given, str) and given.lstrip().startswith("{"):
        try:
            return orjson.loads(given)
        except ValueError:
            return given
    return given


# A form has several ways to hold an object; described is what every program sends alike.
Chunking = Annotated[
    Annotated[Literal["auto"], Tag("<text>")] | Annotated[ServerVad, Tag("<object>")],
    text_or("<object>", dict, "must be 'auto', or an object of the type 'server_vad'"),
    BeforeValidator(_object),
    WithJsonSchema({"enum": ["auto"]}),
]
FormFlag = Annotated[bool, WithJsonSchema({"enum": [False, True, 0, 1]})]


class AudioRequest(Queued):
    """The fields beside the file. A form has only text, so numbers are read from it."""

    model_config = ConfigDict(strict=False, json_schema_extra=_as_form)

    model: Name
    language: Language | None = None
    prompt: Annotated[str, StringConstraints(max_length=MAX_PROMPT_CHARS), NoNul] | None = None
    temperature: Annotated[float, Field(ge=0, le=1)] | None = None
    response_format: Format = "json"
    timestamp_granularities: Annotated[list[Granularity], Field(max_length=2)] = []
    chunking_strategy: Chunking | None = None
    languages: Annotated[list[Language], Field(max_length=1)] = []
    keywords: Annotated[list[Keyword], Field(max_length=MAX_KEYWORDS)] = []
    stream: FormFlag = False

    @property
    def words(self) -> bool:
        return "word" in self.timestamp_granularities

    @property
    def segments(self) -> bool:
        """Segments are what verbose_json shows unless only words were asked for."""
        return not self.timestamp_granularities or "segment" in self.timestamp_granularities

    def to_input(
        self, audio: bytes, *, translate: bool, request_bytes: int | None = None
    ) -> SpeechInput:
        """The job of a whole file, or of the beginning of one that a request of ``request_bytes``
        brings, 0 where it does not say so. Raises `InvalidRequest` for a language that is none."""
        return SpeechInput(
            audio=Blob(audio),
            streamed=request_bytes is not None,
            request_bytes=request_bytes or 0,
            translate=translate,
            # OpenAI's translations have no such parameter; clients that send one mean either end.
            language=None if translate else language_code(self.language or "".join(self.languages)),
            prompt=self._prompt(),
            temperature=self.temperature,
            word_times=self.words,
            segment_times=self.response_format not in ("json", "text"),
            vad=self.chunking_strategy.to_vad()
            if isinstance(self.chunking_strategy, ServerVad)
            else None,
        )

    def _prompt(self) -> str | None:
        """What the model reads before it hears: the keywords, then the prompt, which is nearer."""
        return "\n".join(filter(None, (", ".join(self.keywords), self.prompt))) or None


def parse_audio(form: FormData) -> AudioRequest:
    """The checked fields. Raises `InvalidRequest`, or `UnsupportedParameter`."""
    data = _fields(form)
    refuse_unsupported(data, _REFUSED)
    if data.get("response_format") == "diarized_json":
        raise UnsupportedParameter(
            "`response_format` 'diarized_json' is not supported: nothing here tells speakers apart",
            param="response_format",
        )
    request = check(AudioRequest, data)
    if request.timestamp_granularities and request.response_format != "verbose_json":
        raise InvalidRequest(
            "`timestamp_granularities` needs `response_format` 'verbose_json'",
            param="timestamp_granularities",
        )
    if request.stream and request.response_format not in ("json", "text"):
        raise InvalidRequest(
            "`stream` needs `response_format` 'json' or 'text'", param="response_format"
        )
    return request


def check_file(form: FormData) -> None:
    """Raises `InvalidRequest` where ``form`` has no file to hear."""
    file = form.get("file")
    if not isinstance(file, UploadFile):
        raise InvalidRequest("`file` is required, as a file with a name", param="file")
    if not file.size:
        raise InvalidRequest("`file` is empty", param="file")


def _fields(form: FormData) -> Mapping[str, Any]:
    """The form's texts by name. Lists come as ``name[]`` or ``name``, objects as ``name[key]``."""
    data: dict[str, Any] = {}
    for key, value in form.multi_items():
        name, bracket, inner = key.partition("[")
        if not isinstance(value, str) or value == "":
            continue
        if name in _LISTS:
            data.setdefault(name, []).append(value)
        elif bracket and inner != "]":
            before = data.get(name)
            others = before if isinstance(before, dict) else {}
            data[name] = {**others, inner.rstrip("]"): value}
        else:
            data[name] = value
    return data


# What clients send for "find out"; `und` is ISO 639's code for it.
_DETECTED = ("", "auto", "und")


def language_code(given: str | None) -> str | None:
    """The code of a language as clients write it; None: the model is to find out. Raises
    `InvalidRequest`."""
    if given is None or given.strip().lower() in _DETECTED:
        return None
    code = code_of(given)
    if code is None:
        raise InvalidRequest(
            "`language` must be an ISO 639-1 code such as 'en', or be left out", param="language"
        )
    return code
