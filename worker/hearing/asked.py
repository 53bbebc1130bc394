"""What a request asks of a model, and whether the model has it."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from ipc.facts.languages import code_of, name_of
from ipc.messages.errors import InvalidRequest, UnsupportedParameter
from ipc.messages.jobs import SpeechInput
from worker.hearing.model import Ability, Traits

# What is said of each ability that a model lacks, and of which parameter.
_LACKING: dict[Ability, tuple[str, str]] = {
    "prompt": (
        "prompt",
        "this model reads nothing before it hears: leave prompt and keywords out",
    ),
    "translation": (
        "model",
        "this model cannot translate; use a multilingual Whisper (one whose name does not end in "
        ".en)",
    ),
    "temperature": (
        "temperature",
        "this model takes the likeliest words: leave temperature out, or send 0",
    ),
    "word times": (
        "timestamp_granularities",
        "this model does not tell when each word is said: ask for segments",
    ),
}


def language_of(asked: SpeechInput, known: Sequence[str], traits: Traits) -> str | None:
    """The code of the language asked for, or of the only one ``known``; None: it is found, or not
    told. Raises `InvalidRequest` for one that the model does not know, and `UnsupportedParameter`
    for whatever else it lacks."""
    check(asked, traits.lacks)
    only = known[0] if len(known) == 1 else None
    if not asked.language:
        return only
    code = code_of(asked.language)
    if code is None:
        raise InvalidRequest(
            f"unknown language {asked.language[:40]!r}: send an ISO-639-1 code or an English name, "
            "such as en, de, es, fr, ja, zh or english, or leave it out to have it detected",
            param="language",
        )
    if not known or code in known:
        return code
    raise InvalidRequest(_unknown(code, known, traits), param="language")


def check(asked: SpeechInput, lacks: Collection[Ability]) -> None:
    """Raises `UnsupportedParameter` for what the model lacks."""
    wanted: dict[Ability, bool] = {
        "prompt": bool(asked.prompt),
        "translation": asked.translate,
        "temperature": bool(asked.temperature),
        "word times": asked.word_times,
    }
    for ability, is_wanted in wanted.items():
        if is_wanted and ability in lacks:
            param, message = _LACKING[ability]
            raise UnsupportedParameter(message, param=param)


def _unknown(code: str, known: Sequence[str], traits: Traits) -> str:
    if len(known) == 1:
        only = name_of(known[0]).title()
        return f"this model knows only {only}: leave language out or send {known[0]}"
    others = "leave language out to have the nearest that it knows detected"
    if not traits.finds_language:
        others = f"it knows {', '.join(known)}"
    return f"this model does not know {name_of(code)} ({code}): {others}"
