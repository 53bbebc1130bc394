"""What a model will take of memory, before it was ever loaded here. Pure.

Weights as the engine keeps them, a cache of keys and values for the tokens that the worker makes
room for, and the process itself. `supervisor.residency` takes it with a margin; once the model has
been loaded, what was measured counts. tests/unit/supervisor/discovery/test_estimate.py holds it
against the figures of configs/model_config.yaml.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from ipc.kv_budget import kv_cache_tokens, longest_tokens
from ipc.messages.jobs import Task
from ipc.messages.spec import Spec

_MB = 1 << 20
# The process with its libraries, measured at rest.
_PROCESS_MB = {"torch": 500, "openvino": 200, "llama.cpp": 150, "ctranslate2": 450, "onnx-asr": 300}
# Of an embedding model or a reranker, with its texts in work.
_ENCODER_MB = 240
# For the encoder of Whisper in float32 beside CTranslate2's own, see docs/models.md.
_WHISPER_FACTOR = 3.75
# Graphs of ONNX with their weights in the layout of their products.
_ONNX_FACTOR = 1.5
# Of a Whisper in ONNX: the process, and for each head of its encoder the attention of half a minute
# to itself, in each window that is heard at once (whisper-tiny, docs/performance.md).
_ONNX_WHISPER_MB, _WINDOW_MB_A_HEAD = 130, 74
# From here on an entry has the encoder computed by CTranslate2, which takes less.
LARGE_WHISPER_BYTES = 1000 * _MB
_LARGE_WHISPER_FACTOR = 0.55


class Shape(NamedTuple):
    """What the cache of keys and values depends on; 0 where nobody knows. ``window_heads`` are
    those of Whisper's encoder."""

    layers: int = 0
    kv_heads: int = 0
    head_size: int = 0
    context_tokens: int = 0
    window_heads: int = 0

    def bytes_of_a_token(self, bytes_of_a_number: int) -> int:
        return 2 * self.layers * self.kv_heads * self.head_size * bytes_of_a_number


def shape_of_config(config: Mapping[str, Any]) -> Shape:
    """From a config.json of transformers."""
    text = config.get("text_config")
    config = text if isinstance(text, dict) else config
    heads = _number(config, "num_attention_heads")
    return Shape(
        layers=_number(config, "num_hidden_layers"),
        kv_heads=_number(config, "num_key_value_heads") or heads,
        head_size=_number(config, "head_dim")
        or (_number(config, "hidden_size") // heads if heads else 0),
        context_tokens=_number(config, "max_position_embeddings"),
        window_heads=_number(config, "encoder_attention_heads"),
    )


def shape_of_gguf(facts: Mapping[str, Any]) -> Shape:
    """From the metadata of a GGUF file."""
    kind = facts.get("general.architecture", "")
    heads = _number(facts, f"{kind}.attention.head_count")
    return Shape(
        layers=_number(facts, f"{kind}.block_count"),
        kv_heads=_number(facts, f"{kind}.attention.head_count_kv") or heads,
        head_size=_number(facts, f"{kind}.attention.key_length")
        or (_number(facts, f"{kind}.embedding_length") // heads if heads else 0),
        context_tokens=_number(facts, f"{kind}.context_length"),
    )


def memory_mb(
    task: Task, engine: str, device: str, weights_bytes: int, shape: Shape, spec: Spec
) -> int:
    """What one worker takes. ``weights_bytes`` are those of the files, in 16 bits a number where
    they are a checkpoint; ``spec`` has the limits that the cache follows."""
    process_mb = _PROCESS_MB.get(engine, _PROCESS_MB["torch"])
    if engine == "onnx-asr":
        weights_mb = _mb(weights_bytes * _ONNX_FACTOR)
        if not shape.window_heads:
            return process_mb + weights_mb
        windows = min(spec.threads or spec.slots, spec.slots)
        return _ONNX_WHISPER_MB + weights_mb + windows * shape.window_heads * _WINDOW_MB_A_HEAD
    if task == "speech":
        large = weights_bytes >= LARGE_WHISPER_BYTES
        factor = _LARGE_WHISPER_FACTOR if large else _WHISPER_FACTOR
        return process_mb + _mb(weights_bytes * factor)
    if task != "chat":
        # Computed in float32 on a CPU.
        return _ENCODER_MB + _mb(weights_bytes * (1 if device == "cuda" else 2))
    # torch computes in float32 on a CPU, and so are its keys and values there.
    wide = 2 if engine == "torch" and device == "cpu" else 1
    cache = _cache_tokens(spec, shape) * shape.bytes_of_a_token(2 * wide)
    return process_mb + _mb(weights_bytes * wide) + _mb(cache)


def _cache_tokens(spec: Spec, shape: Shape) -> int:
    longest = longest_tokens(spec, shape.context_tokens or None)
    wanted = spec.options.get("kv_cache_tokens", 0)
    return kv_cache_tokens(spec, longest, wanted if isinstance(wanted, int) else 0)


def _mb(size: float) -> int:
    return math.ceil(size / _MB)


def _number(facts: Mapping[str, Any], key: str) -> int:
    found = facts.get(key)
    return found if isinstance(found, int) else 0
