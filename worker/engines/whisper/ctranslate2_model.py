"""A Whisper model as CTranslate2 holds it, driven by faster-whisper's search for the words."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tokenizers as hf
from ctranslate2 import StorageView
from faster_whisper import WhisperModel
from faster_whisper.audio import pad_or_trim
from faster_whisper.tokenizer import Tokenizer
from faster_whisper.transcribe import TranscriptionOptions, get_suppressed_tokens

from ipc.engines import CTranslate2Options
from ipc.facts.languages import NAMES
from ipc.messages.jobs import SpeechInput
from ipc.messages.spec import Spec
from worker.audio import decode
from worker.conversion import prepared, stamp
from worker.engine import LoadError, Stage
from worker.engines.common.plain_text import as_plain_text, hold_back
from worker.engines.whisper.mel import PiecewiseMel

logger = logging.getLogger(__name__)

_WEIGHTS = "model.bin"
_FILES = (_WEIGHTS, "config.json", "tokenizer.json")
_MARKS = re.compile(r"<\|.*\|>")  # <|startoftranscript|>, <|en|>, <|0.00|> and the like
_CONVERT = "worker.engines.whisper.convert:convert"
# To be raised when the conversion changes, so that earlier results are made anew.
_FORMAT = 1
# The option `encoder`: what OpenVINO computes it in; nothing where CTranslate2 does.
_ENCODERS = {"openvino": "f32", "openvino_bf16": "bf16", "ctranslate2": ""}
# openai/whisper's ladder: a window that comes out repetitive or improbable is tried again hotter.
_LADDER = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
# Half the context, as in openai/whisper, less the control tokens: the other half is the prompt's.
# It bounds a step, for a hopeless window climbs the whole ladder with this many tokens a rung.
_MAX_WINDOW_TOKENS = 220


class Search(WhisperModel):  # type: ignore[misc]
    """faster-whisper's model with an encoder of OpenVINO's where there is one for it.

    On a CPU each of its ``workers`` has its share of the cores to itself: a search is many small
    products, whose threads wait for each other (whisper-base, 2 cores: 640 ms for the words of 11 s
    by two threads, 347 by one).
    """

    def __init__(self, spec: Spec, options: CTranslate2Options, folder: Path) -> None:
        """Raises `LoadError`."""
        device, _, index = spec.device.partition(":")
        if device not in ("cpu", "cuda"):
            raise LoadError(
                f"CTranslate2 runs on cpu or cuda, not on {spec.device!r}: change device"
            )
        threads = spec.threads or os.cpu_count() or 1
        self.workers = min(threads, spec.slots) if device == "cpu" else 1
        computed_in = options.compute_type or ("float16" if device == "cuda" else "int8")
        try:
            super().__init__(
                str(folder),
                device=device,
                device_index=int(index or 0),
                compute_type=computed_in,
                cpu_threads=threads // self.workers,
                num_workers=self.workers,
                local_files_only=True,
            )
        except Exception as error:  # tokenizers raises nothing more special
            raise LoadError(
                f"{folder} cannot be loaded: {error}", permanent="out of memory" not in str(error)
            ) from error
        self.feature_extractor = PiecewiseMel(**self.feat_kwargs)
        self.hf_tokenizer: hf.Tokenizer = prompt_tokenizer(self.hf_tokenizer)
        encoder = _ENCODERS[options.encoder] if device == "cpu" else ""
        self._encoder = _encoder(encoder, folder, threads, self.workers) if encoder else None

    @property
    def detail(self) -> str:
        """The precisions that it computes in, for an operator."""
        detail = f"CTranslate2, {self.model.compute_type}"
        return (
            f"{detail}; encoder: OpenVINO, {self._encoder.precision}" if self._encoder else detail
        )

    def encode(self, features: npt.NDArray[np.float32]) -> StorageView:
        if self._encoder is None:
            return super().encode(features)
        return StorageView.from_array(self._encoder(features))


class Model:
    """Whisper, as a clip is transcribed by it: ``search`` is faster-whisper's, over a model of any
    library's, and ``workers`` threads may use it at once."""

    def __init__(self, search: WhisperModel, *, workers: int, beam_size: int, detail: str) -> None:
        self.search = search
        self.workers = workers
        self.beam_size = beam_size
        self.detail = detail
        self.device: str = search.model.device
        self.max_tokens: int = search.max_length
        self.languages = self._languages()

    def hear(
        self,
        samples: decode.Samples,
        asked: SpeechInput,
        language: str | None,
        *,
        word_times: bool,
    ) -> Iterator[Any]:
        """First the language, detected unless it is given; then faster-whisper's segments. Each is
        computed when it is asked for."""
        search = self.search
        features = search.feature_extractor(samples)
        first = None
        if language is None:
            # The last frame is of the padding; faster-whisper does not transcribe it either.
            frames = min(search.feature_extractor.nb_max_frames, features.shape[1] - 1)
            first = search.encode(pad_or_trim(features[:, :frames]))
            (token, _), *_ = search.model.detect_language(first)[0]
            language = token[2:-2]
        yield language
        tokenizer = Tokenizer(
            search.hf_tokenizer,
            search.model.is_multilingual,
            task="translate" if asked.translate else "transcribe",
            language=language,
        )
        options = self._options(tokenizer, asked, word_times)
        yield from search.generate_segments(features, tokenizer, options, False, first)

    def share_tokens(self, tokens: list[int], texts: list[str]) -> list[list[int]]:
        """The ``tokens`` of each of ``texts``, which one after the other are what they say."""
        shares = []
        for text in texts[:-1]:
            count = next(
                (at for at in range(len(tokens)) if len(self._text(tokens[:at])) >= len(text)),
                len(tokens),
            )
            shares.append(tokens[:count])
            tokens = tokens[count:]
        return [*shares, tokens]

    def _text(self, tokens: list[int]) -> str:
        tokenizer: hf.Tokenizer = self.search.hf_tokenizer
        end = tokenizer.token_to_id("<|endoftext|>")
        assert end is not None
        return tokenizer.decode([token for token in tokens if token < end])

    def _options(
        self, tokenizer: Tokenizer, asked: SpeechInput, word_times: bool
    ) -> TranscriptionOptions:
        """What `WhisperModel.transcribe` would choose, but for the first block."""
        return TranscriptionOptions(
            initial_prompt=asked.prompt or None,
            temperatures=[asked.temperature] if asked.temperature else list(_LADDER),
            word_timestamps=word_times,
            beam_size=self.beam_size,
            max_new_tokens=_MAX_WINDOW_TOKENS,
            best_of=5,
            patience=1,
            length_penalty=1,
            repetition_penalty=1,
            no_repeat_ngram_size=0,
            log_prob_threshold=-1.0,
            no_speech_threshold=0.6,
            compression_ratio_threshold=2.4,
            condition_on_previous_text=True,
            prompt_reset_on_temperature=0.5,
            prefix=None,
            suppress_blank=True,
            suppress_tokens=get_suppressed_tokens(tokenizer, [-1]),
            without_timestamps=False,
            max_initial_timestamp=1.0,
            prepend_punctuations="\"'“¿([{-",
            append_punctuations="\"'.。,，!！?？:：”)]}、",  # noqa: RUF001
            multilingual=False,
            clip_timestamps="0",
            hallucination_silence_threshold=None,
            hotwords=None,
        )

    def _languages(self) -> list[str]:
        if not self.search.model.is_multilingual:
            return ["en"]
        known = self.search.hf_tokenizer.token_to_id
        return [code for code in NAMES if known(f"<|{code}|>") is not None]


