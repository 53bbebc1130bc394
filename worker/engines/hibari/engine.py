"""Hibari's voices: each is a model of its own, all read English by the same rules."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from hibari import Hibari
from hibari.voices import VOICES

from ipc.engine_options import SpeakOptions
from ipc.messages.spec import Loaded, Spec, Voice
from worker.audio.decode import Samples
from worker.engine import LoadError, Stage, options_of
from worker.engines.common import english
from worker.engines.common.english import English
from worker.speaking.engine import SpeakingEngine
from worker.speaking.speaker import Traits
from worker.speaking.voices import with_openai_names

# As many as it was trained on at once; about 25 s of sound.
_MAX_PHONEMES = 400
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
        self._readers: dict[bool, English] = {}  # by whether it is British

    def load(self, spec: Spec, stage: Stage) -> Loaded:
        options = options_of(spec, SpeakOptions)
        if spec.device != "cpu":
            raise LoadError(f"hibari runs on cpu, not on {spec.device!r}: change device")
        for name, file in _files(spec.path).items():
            stage(f"voice {name}")
            british = _is_british(name)
            if british not in self._readers:
                self._readers[british] = English(british=british, max_phonemes=_MAX_PHONEMES)
            try:
                self._voices[name] = Hibari(name, model=str(file), threads=1)
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
        return english.readable(text)

    def sentences(self, paragraph: str) -> Sequence[str]:
        return english.sentences(paragraph)

    def phonemes(self, text: str, voice: str) -> Sequence[str]:
        return self._readers[_is_british(voice)].phonemes(text)

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


def _is_british(voice: str) -> bool:
    return bool(VOICES[voice]["british"])
