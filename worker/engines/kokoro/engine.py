"""Kokoro's English voices: one model for all, and rules for the English of each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ipc.engine_options import SpeakOptions
from ipc.messages.spec import Loaded, Spec, Voice
from worker.audio.decode import Samples
from worker.engine import LoadError, Stage, options_of
from worker.engines.common import english
from worker.engines.common.english import English
from worker.engines.kokoro import files
from worker.engines.kokoro.model import Model
from worker.speaking.engine import SpeakingEngine
from worker.speaking.speaker import Traits
from worker.speaking.voices import with_openai_names

# By the letter with which Kokoro's authors begin the names of voices. Others have phonemes that no
# library here writes, and their texts would come out as noise.
_ENGLISH = {"a": "en-US", "b": "en-GB"}
# The one that its authors call the best, and what is asked for by most clients.
_FIRST = "af_heart"
# As OpenAI's are: a man's or a woman's, and of the same name where there is one.
_NEAREST = {
    "alloy": "af_alloy",
    "ash": "am_michael",
    "ballad": "bm_fable",
    "cedar": "am_fenrir",
    "coral": "af_bella",
    "echo": "am_echo",
    "fable": "bm_fable",
    "nova": "af_nova",
    "onyx": "am_onyx",
    "sage": "af_sarah",
    "shimmer": "af_sky",
    "verse": "am_puck",
}


class KokoroSpeaker:
    """Options: `SpeakOptions`."""

    # A second of speech takes a third of a second, ten times what hibari takes: so parts are short.
    traits = Traits(rate_hz=24_000, frame_samples=600, part_chars=150)

    def __init__(self) -> None:
        self._model: Model | None = None
        self._styles: dict[str, files.Style] = {}
        self._readers: dict[str, English] = {}  # by language
        self._ids: dict[str, int] = {}

    def load(self, spec: Spec, stage: Stage) -> Loaded:
        options = options_of(spec, SpeakOptions)
        found = files.find(spec.path)
        stage("voices")
        every = files.voices(found.root)
        self._styles = {name: style for name, style in every.items() if name[0] in _ENGLISH}
        if not self._styles:
            raise LoadError(f"{found.root} has no English voice, only {', '.join(every)}")
        self._ids = _vocabulary(found)
        voices = _listed(self._styles)
        for voice in voices:
            self._read(_language(voice.name), stage)
        stage("model")
        self._model = Model(found.model, spec.threads)
        others = len(every) - len(voices)
        return Loaded(
            device="cpu",
            languages=["en"],
            voices=with_openai_names(voices, _NEAREST) if options.openai_voices else voices,
            detail="ONNX Runtime"
            + (f"; voices of other languages left out: {others}" if others else ""),
        )

    def _read(self, language: str, stage: Stage) -> None:
        if language not in self._readers:
            stage(f"rules of {language}")
            british = language == "en-GB"
            self._readers[language] = English(british=british, max_phonemes=files.STYLES)

    def readable(self, text: str) -> tuple[str, int]:
        return english.readable(text)

    def sentences(self, paragraph: str) -> Sequence[str]:
        return english.sentences(paragraph)

    def phonemes(self, text: str, voice: str) -> Sequence[str]:
        return self._readers[_language(voice)].phonemes(text)

    def say(self, phonemes: str, voice: str) -> tuple[Samples, int]:
        assert self._model is not None
        # A phoneme that is written in the text itself may be none of Kokoro's.
        ids = [self._ids[phoneme] for phoneme in phonemes if phoneme in self._ids]
        return self._model.say(ids, self._styles[voice]), len(ids)

    def close(self) -> None:
        self._model = None
        self._styles.clear()


class KokoroSpeech(SpeakingEngine):
    """An engine for speech out. Options: `SpeakOptions`."""

    def __init__(self) -> None:
        super().__init__(KokoroSpeaker())


def _listed(names: Iterable[str]) -> list[Voice]:
    """The voices of ``names``, the first one first."""
    ordered = sorted(names, key=lambda name: (name != _FIRST, name))
    return [Voice(name=name, language=_language(name)) for name in ordered]


def _language(voice: str) -> str:
    return _ENGLISH[voice[0]]


def _vocabulary(found: files.Files) -> dict[str, int]:
    """The model's own numbers of phonemes. Raises `LoadError` unless it knows all of English."""
    written = english.vocabulary()
    known = files.vocabulary(found.root)
    if known is None:
        return written
    if missing := written.keys() - known.keys():
        raise LoadError(f"{found.root} has no number for {' '.join(sorted(missing))}")
    return known
