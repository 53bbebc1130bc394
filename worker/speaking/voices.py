"""The voices of a model, and the names by which clients ask for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from ipc.messages.errors import InvalidRequest
from ipc.messages.spec import Voice

# Clients have them built in, and many let nobody choose another. Read in openai 3.57.0.
OPENAI_VOICES = (
    *("alloy", "ash", "ballad", "coral", "echo", "fable", "onyx", "nova", "sage", "shimmer"),
    *("verse", "marin", "cedar"),
)


def with_openai_names(voices: Sequence[Voice], nearest: Mapping[str, str]) -> list[Voice]:
    """``voices`` that also answer to OpenAI's names: each to those whose ``nearest`` it is, the
    first one to all whose nearest is not there."""
    own = {voice.name for voice in voices}
    aliases: dict[str, list[str]] = {voice.name: [] for voice in voices}
    for name in OPENAI_VOICES:
        if name not in own:
            wanted = nearest.get(name)
            aliases[wanted if wanted in own else voices[0].name].append(name)
    return [replace(voice, aliases=aliases[voice.name]) for voice in voices]


def voice_called(asked: str | None, voices: Sequence[Voice]) -> str:
    """The name of the voice that was asked for. Raises `InvalidRequest` if there is none."""
    if asked is None:
        return voices[0].name
    wanted = asked.strip().lower()
    for voice in voices:
        if wanted in (voice.name, *voice.aliases):
            return voice.name
    raise InvalidRequest(
        f"this model has no voice {asked[:40]!r}; it has {', '.join(map(_told, voices))}",
        param="voice",
    )


def _told(voice: Voice) -> str:
    return f"{voice.name} (also {', '.join(voice.aliases)})" if voice.aliases else voice.name
