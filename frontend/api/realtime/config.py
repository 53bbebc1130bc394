"""How a transcription session is set up: what `session.update` may say, and what is in force."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from frontend.api.audio.transcribe_request import (
    MAX_KEYWORDS,
    MAX_PROMPT_CHARS,
    Keyword,
    Language,
    language_code,
)
from frontend.api.fields import Name, NoNul
from frontend.api.validate import Body, check
from ipc.messages.blob import Blob
from ipc.messages.errors import InvalidRequest, UnsupportedParameter
from ipc.messages.jobs import Coding, Live, SpeechInput, TurnRules

# OpenAI's words for how long the model waits before it tells a word.
Delay = Literal["minimal", "low", "medium", "high", "xhigh"]
GUARD_MS: Mapping[Delay, int] = {
    "minimal": 200,
    "low": 400,
    "medium": 800,
    "high": 1500,
    "xhigh": 3000,
}
UNSTABLE = "item.input_audio_transcription.unstable"
_CODINGS: Mapping[str, tuple[Coding, tuple[int, ...]]] = {
    "audio/pcm": ("pcm", (24_000, 16_000)),
    "audio/pcmu": ("pcmu", (8_000,)),
    "audio/pcma": ("pcma", (8_000,)),
}


class Format(Body):
    type: Literal["audio/pcm", "audio/pcmu", "audio/pcma"]
    rate: int | None = None


class Transcription(Body):
    model: Name | None = None
    language: Language | None = None
    languages: Annotated[list[Language], Field(max_length=1)] = []
    prompt: Annotated[str, StringConstraints(max_length=MAX_PROMPT_CHARS), NoNul] | None = None
    keywords: Annotated[list[Keyword], Field(max_length=MAX_KEYWORDS)] = []
    delay: Delay | None = None


class TurnDetection(Body):
    type: Literal["server_vad"] = "server_vad"
    threshold: Annotated[float, Field(ge=0, le=1)] = 0.5
    prefix_padding_ms: Annotated[int, Field(ge=0, le=2_000)] = 300
    silence_duration_ms: Annotated[int, Field(ge=100, le=10_000)] = 500

    @property
    def rules(self) -> TurnRules:
        return TurnRules(
            threshold=self.threshold,
            silence_ms=self.silence_duration_ms,
            padding_ms=self.prefix_padding_ms,
        )


class Input(Body):
    format: Format | None = None
    transcription: Transcription | None = None
    turn_detection: TurnDetection | None = None


class Audio(Body):
    input: Input | None = None


class Session(Body):
    audio: Audio | None = None
    include: list[Literal["item.input_audio_transcription.unstable"]] = []


@dataclass(frozen=True, slots=True)
class Config:
    """What is in force. ``model`` is the name that the client has for it, None: none yet."""

    model: str | None = None
    language: str | None = None
    prompt: str | None = None
    keywords: tuple[str, ...] = ()
    delay: Delay | None = None
    format: str = "audio/pcm"
    rate_hz: int = 24_000
    turns: TurnRules | None = field(default_factory=TurnRules)
    unstable: bool = False

    @property
    def asked(self) -> SpeechInput:
        """How the job is to hear."""
        prompt = "\n".join(filter(None, (", ".join(self.keywords), self.prompt))) or None
        live = Live(
            coding=_CODINGS[self.format][0],
            rate_hz=self.rate_hz,
            turns=self.turns,
            guard_ms=GUARD_MS[self.delay or "low"],
            unstable=self.unstable,
        )
        code = language_code(self.language)
        return SpeechInput(audio=Blob(b""), streamed=True, live=live, language=code, prompt=prompt)

    @property
    def bytes_a_second(self) -> int:
        return self.rate_hz * (2 if self.format == "audio/pcm" else 1)

    def document(self, session_id: str, expires_at: int) -> dict[str, Any]:
        """The session as events show it."""
        turns = self.turns and {
            "type": "server_vad",
            "threshold": self.turns.threshold,
            "prefix_padding_ms": self.turns.padding_ms,
            "silence_duration_ms": self.turns.silence_ms,
        }
        heard: dict[str, Any] = {
            "model": self.model,
            "language": self.language,
            "prompt": self.prompt,
        }
        heard |= {"keywords": [*self.keywords]} if self.keywords else {}
        heard |= {"delay": self.delay} if self.delay else {}
        return {
            "type": "transcription",
            "object": "realtime.transcription_session",
            "id": session_id,
            "expires_at": expires_at,
            "audio": {
                "input": {
                    "format": {"type": self.format, "rate": self.rate_hz},
                    "transcription": heard,
                    "turn_detection": turns,
                    "noise_reduction": None,
                }
            },
            "include": [UNSTABLE] if self.unstable else None,
        }


def updated(config: Config, given: Any) -> Config:
    """``config`` with what ``given``, the session of an update, says; what it leaves out stays.

    Raises `InvalidRequest` or `UnsupportedParameter` that name the place."""
    if not isinstance(given, dict):
        raise InvalidRequest("`session` must be an object", param="session")
    if given.get("type", "transcription") != "transcription":
        raise UnsupportedParameter(
            "`session.type` must be 'transcription': no model here speaks in a session",
            param="session.type",
        )
    _check_supported(given)
    session = check(Session, given)
    if "include" in session.model_fields_set:
        config = replace(config, unstable=UNSTABLE in session.include)
    heard = session.audio.input if session.audio is not None else None
    return config if heard is None else _with_input(config, heard)


def _check_supported(given: Mapping[str, Any]) -> None:
    """What is known and not done is named, wherever it stands."""
    include = given.get("include")
    if isinstance(include, list) and "item.input_audio_transcription.logprobs" in include:
        raise UnsupportedParameter(
            "`session.include`: no engine here tells how likely each token was",
            param="session.include",
        )
    audio = given.get("audio")
    heard = audio.get("input") if isinstance(audio, dict) else None
    if not isinstance(heard, dict):
        return
    where = "session.audio.input"
    if heard.get("noise_reduction") is not None:
        raise UnsupportedParameter(
            f"`{where}.noise_reduction` is not supported: send null",
            param=f"{where}.noise_reduction",
        )
    turns = heard.get("turn_detection")
    if isinstance(turns, dict) and turns.get("type") == "semantic_vad":
        raise UnsupportedParameter(
            f"`{where}.turn_detection.type` 'semantic_vad' is not built; use 'server_vad' or null",
            param=f"{where}.turn_detection.type",
        )
    if isinstance(turns, dict) and turns.get("idle_timeout_ms") is not None:
        raise UnsupportedParameter(
            f"`{where}.turn_detection.idle_timeout_ms` is not supported: send null",
            param=f"{where}.turn_detection.idle_timeout_ms",
        )


def _with_input(config: Config, heard: Input) -> Config:
    given = heard.model_fields_set
    if heard.format is not None:
        config = _with_format(config, heard.format)
    if heard.transcription is not None:
        config = _with_transcription(config, heard.transcription)
    if "turn_detection" in given:
        config = replace(config, turns=heard.turn_detection.rules if heard.turn_detection else None)
    return config


def _with_format(config: Config, asked: Format) -> Config:
    _, rates = _CODINGS[asked.type]
    rate = rates[0] if asked.rate is None else asked.rate
    if rate not in rates:
        where = "session.audio.input.format.rate"
        allowed = " or ".join(map(str, rates))
        raise InvalidRequest(f"`{where}` must be {allowed} for {asked.type}", param=where)
    return replace(config, format=asked.type, rate_hz=rate)


def _with_transcription(config: Config, asked: Transcription) -> Config:
    given = asked.model_fields_set
    language = asked.language or "".join(asked.languages) or None
    language_code(language)
    changes: dict[str, Any] = {
        "model": asked.model or config.model,
        "prompt": asked.prompt,
        "keywords": tuple(asked.keywords),
        "delay": asked.delay,
    }
    changes = {name: value for name, value in changes.items() if name in given}
    if given & {"language", "languages"}:
        changes["language"] = language
    return replace(config, **changes)
