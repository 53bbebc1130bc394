"""Whisper through CTranslate2 (faster-whisper): quantised, without torch."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from ipc.errors import InvalidRequest, ServeError
from ipc.languages import NAMES, code_of
from ipc.types import (
    Delta,
    Done,
    Event,
    Failed,
    Job,
    Loaded,
    Segment,
    Spec,
    SpeechInput,
    SpeechResult,
    Usage,
    Word,
)
from worker import media
from worker.engine import LoadError, Stage
from worker.engines.mel import PiecewiseMel
from worker.prepare import prepared, stamp

_WEIGHTS = "model.bin"
_FILES = (_WEIGHTS, "config.json", "tokenizer.json")
_CONVERT = "worker.engines.whisper_convert:convert"
# To be raised when the conversion changes, so that earlier results are made anew.
_FORMAT = 1
# openai/whisper's ladder: a window that comes out repetitive or improbable is tried again hotter.
_LADDER = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
# Half the context, as in openai/whisper, less the control tokens: the other half is the prompt's.
# It bounds a step, for a hopeless window climbs the whole ladder with this many tokens a rung.
_MAX_WINDOW_TOKENS = 220

# What a clip's work brings at each step: an event, or nothing yet.
Work = Generator[Event | None, None, None]


class WhisperSpeech:
    """An `Engine` for speech. One step decodes 30 seconds of one clip's file, or transcribes one
    window of it; clips take turns, so that none waits for another's whole answer.

    ``spec.options``: ``compute_type`` (of CTranslate2; int8 on CPU, float16 on CUDA), ``beam_size``
    (5), ``vad`` (true: leave out what holds no voice), ``max_audio_s`` (600).
    """

    def __init__(self) -> None:
        self._model: Any = None
        self._languages: list[str] = []
        self._clips: dict[str, Work] = {}  # in the order of their turns
        self._slots = 0
        self._vad = True
        self._beam_size = 5
        self._max_audio_s = media.MAX_AUDIO_S

    def prepare(self, spec: Spec, stage: Stage) -> None:
        """Convert a Hugging Face checkpoint now, so that a worker need not. Raises `LoadError`."""
        _folder(spec, stage)

    def load(self, spec: Spec, stage: Stage) -> Loaded:
        options = spec.options
        self._slots = spec.slots
        self._vad = bool(options.get("vad", True))
        self._beam_size = int(options.get("beam_size", 5))
        self._max_audio_s = float(options.get("max_audio_s", media.MAX_AUDIO_S))
        folder = _folder(spec, stage)
        stage("loading weights")
        self._model = _load_model(spec, folder)
        self._languages = _languages(self._model)
        stage("first window")
        self._prove(folder)
        weights = self._model.model
        return Loaded(
            device=weights.device,
            context_tokens=self._model.max_length,
            languages=self._languages,
            detail=f"CTranslate2, {weights.compute_type}",
        )

    def _prove(self, folder: Path) -> None:
        """Run one window: the voice filter would keep the model out of a warm-up with no voice."""
        silence = np.zeros(media.SAMPLE_RATE_HZ, np.float32)
        try:
            segments, _ = self._model.transcribe(silence, language="en", temperature=0.0)
            list(segments)
        except Exception as error:
            raise LoadError(f"{folder} loads but does not run: {error}") from error

    def admit(self, job: Job) -> bool:
        if len(self._clips) >= self._slots:
            return False
        if not isinstance(job.input, SpeechInput):
            raise InvalidRequest("this model transcribes audio; it answers nothing else")
        language = self._language(job.input)
        self._clips[job.id] = self._work(job.id, job.input, language)
        return True

    def wait_s(self) -> float | None:
        return 0.0 if self._clips else None

    def step(self) -> list[Event]:
        if not self._clips:
            return []
        job_id = next(iter(self._clips))
        work = self._clips.pop(job_id)
        try:
            event = next(work)
        except ServeError as error:
            return [Failed(job=job_id, error=error.info())]
        if not isinstance(event, Done):
            self._clips[job_id] = work
        return [event] if event else []

    def drop(self, job_id: str) -> None:
        work = self._clips.pop(job_id, None)
        if work is not None:
            work.close()

    def close(self) -> None:
        for job_id in list(self._clips):
            self.drop(job_id)
        self._model = None

    def _language(self, asked: SpeechInput) -> str | None:
        """The code of the language asked for. Raises `InvalidRequest` for one the model lacks."""
        multilingual = len(self._languages) > 1
        if asked.translate and not multilingual:
            raise InvalidRequest(
                "this model knows only English and cannot translate; use a multilingual Whisper "
                "(one whose name does not end in .en)",
                param="model",
            )
        if not asked.language:
            return None if multilingual else "en"
        code = code_of(asked.language)
        if code in self._languages:
            return code
        if not multilingual:
            raise InvalidRequest(
                "this model knows only English: leave language out or send en", param="language"
            )
        raise InvalidRequest(
            f"unknown language {asked.language[:40]!r}: send an ISO-639-1 code or an English name, "
            "such as en, de, es, fr, ja, zh or english, or leave it out to have it detected",
            param="language",
        )

    def _work(self, job_id: str, asked: SpeechInput, language: str | None) -> Work:
        """A clip from file to transcript, cut into steps."""
        samples = yield from self._decode(asked.audio.data)
        voiced = self._voiced(samples)
        yield None
        duration_s = samples.size / media.SAMPLE_RATE_HZ
        text, segments, words = "", list[Segment](), list[Word]()
        if voiced:
            found, language = self._transcribe(samples, voiced, asked, language)
            yield None
            for heard in found:
                segments.append(_segment(heard, len(segments), duration_s))
                words += _words(heard, duration_s)
                piece = heard.text if text else heard.text.lstrip()
                text += piece
                yield Delta(job_id, piece, len(heard.tokens))
        result = SpeechResult(
            text=text.rstrip(),
            language=language or "en",
            duration_s=duration_s,
            segments=segments,
            words=words if asked.word_times else None,
            usage=Usage(completion_tokens=sum(len(segment.tokens) for segment in segments)),
        )
        yield Done(job_id, result)

    def _decode(self, data: bytes) -> Generator[None, None, media.Samples]:
        pieces = []
        for piece in media.pieces(data, self._max_audio_s):
            pieces.append(piece)
            yield
        return np.concatenate(pieces)

    def _voiced(self, samples: media.Samples) -> list[dict[str, int]]:
        """Where there is a voice, as ``start`` and ``end`` samples: on silence and noise Whisper
        makes sentences up, so it is not asked about them."""
        from faster_whisper.vad import VadOptions, get_speech_timestamps

        if not self._vad:
            return [{"start": 0, "end": samples.size}]
        found: list[dict[str, int]] = get_speech_timestamps(samples, VadOptions())
        return found

    def _transcribe(
        self,
        samples: media.Samples,
        voiced: list[dict[str, int]],
        asked: SpeechInput,
        language: str | None,
    ) -> tuple[Iterator[Any], str]:
        """The segments, each computed when it is asked for, and their language."""
        from faster_whisper.transcribe import restore_speech_timestamps

        segments, info = self._model.transcribe(
            np.concatenate([samples[part["start"] : part["end"]] for part in voiced]),
            language=language,
            task="translate" if asked.translate else "transcribe",
            initial_prompt=asked.prompt or None,
            temperature=asked.temperature or _LADDER,
            word_timestamps=asked.word_times,
            beam_size=self._beam_size,
            max_new_tokens=_MAX_WINDOW_TOKENS,
        )
        return restore_speech_timestamps(segments, voiced, media.SAMPLE_RATE_HZ), info.language


def _folder(spec: Spec, stage: Stage) -> Path:
    """The model as CTranslate2 reads it: as it is, or converted once from its checkpoint."""
    folder = Path(spec.path)
    if not (folder / _WEIGHTS).is_file() and any(folder.glob("*.safetensors")):
        key = f"{_FORMAT} ctranslate2 {version('ctranslate2')} {stamp(folder)}"
        folder = prepared(spec, stage, _CONVERT, key)
    _check_files(folder)
    return folder


def _load_model(spec: Spec, folder: Path) -> Any:
    from faster_whisper import WhisperModel

    device, _, index = spec.device.partition(":")
    if device not in ("cpu", "cuda"):
        raise LoadError(f"CTranslate2 runs on cpu or cuda, not on {spec.device!r}: change device")
    compute_type = str(spec.options.get("compute_type", "float16" if device == "cuda" else "int8"))
    try:
        model = WhisperModel(
            str(folder),
            device=device,
            device_index=int(index or 0),
            compute_type=compute_type,
            cpu_threads=spec.threads,
            local_files_only=True,
        )
    except Exception as error:  # tokenizers raises nothing more special
        raise LoadError(
            f"{folder} cannot be loaded: {error}", permanent="out of memory" not in str(error)
        ) from error
    model.feature_extractor = PiecewiseMel(**model.feat_kwargs)
    # A prompt is text: what looks like a control token in it stays text.
    model.hf_tokenizer.encode_special_tokens = True
    return model


def _check_files(folder: Path) -> None:
    """faster-whisper would go to the network for what is not there."""
    missing = [name for name in _FILES if not (folder / name).is_file()]
    if missing:
        raise LoadError(
            f"{folder} is neither a CTranslate2 Whisper model ({', '.join(missing)} not found in "
            "it) nor a checkpoint in safetensors, of which one can be made"
        )


def _languages(model: Any) -> list[str]:
    if not model.model.is_multilingual:
        return ["en"]
    tokenizer = model.hf_tokenizer
    return [code for code in NAMES if tokenizer.token_to_id(f"<|{code}|>") is not None]


def _segment(heard: Any, number: int, end_s: float) -> Segment:
    """Whisper pads the last window to 30 seconds and may time text past the clip's end."""
    return Segment(
        id=number,
        seek=heard.seek,
        start=min(float(heard.start), end_s),
        end=min(float(heard.end), end_s),
        text=heard.text,
        tokens=list(heard.tokens),
        temperature=float(heard.temperature or 0.0),
        avg_logprob=float(heard.avg_logprob),
        compression_ratio=float(heard.compression_ratio),
        no_speech_prob=float(heard.no_speech_prob),
    )


def _words(heard: Any, end_s: float) -> list[Word]:
    return [
        Word(
            word.word.strip(),
            min(float(word.start), end_s),
            min(float(word.end), end_s),
            float(word.probability),
        )
        for word in heard.words or []
    ]