def load_model(spec: Spec, options: CTranslate2Options, folder: Path) -> Model:
    """Raises `LoadError`."""
    search = Search(spec, options, folder)
    return Model(search, workers=search.workers, beam_size=options.beam_size, detail=search.detail)


def prompt_tokenizer(tokenizer: hf.Tokenizer) -> hf.Tokenizer:
    """A prompt is text: what looks like a control token in it stays text, times too, which newer
    checkpoints list as words."""
    hold_back(tokenizer, _MARKS)
    return as_plain_text(tokenizer)


def model_folder(spec: Spec, stage: Stage) -> Path:
    """The model as CTranslate2 reads it: as it is, or converted once from its checkpoint.

    Raises `LoadError`."""
    folder = Path(spec.path)
    if not (folder / _WEIGHTS).is_file() and any(folder.glob("*.safetensors")):
        key = f"{_FORMAT} ctranslate2 {version('ctranslate2')} {stamp(folder)}"
        folder = prepared(spec, stage, _CONVERT, key)
    _check_files(folder)
    return folder


def _check_files(folder: Path) -> None:
    """faster-whisper would go to the network for what is not there."""
    missing = [name for name in _FILES if not (folder / name).is_file()]
    if missing:
        raise LoadError(
            f"{folder} is neither a CTranslate2 Whisper model ({', '.join(missing)} not found in "
            "it) nor a checkpoint in safetensors, of which one can be made"
        )


def _encoder(precision: str, folder: Path, threads: int, at_once: int) -> Any:
    """OpenVINO's encoder; None where there cannot be one."""
    try:
        from worker.engines.whisper.openvino_encoder import Encoder

        return Encoder(folder / _WEIGHTS, threads, at_once, precision)
    except (ImportError, ValueError) as reason:
        logger.warning("encoder_by_ctranslate2", extra={"reason": str(reason)})
        return None
