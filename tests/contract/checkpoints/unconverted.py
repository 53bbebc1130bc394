"""A Whisper for CTranslate2 as its Hugging Face repository holds it: what the conversion did to the
weights, undone."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import torch
from tokenizers import Tokenizer
from torch import Tensor
from transformers import (
    GenerationConfig,
    WhisperConfig,
    WhisperFeatureExtractor,
    WhisperForConditionalGeneration,
)

from worker.engines.whisper.openvino_encoder import read

# Attention as CTranslate2 names it: what it has put into one matrix, by its number.
_SELF = (("q_proj", "k_proj", "v_proj"), ("out_proj",))
_CROSS = (("q_proj",), ("k_proj", "v_proj"), ("out_proj",))
_NAMES = [
    (r"layer_norm/gamma", "layer_norm/weight"),
    (r"layer_norm/beta", "layer_norm/bias"),
    (r"position_encodings/encodings", "embed_positions/weight"),
    (r"decoder/embeddings", "decoder/embed_tokens"),
    (r"layer_(\d+)", r"layers/\1"),
    (r"/attention/layer_norm", "/encoder_attn_layer_norm"),
    (r"/self_attention/layer_norm", "/self_attn_layer_norm"),
    (r"/ffn/layer_norm", "/final_layer_norm"),
    (r"/ffn/linear_0", "/fc1"),
    (r"/ffn/linear_1", "/fc2"),
    (r"/attention/", "/encoder_attn/"),
    (r"/self_attention/", "/self_attn/"),
]


def whisper(converted: Path, folder: Path) -> Path:
    """Write OpenAI's model ``converted``, in float16, into ``folder``."""
    weights = {
        name: torch.tensor(array)
        for name, array in read(converted / "model.bin", "").items()
        if name.endswith(("/weight", "/bias", "/gamma", "/beta", "/encodings"))
    }
    tensors = {f"model.{name}": part for name, part in _parts(weights) if "projection" not in name}
    model = WhisperForConditionalGeneration(_config(weights)).half()  # type: ignore[no-untyped-call]
    missing, unexpected = model.load_state_dict(tensors, strict=False)
    assert missing == ["proj_out.weight"], missing  # tied to the embeddings
    assert unexpected == []
    model.generation_config = _generation(converted)
    model.save_pretrained(folder)
    WhisperFeatureExtractor().save_pretrained(folder)  # type: ignore[no-untyped-call]
    shutil.copy(converted / "tokenizer.json", folder)
    return folder


def _config(weights: dict[str, Tensor]) -> WhisperConfig:
    vocabulary, width = weights["decoder/embeddings/weight"].shape
    layers = len([name for name in weights if re.fullmatch(r"encoder/.*/ffn/linear_0/bias", name)])
    return WhisperConfig(
        vocab_size=vocabulary,
        d_model=width,
        encoder_layers=layers,
        decoder_layers=layers,
        encoder_attention_heads=width // 64,
        decoder_attention_heads=width // 64,
        encoder_ffn_dim=4 * width,
        decoder_ffn_dim=4 * width,
    )


def _generation(converted: Path) -> GenerationConfig:
    """The file beside the weights, as OpenAI's repositories have it."""
    told = json.loads((converted / "config.json").read_text())
    token = Tokenizer.from_file(str(converted / "tokenizer.json")).id_to_token
    return GenerationConfig(  # type: ignore[no-untyped-call]
        alignment_heads=told["alignment_heads"],
        suppress_tokens=told["suppress_ids"],
        begin_suppress_tokens=told["suppress_ids_begin"],
        bos_token_id=50257,
        eos_token_id=50257,
        pad_token_id=50257,
        decoder_start_token_id=50258,
        is_multilingual=True,
        lang_to_id={token(at): at for at in told["lang_ids"]},
        task_to_id={"transcribe": 50359, "translate": 50358},
        no_timestamps_token_id=50363,
        prev_sot_token_id=50361,
        max_initial_timestamp_index=50,
        max_length=448,
        return_timestamps=False,
    )


def _parts(weights: dict[str, Tensor]) -> list[tuple[str, Tensor]]:
    """The tensors under transformers' names; joint matrices in parts."""
    found = []
    for name, tensor in weights.items():
        joint = re.fullmatch(r"(.*/(self_)?attention/)linear_(\d)/(weight|bias)", name)
        parts = (_SELF if joint[2] else _CROSS)[int(joint[3])] if joint else ("",)
        for part, piece in zip(parts, tensor.chunk(len(parts)), strict=True):
            # The keys have no bias; the conversion gave them one of zeros.
            if not (part == "k_proj" and name.endswith("bias")):
                found.append((_name(f"{joint[1]}{part}/{joint[4]}" if joint else name), piece))
    return found


def _name(name: str) -> str:
    for pattern, better in _NAMES:
        name = re.sub(pattern, better, name)
    return name.replace("/", ".")
