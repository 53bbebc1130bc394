"""A Whisper model as CTranslate2 holds it, driven by faster-whisper's search for the words."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tokenizers as hf
from ctranslate2 import StorageView
from faster_whisper import WhisperModel

from ipc.engine_options import CTranslate2Options
from ipc.messages.spec import Spec
from worker.conversion import form_of, prepared, stamp
from worker.engine import LoadError, Stage
from worker.engines.common.plain_text import as_plain_text, hold_back
from worker.engines.whisper.mel import PiecewiseMel
from worker.engines.whisper.model import WINDOW, Whisper

logger = logging.getLogger(__name__)

_WEIGHTS = "model.bin"
_FILES = (_WEIGHTS, "config.json", "tokenizer.json")
_MARKS = re.compile(r"<\|.*\|>")  # <|startoftranscript|>, <|en|>, <|0.00|> and the like
_CONVERT = "worker.engines.whisper.convert:convert"
# The option `encoder`: what OpenVINO computes it in; nothing where CTranslate2 does.
_ENCODERS = {"auto": "auto", "openvino": "f32", "openvino_bf16": "bf16", "ctranslate2": ""}
# Pieces that a worker hears at once, for each of its threads. One of eight costs hardly less than
# one of four (processor time of a second of audio: of two 87 ms, of four 80, of eight 78).
_PIECES_A_THREAD = 4
# What its encoder may look at; that of OpenVINO's looks at half a minute always.
_WINDOWS = (1000, 2000, WINDOW)
# What those of a worker may take. The decoder keeps keys and values of all that it may look back
# at, for a piece about a quarter of the bytes of a 16-bit model: whisper-base 37 MB, small 111,
# medium 295, large-v3 492.
_BATCH_BYTES = 256 << 20


class Search(WhisperModel):  # type: ignore[misc]
    """faster-whisper's model with an encoder of OpenVINO's where there is one for it.

    On a CPU each of its ``workers`` has its share of the cores to itself: a search is many small
    products, whose threads wait for each other (whisper-base, 2 cores: 640 ms for the words of 11 s
    by two threads, 347 by one).
    """

    model: Any

    def __init__(self, spec: Spec, options: CTranslate2Options, folder: Path) -> None:
        """Raises `LoadError`."""
        device, _, index = spec.device.partition(":")
        if device not in ("cpu", "cuda"):
            raise LoadError(
                f"CTranslate2 runs on cpu or cuda, not on {spec.device!r}: change device"
            )
        threads = spec.threads or os.cpu_count() or 1
        self.workers = min(threads, spec.slots) if device == "cpu" else 1
        self.threads = threads // self.workers
        computed_in = options.compute_type or ("float16" if device == "cuda" else "int8")
        try:
            super().__init__(
                str(folder),
                device=device,
                device_index=int(index or 0),
                compute_type=computed_in,
                cpu_threads=self.threads,
                num_workers=self.workers,
                local_files_only=True,
            )
        except Exception as error:  # tokenizers raises nothing more special
            raise LoadError(
                f"{folder} cannot be loaded: {error}", permanent="out of memory" not in str(error)
            ) from error
        self.model = WholeLength(self.model)
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
        """The states of one piece's features, shape (mels, frames), or of several'."""
        if self._encoder is None or features.shape[-1] < WINDOW:
            return super().encode(features)
        several = features if features.ndim == 3 else features[np.newaxis]
        return StorageView.from_array(np.concatenate([self._encoder(one) for one in several]))


class WholeLength:
    """CTranslate2's ``model``, which ends a text at half of ``max_length`` (its whisper.cc) where
    that is less than what the prompt leaves of it: 112 tokens of 220, and a piece of 28 s often has
    more in languages whose words are many tokens. Here it is the length of prompt and text."""

    def __init__(self, model: Any) -> None:
        self._model = model

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def generate(
        self, states: StorageView, prompts: Sequence[list[int]], *, max_length: int, **asked: Any
    ) -> list[Any]:
        """As CTranslate2 has it."""
        most = max(1, max_length - max(map(len, prompts)))
        found: list[Any] = self._model.generate(
            states, prompts, max_length=max(max_length, 2 * most), **asked
        )
        return found


def load_model(spec: Spec, options: CTranslate2Options, folder: Path) -> Whisper:
    """Raises `LoadError`."""
    search = Search(spec, options, folder)
    return Whisper(
        search,
        workers=search.workers,
        batch=_batch(folder, search.threads),
        beam_size=options.beam_size,
        detail=search.detail,
        windows=_WINDOWS,
    )


def _batch(folder: Path, threads: int) -> int:
    """How many pieces a worker of so many ``threads`` hears at once."""
    piece_bytes = (folder / _WEIGHTS).stat().st_size // 4
    return max(1, min(_PIECES_A_THREAD * threads, _BATCH_BYTES // piece_bytes))


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
        key = f"{form_of(spec)} ctranslate2 {version('ctranslate2')} {stamp(folder)}"
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
