"""The Whisper model that CTranslate2 reads as the file that whisper.cpp reads: the same weights.

As `models/convert-pt-to-ggml.py` of whisper.cpp writes it, in float16, which the weights are in.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
from faster_whisper.feature_extractor import FeatureExtractor
from tokenizers import Tokenizer

from worker.engines.whisper.openvino_encoder import read

Array = npt.NDArray[Any]

_MAGIC = 0x67676D6C
_HALF = 1
_TEXT_TOKENS = 50_257  # whisper.cpp knows the others by their place
# What whisper.cpp wants in float32 whatever the weights are in, beside all that has one dimension.
_FULL = ("positional_embedding", "conv1.bias", "conv2.bias")
_NORM = {"gamma": "weight", "beta": "bias"}


def write(folder: Path, target: Path) -> None:
    """Raises `OSError`, and `ValueError` for weights that are not in 16 bits."""
    weights = read(folder / "model.bin", "")
    vocabulary = Tokenizer.from_file(str(folder / "tokenizer.json"))
    with target.open("wb") as out:
        out.write(struct.pack("<12i", _MAGIC, *_sizes(weights), _HALF))
        filters = FeatureExtractor(feature_size=weights["encoder/conv1/weight"].shape[1])
        _write_array(out, filters.mel_filters.astype("<f4"))
        out.write(struct.pack("<i", _TEXT_TOKENS))
        for token in range(_TEXT_TOKENS):
            written = _bytes(vocabulary.id_to_token(token) or "")
            out.write(struct.pack("<i", len(written)) + written)
        for name, array in _tensors(weights):
            _write_tensor(out, name, array)


def _sizes(weights: dict[str, Array]) -> tuple[int, ...]:
    sizes: list[int] = []
    for side in ("encoder", "decoder"):
        context, width = weights[f"{side}/position_encodings/encodings"].shape
        layers = sum(name.startswith(f"{side}/") and name.endswith("ffn/linear_0/weight")
                     for name in weights)  # fmt: skip
        sizes += [context, width, int(weights[f"{side}/num_heads"].item()), layers]
    words = weights["decoder/embeddings/weight"].shape[0]
    return words, *sizes, weights["encoder/conv1/weight"].shape[1]


def _tensors(weights: dict[str, Array]) -> Iterator[tuple[str, Array]]:
    for name, array in weights.items():
        side, _, rest = name.partition("/")
        if rest == "position_encodings/encodings":
            yield f"{side}.positional_embedding", array
        elif rest == "embeddings/weight":
            yield "decoder.token_embedding.weight", array
        elif rest.startswith("conv"):
            shown = array[:, np.newaxis] if rest.endswith("bias") else array
            yield f"{side}.{rest.replace('/', '.')}", shown
        elif rest.startswith("layer_norm/"):
            last = "ln_post" if side == "encoder" else "ln"
            yield f"{side}.{last}.{_NORM[rest.removeprefix('layer_norm/')]}", array
        elif rest.startswith("layer_"):
            layer, _, part = rest.removeprefix("layer_").partition("/")
            for called, found in _of_layer(part, array):
                yield f"{side}.blocks.{layer}.{called}", found


def _of_layer(part: str, array: Array) -> Iterator[tuple[str, Array]]:
    """CTranslate2 keeps queries, keys and values in one product; keys have no bias."""
    block, module, kind = part.split("/")
    kind = _NORM.get(kind, kind)
    attention = {"self_attention": "attn", "attention": "cross_attn"}.get(block)
    if module == "layer_norm":
        yield f"{attention or 'mlp'}_ln.{kind}", array
        return
    if attention is None:
        yield f"mlp.{0 if module == 'linear_0' else 2}.{kind}", array
        return
    names = {
        "self_attention": {"linear_0": ["query", "key", "value"], "linear_1": ["out"]},
        "attention": {"linear_0": ["query"], "linear_1": ["key", "value"], "linear_2": ["out"]},
    }[block][module]
    for name, found in zip(names, np.split(array, len(names)), strict=True):
        if not (name == "key" and kind == "bias"):
            yield f"{attention}.{name}.{kind}", found


def _write_tensor(out: BinaryIO, name: str, array: Array) -> None:
    if array.dtype == np.int8:
        raise ValueError(f"{name} is stored in 8 bits")
    full = array.ndim == 1 or name.endswith(_FULL)
    out.write(struct.pack("<3i", array.ndim, len(name), 0 if full else _HALF))
    out.write(struct.pack(f"<{array.ndim}i", *reversed(array.shape)) + name.encode())
    out.write(array.astype("<f4" if full else "<f2").tobytes())


def _write_array(out: BinaryIO, array: Array) -> None:
    out.write(struct.pack("<2i", *array.shape) + array.tobytes())


def _bytes(token: str) -> bytes:
    """The bytes of a token in the alphabet of GPT-2's tokenizer, which has a letter for each."""
    return bytes(_ALPHABET[letter] for letter in token)


def _alphabet() -> dict[str, int]:
    """openai/gpt-2, `encoder.py`, the other way round."""
    shown = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    hidden = [byte for byte in range(256) if byte not in shown]
    return {chr(byte): byte for byte in shown} | {
        chr(256 + at): byte for at, byte in enumerate(hidden)
    }


_ALPHABET = _alphabet()
