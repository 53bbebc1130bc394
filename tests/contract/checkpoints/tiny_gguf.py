"""A Llama in GGUF with random weights; one that sees has LLaVA's projector before CLIP's layers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from gguf import GGUFReader, GGUFValueType, GGUFWriter, LlamaFileType
from numpy.typing import NDArray

IMAGE_SIDE, PATCH = 56, 14
TOKENS_OF_AN_IMAGE = (IMAGE_SIDE // PATCH) ** 2
_WIDTH, _INNER, _LAYERS, _HEADS, _KV_HEADS = 64, 128, 2, 4, 2
_SEEN_WIDTH, _SEEN_INNER, _SEEN_LAYERS, _SEEN_HEADS = 32, 64, 2, 2
_TOKENS = "tokenizer.ggml.tokens"


def llama(folder: Path, like: Path, scale: float = 0.3) -> Path:
    """Write ``model.gguf``, with the tokenizer and template of the GGUF file ``like``. Where the
    ``scale`` of its layers is small, a token follows from the one before, and answers go round."""
    _Weights(folder / "model.gguf", "llama").language_model(like, scale)
    return folder / "model.gguf"


def llava(folder: Path, like: Path) -> Path:
    """As `llama`, and ``mmproj-model.gguf`` beside it."""
    _Weights(folder / "mmproj-model.gguf", "clip").projector()
    return llama(folder, like)


class _Weights:
    def __init__(self, file: Path, architecture: str) -> None:
        self._writer = GGUFWriter(file, architecture)
        self._draw = np.random.default_rng(0)

    def language_model(self, like: Path, scale: float) -> None:
        writer = self._writer
        writer.add_file_type(int(LlamaFileType.MOSTLY_F16))
        writer.add_context_length(2048)
        writer.add_embedding_length(_WIDTH)
        writer.add_block_count(_LAYERS)
        writer.add_feed_forward_length(_INNER)
        writer.add_head_count(_HEADS)
        writer.add_head_count_kv(_KV_HEADS)
        writer.add_layer_norm_rms_eps(1e-5)
        writer.add_rope_dimension_count(_WIDTH // _HEADS)
        tokens = self._tokenizer(like)
        writer.add_vocab_size(tokens)
        self._drawn("token_embd", tokens, _WIDTH, scale=1.0)
        self._ones("output_norm", _WIDTH)
        kv = _WIDTH * _KV_HEADS // _HEADS
        shapes = {
            "attn_q": (_WIDTH, _WIDTH),
            "attn_k": (kv, _WIDTH),
            "attn_v": (kv, _WIDTH),
            "attn_output": (_WIDTH, _WIDTH),
            "ffn_gate": (_INNER, _WIDTH),
            "ffn_up": (_INNER, _WIDTH),
            "ffn_down": (_WIDTH, _INNER),
        }
        for layer in range(_LAYERS):
            for name, shape in shapes.items():
                self._drawn(f"blk.{layer}.{name}", *shape, scale=scale)
            for name in ("attn_norm", "ffn_norm"):
                self._ones(f"blk.{layer}.{name}", _WIDTH)
        self._write()

    def _tokenizer(self, like: Path) -> int:
        """Copies the tokenizer; returns how many tokens it has."""
        fields = GGUFReader(like).fields
        for name, field in fields.items():
            if name.startswith("tokenizer."):
                if field.types[0] == GGUFValueType.ARRAY:
                    self._writer.add_array(name, field.contents())
                else:
                    self._writer.add_key_value(name, field.contents(), field.types[0])
        return len(fields[_TOKENS].contents())

    def projector(self) -> None:
        writer = self._writer
        writer.add_bool("clip.has_vision_encoder", True)
        writer.add_string("clip.projector_type", "mlp")
        writer.add_bool("clip.use_gelu", True)
        counts = {
            "image_size": IMAGE_SIDE,
            "patch_size": PATCH,
            "embedding_length": _SEEN_WIDTH,
            "feed_forward_length": _SEEN_INNER,
            "projection_dim": _WIDTH,
            "block_count": _SEEN_LAYERS,
            "attention.head_count": _SEEN_HEADS,
        }
        for name, count in counts.items():
            writer.add_uint32(f"clip.vision.{name}", count)
        writer.add_float32("clip.vision.attention.layer_norm_epsilon", 1e-5)
        for name in ("image_mean", "image_std"):
            writer.add_array(f"clip.vision.{name}", [0.5, 0.5, 0.5])
        self._add("v.class_embd", self._random(_SEEN_WIDTH, scale=0.05))
        self._drawn("v.patch_embd", _SEEN_WIDTH, 3, PATCH, PATCH, scale=0.05)
        self._drawn("v.position_embd", TOKENS_OF_AN_IMAGE + 1, _SEEN_WIDTH, scale=0.05)
        self._normal("v.pre_ln")
        square = (_SEEN_WIDTH, _SEEN_WIDTH)
        shapes = dict.fromkeys(("attn_q", "attn_k", "attn_v", "attn_out"), square)
        shapes |= {"ffn_up": (_SEEN_INNER, _SEEN_WIDTH), "ffn_down": (_SEEN_WIDTH, _SEEN_INNER)}
        for layer in range(_SEEN_LAYERS):
            for name, shape in shapes.items():
                self._drawn(f"v.blk.{layer}.{name}", *shape)
                self._zeros(f"v.blk.{layer}.{name}", shape[0])
            for name in ("ln1", "ln2"):
                self._normal(f"v.blk.{layer}.{name}")
        for at, width in ((0, _SEEN_WIDTH), (2, _WIDTH)):
            self._drawn(f"mm.{at}", _WIDTH, width, scale=0.5)
            self._zeros(f"mm.{at}", _WIDTH)
        self._write()

    def _normal(self, name: str) -> None:
        self._ones(name, _SEEN_WIDTH)
        self._zeros(name, _SEEN_WIDTH)

    def _drawn(self, name: str, *shape: int, scale: float = 0.3) -> None:
        values = self._random(*shape, scale=scale)
        self._writer.add_tensor(f"{name}.weight", values.astype(np.float16))

    def _ones(self, name: str, width: int) -> None:
        self._add(f"{name}.weight", np.ones(width, np.float32))

    def _zeros(self, name: str, width: int) -> None:
        self._add(f"{name}.bias", np.zeros(width, np.float32))

    def _random(self, *shape: int, scale: float) -> NDArray[np.float32]:
        return (self._draw.standard_normal(shape) * scale).astype(np.float32)

    def _add(self, name: str, values: NDArray[np.float32]) -> None:
        self._writer.add_tensor(name, values)

    def _write(self) -> None:
        self._writer.write_header_to_file()
        self._writer.write_kv_data_to_file()
        self._writer.write_tensors_to_file()
        self._writer.close()
