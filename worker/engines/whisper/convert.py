"""The one-time conversion of a Whisper checkpoint to CTranslate2. Imports torch: run it apart."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from ctranslate2.converters import TransformersConverter
from transformers import AutoTokenizer, WhisperConfig

from worker.engine import LoadError
from worker.engines.common.weights import check_weights

# As the ready-made conversions of Systran keep their weights; what they are computed in is chosen
# when they are loaded.
_KEPT_AS = "float16"


def convert(source: Path, target: Path) -> None:
    """Write the Hugging Face checkpoint ``source`` into the folder ``target``. Raises `LoadError`.

    Fine-tuned checkpoints often come without the tokenizer's fast form or the size of the
    spectrogram, which faster-whisper reads beside the weights: both are written anew.
    """
    check_weights(source)
    config = WhisperConfig.from_pretrained(source)
    if config.model_type != "whisper":
        raise LoadError(f"{source} is a {config.model_type} model, not Whisper")
    with torch.no_grad():
        converter = TransformersConverter(str(source), load_as_float16=True)
        converter.convert(str(target), quantization=_KEPT_AS, force=True)
    AutoTokenizer.from_pretrained(source).backend_tokenizer.save(str(target / "tokenizer.json"))
    features = json.dumps({"feature_size": config.num_mel_bins})
    (target / "preprocessor_config.json").write_text(features)
