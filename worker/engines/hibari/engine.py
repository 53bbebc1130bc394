"""Hibari's voices: each is a model of its own, all read English by the same rules."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from hibari import Hibari
from hibari.g2p import G2P
from hibari.voices import VOICES

from ipc.engines import SpeakOptions
from ipc.messages.errors import InvalidRequest
from ipc.messages.spec import Loaded, Spec, Voice
from worker.audio.decode import Samples
from worker.engine import LoadError, Stage, options_of
from worker.speaking.engine import SpeakingEngine
from worker.speaking.scripts import without_others
from worker.speaking.speaker import Traits
from worker.speaking.voices import with_openai_names

# As many as it was trained on at once; about 25 s of sound.
_MAX_PHONEMES = 400
# Marks that are heard as a pause at most.
_SILENT = frozenset(';:,.!?—…"()“” ')
# Its rules have no name for a number of more than 36 digits, and nobody says one of half as many.
_LONG_NUMBER = re.compile(r"\d[\d,]{14,}\d")
# The voice that is most like each of OpenAI's, as far as a man's or a woman's and the accent go;
# all others have the first that is there.
_NEAREST = {
    "ash": "fenrir",
    "ballad": "fable",
    "cedar": "fenrir",
    "coral": "kore",
    "echo": "fenrir",
    "onyx": "fenrir",
    "sage": "kore",
    "verse": "fenrir",
}


class HibariSpeaker:
    """Options: `SpeakOptions`. It runs on one thread: two are hardly faster."""

    traits = Traits(rate_hz=24_000, frame_samples=300)

    def __init__(self) -> None:
        self._voices: dict[str, Hibari] = {}

    def load(self, spec: Spec, stage: Stage) -> Loaded:
        options = options_of(spec, SpeakOptions)
        if spec.device != "cpu":
            raise LoadError(f"hibari runs on cpu, not on {spec.device!r}: change device")
        readers: dict[bool, G2P] = {}
        for name, file in _files(spec.path).items():
            stage(f"voice {name}")
            british = bool(VOICES[name]["british"])
            if british not in readers:
                readers[british] = G2P(british=british)
            try:
                self._voices[name] = Hibari(name, model=str(file), threads=1, g2p=readers[british])
            except Exception as error:  # onnxruntime has many kinds, none of them public
                raise LoadError(f"{file} cannot be loaded: {error}") from error
        voices = [Voice(name=name, language=str(VOICES[name]["language"])) for name in self._voices]
        return Loaded(
            device="cpu",
            languages=["en"],
            voices=with_openai_names(voices, _NEAREST) if options.openai_voices else voices,
            detail="ONNX Runtime",
        )

    def readable(self, text: str) -> tuple[str, int]:
        """It spells Cyrillic and Greek as if they were Latin, and leaves out all others."""
        return without_others(text, "LATIN")

    def sentences(self, paragraph: str) -> Sequence[str]:
        found: list[str] = Hibari.split_sentences(paragraph)
        return found

    def phonemes(self, text: str, voice: str) -> Sequence[str]:
        text = _LONG_NUMBER.sub(lambda number: " ".join(re.findall(r"\d", number[0])), text)
        try:
            read: str = self._voices[voice].g2p(text)
        except Exception as error:  # its rules are a thousand lines for all that may be written
            raise InvalidRequest(
                "`input` has a part that this model cannot read: something that is neither words "
                "nor usual numbers; leave it out, or write it in words",
                param="input",
            ) from error
        return [piece for piece in _pieces(read) if set(piece) - _SILENT]

    def say(self, phonemes: str, voice: str) -> tuple[Samples, int]:
        hibari = self._voices[voice]
        ids = hibari.ids(phonemes)
        # The same noise each time, so that the same text is the same sound.
        samples: Samples = hibari.from_ids(ids, rng=np.random.default_rng(0))
        return samples, len(ids)

    def close(self) -> None:
        self._voices.clear()


class HibariSpeech(SpeakingEngine):
    """An engine for speech out. Options: `SpeakOptions`."""

    def __init__(self) -> None:
        super().__init__(HibariSpeaker())


def _files(path: str) -> dict[str, Path]:
    """The files of the voices that are there, by their names. Raises `LoadError`."""
    folder = Path(path)
    known = {name: folder / str(voice["file"]) for name, voice in VOICES.items()}
    found = {name: file for name, file in known.items() if file.is_file()}
    if not found:
        names = ", ".join(file.name for file in known.values())
        raise LoadError(f"{folder} has none of hibari's voices ({names}); pull the model first")
    return found


def _pieces(phonemes: str) -> Iterator[str]:
    """``phonemes`` in as few pieces as they can be said in, cut between words."""
    while len(phonemes) > _MAX_PHONEMES:
        end = phonemes.rfind(" ", 1, _MAX_PHONEMES) + 1 or _MAX_PHONEMES
        yield phonemes[:end]
        phonemes = phonemes[end:]
    yield phonemes
