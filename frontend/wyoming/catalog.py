"""What this server has for voice assistants: its models as the protocol's programs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from frontend.dispatch.dispatcher import Dispatcher
from ipc.facts.languages import NAMES, code_of
from ipc.messages.errors import InvalidRequest, ServeError
from ipc.messages.jobs import Task
from ipc.messages.spec import Loaded, Spec, Voice
from ipc.program import NAME, program_version

# What a model speaks that has not been loaded yet, as far as anybody knows: the first voice of each
# engine here reads English. A client needs some language, or finds no voice at all.
_UNKNOWN_VOICE = "en"


class Chosen(NamedTuple):
    """The model that speaks, and its voice; None: its first."""

    model: str
    voice: str | None


class Catalog:
    """Known by the models' names alone, so that a client is told while they load or are asleep."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._dispatcher = dispatcher

    def info(self) -> Mapping[str, Any]:
        """All of it, as the data of an ``info``."""
        hears, speaks, chats = self._of("speech"), self._of("speak"), self._of("chat")
        asr = {"models": [self._heard(one) for one in hears], **_HEARS}
        tts = {"voices": [each for one in speaks for each in self._spoken(one)], **_SPEAKS}
        handle = {"models": [_chatted(one) for one in chats], **_HANDLES}
        return {
            "asr": [_program("speech to text", asr)] if hears else [],
            "tts": [_program("text to speech", tts)] if speaks else [],
            "handle": [_program("conversation", handle)] if chats else [],
            **{kind: [] for kind in ("intent", "wake", "mic", "snd")},
        }

    def first(self, task: Task, name: object = None) -> str:
        """The model of this ``name``, else the first for ``task``. Raises `InvalidRequest` where
        there is none."""
        models = [one.name for one in self._of(task)]
        if not models:
            raise InvalidRequest(f"no model here is for {task}; add one to MODELS")
        return name if isinstance(name, str) and name in models else models[0]

    def reasons(self, model: str) -> bool:
        """Whether it thinks before it answers, as far as is known."""
        loaded = self._loaded(model)
        return loaded is not None and loaded.reasoning

    def chosen(self, wanted: object) -> Chosen:
        """The voice that a client asks for by its name or a language. One that is not known is for
        the first model to refuse, which may not have said what it has. Raises `InvalidRequest`."""
        asked = wanted if isinstance(wanted, dict) else {}
        name, language = asked.get("name"), asked.get("language")
        every = [(one.name, each) for one in self._of("speak") for each in self._voices(one)]
        if isinstance(name, str) and name:
            if name == (model := self.first("speak", name)):
                return Chosen(model, None)
            has = (model for model, each in every if name in (each.name, *each.aliases))
            return Chosen(next(has, model), name)
        if isinstance(language, str) and (code := code_of(language)):
            for model, each in every:
                if _code(each.language) == code:
                    return Chosen(model, each.name)
        return Chosen(self.first("speak"), None)

    def _of(self, task: Task) -> list[Spec]:
        return [spec for spec in self._dispatcher.specs.values() if spec.task == task]

    def _heard(self, spec: Spec) -> Mapping[str, Any]:
        loaded = self._loaded(spec.name)
        known = loaded.languages if loaded is not None else None
        return _artifact(spec.name, spec.name, sorted(known or NAMES))

    def _spoken(self, spec: Spec) -> list[Mapping[str, Any]]:
        voices = self._voices(spec)
        if not voices:
            return [_artifact(spec.name, f"{spec.name}, its first voice", [_UNKNOWN_VOICE])]
        return [
            _artifact(one.name, f"{one.name} ({spec.name})", [_code(one.language)])
            for one in voices
        ]

    def _voices(self, spec: Spec) -> list[Voice]:
        loaded = self._loaded(spec.name)
        return (loaded.voices or []) if loaded is not None else []

    def _loaded(self, model: str) -> Loaded | None:
        try:
            return self._dispatcher.state(model).loaded
        except ServeError:  # it is about to leave
            return None


def _chatted(spec: Spec) -> Mapping[str, Any]:
    """Nobody knows which languages a chat model has; with none named clients offer it for all."""
    return _artifact(spec.name, spec.name, [])


def _code(language: str | None) -> str:
    return code_of(language or "") or language or _UNKNOWN_VOICE


def _program(what: str, more: Mapping[str, Any]) -> Mapping[str, Any]:
    return {**_described(NAME, f"{NAME}: {what}"), **more}


def _artifact(name: str, description: str, languages: list[str]) -> Mapping[str, Any]:
    return {**_described(name, description), "languages": languages}


def _described(name: str, description: str) -> Mapping[str, Any]:
    return {
        "name": name,
        "description": description,
        "attribution": {"name": NAME, "url": ""},
        "installed": True,
        "version": program_version(),
    }


_HEARS = {"supports_transcript_streaming": True, "requires_external_vad": True}
_SPEAKS = {"supports_synthesize_streaming": True}
_HANDLES = {"supports_handled_streaming": True, "supports_home_control": False}
