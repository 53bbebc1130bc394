"""Whisper checkpoints as transformers loads them, by torch, on any device that it knows."""

from __future__ import annotations

import logging
from pathlib import Path

import torch
from faster_whisper import WhisperModel
from tokenizers import Tokenizer
from transformers import AutoTokenizer, WhisperConfig, WhisperForConditionalGeneration

from ipc.engine_options import SpeechOptions, TorchSpeechOptions
from ipc.messages.spec import Spec
from worker.engine import LoadError, Stage, options_of
from worker.engines.common.torch_device import DTYPES, find_device, use_threads
from worker.engines.common.torch_pretrained import load_encoder
from worker.engines.common.weights import check_weights
from worker.engines.whisper.ctranslate2_model import prompt_tokenizer
from worker.engines.whisper.mel import PiecewiseMel
from worker.engines.whisper.model import Whisper
from worker.engines.whisper.torch_model import TorchWhisper
from worker.hearing.engine import HearingEngine

logger = logging.getLogger(__name__)

# The output layer is the embedding of tokens, and so stored once; positions are computed.
_UNUSED = ("proj_out.", "encoder.embed_positions.")


class TorchSpeech(HearingEngine):
    """An engine for speech, which takes clips in turns, one piece a step. Options:
    `TorchSpeechOptions`."""

    def open(self, spec: Spec, stage: Stage) -> tuple[SpeechOptions, Whisper]:
        options = options_of(spec, TorchSpeechOptions)
        return options, load_model(spec, options, stage)


def load_model(spec: Spec, options: TorchSpeechOptions, stage: Stage) -> Whisper:
    """At temperature 0 it takes the likeliest token, as openai/whisper and transformers do unless
    they are asked for beams. Raises `LoadError`."""
    folder = Path(spec.path)
    device = find_device(spec.device)
    # Checkpoints are published in float16, and their sums fit it.
    dtype = DTYPES[options.dtype or ("float16" if device.type == "cuda" else "float32")]
    use_threads(spec.threads)
    config = _config(folder)
    stage("tokenizer")
    tokenizer = _tokenizer(folder)
    stage("weights")
    model = load_encoder(folder, dtype, lambda _: WhisperForConditionalGeneration, _UNUSED)
    try:
        search = search_over(TorchWhisper(model.eval().to(device), tokenizer), tokenizer, config)
    except torch.OutOfMemoryError as error:
        reason = f"{folder} does not fit on {device}: {error}"
        raise LoadError(reason, permanent=False) from error
    detail = f"transformers, {str(dtype).removeprefix('torch.')}"
    return Whisper(search, workers=1, batch=1, beam_size=1, detail=detail)


def search_over(model: TorchWhisper, tokenizer: Tokenizer, config: WhisperConfig) -> WhisperModel:
    """faster-whisper's search over ``model``: all that its constructor sets and its search reads.
    The constructor itself can only have CTranslate2 read a file."""
    search = WhisperModel.__new__(WhisperModel)
    search.model = model
    search.encode = model.encode
    search.hf_tokenizer = tokenizer
    search.feature_extractor = PiecewiseMel(feature_size=config.num_mel_bins)
    search.max_length = config.max_target_positions
    search.logger = logger
    search.frames_per_second, search.tokens_per_second = 100, 50
    search.input_stride, search.time_precision = 2, 0.02
    return search


def _config(folder: Path) -> WhisperConfig:
    if not (folder / "config.json").is_file():
        raise LoadError(f"{folder} has no config.json; pull the model first")
    if (folder / "model.bin").is_file():
        raise LoadError(f"{folder} is a model for CTranslate2: take engine ctranslate2")
    check_weights(folder)
    try:
        config = WhisperConfig.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError) as error:
        raise LoadError(f"cannot read {folder}/config.json: {error}") from error
    if config.model_type != "whisper":
        raise LoadError(f"{folder} is a {config.model_type} model, not Whisper")
    return config


def _tokenizer(folder: Path) -> Tokenizer:
    try:
        found = AutoTokenizer.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False
        )
        return prompt_tokenizer(found.backend_tokenizer)
    except Exception as error:  # tokenizers raises nothing more special
        raise LoadError(f"the tokenizer in {folder} cannot be read: {error}") from error
