"""BERT, RoBERTa and XLM-R as graphs of OpenVINO, straight out of their safetensors: no torch."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import openvino as ov
from openvino import opset13 as ops

from worker.engine import LoadError
from worker.engines.common.checkpoint import read_json
from worker.engines.common.openvino_graph import attention, layer_norm, linear
from worker.engines.common.weights import Array, read_weights
from worker.engines.encoders.cross import CrossEncoder
from worker.engines.encoders.sentence import Checkpoint, Dense

# Model types of transformers, by how they count positions.
_FROM_NOUGHT = {"bert"}
_FROM_PADDING = {"roberta", "xlm-roberta", "camembert"}
_ACTIVATIONS: dict[str, Callable[[ov.Node], ov.Node]] = {
    "gelu": lambda states: ops.gelu(states, "erf"),
    "gelu_new": lambda states: ops.gelu(states, "tanh"),
    "identity": lambda states: states,
    "relu": ops.relu,
    "sigmoid": ops.sigmoid,
    "silu": ops.swish,
    "tanh": ops.tanh,
}
# What torch has in place of a count of nothing and of a length of nothing.
_MIN_COUNT = np.float32(1e-9)
_MIN_LENGTH = np.float32(1e-12)
_LOWEST = np.finfo(np.float32).min


class _Config(msgspec.Struct):
    """``config.json``, with the defaults of transformers."""

    model_type: str = ""
    num_attention_heads: int = 12
    num_hidden_layers: int = 12
    hidden_act: str = "gelu"
    layer_norm_eps: float = 1e-12
    pad_token_id: int | None = 1  # of the second family
    position_embedding_type: str | None = None
    is_decoder: bool = False


def builds(folder: Path) -> bool:
    """Whether the transformer in ``folder`` is one of these, by its ``config.json``."""
    config = read_json(folder / "config.json", _Config)
    return (
        config.model_type in _FROM_NOUGHT | _FROM_PADDING
        and config.position_embedding_type in ("absolute", None)
        and config.hidden_act in _ACTIVATIONS
        and not config.is_decoder
    )


def sentence_graph(checkpoint: Checkpoint) -> ov.Model:
    """From token ids and attention mask, [texts, tokens], padded on the right, to vectors, [texts,
    dimensions]. Raises `LoadError` where a tensor is missing."""
    model = _Encoder(checkpoint.transformer)
    ids, mask = _tokens("input_ids"), _tokens("attention_mask")
    states = model.states(ids, mask)
    pooled = [_pool(states, mask, mode) for mode in checkpoint.pooling]
    vectors = ops.concat(pooled, 1) if len(pooled) > 1 else pooled[0]
    for layer in checkpoint.layers:
        vectors = _dense(layer, vectors) if isinstance(layer, Dense) else _unit_length(vectors)
    return ov.Model([vectors], [ids, mask], "sentence encoder")


def pair_graph(checkpoint: CrossEncoder) -> ov.Model:
    """From token ids, attention mask and, where the model has them, segments, each [pairs, tokens],
    to logits, [pairs]. Raises `LoadError` where a tensor is missing."""
    model = _Encoder(checkpoint.folder)
    inputs = [_tokens("input_ids"), _tokens("attention_mask")]
    if checkpoint.segments:
        inputs.append(_tokens("token_type_ids"))
    first = _first(model.states(*inputs))
    logits = ops.squeeze(model.score(first), [1])
    return ov.Model([logits], inputs, "cross-encoder")


class _Encoder:
    """The transformer in ``folder``: the parts of a graph, each with its own weights."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._config = read_json(folder / "config.json", _Config)
        self._weights = {_newest(name): array for name, array in read_weights(folder).items()}

    def states(self, ids: ov.Node, mask: ov.Node, segments: ov.Node | None = None) -> ov.Node:
        """What the last layer says of each token, [texts, tokens, width]."""
        states = self._embedded(ids, segments)
        masked = _masked(mask)
        activation = _ACTIVATIONS[self._config.hidden_act]
        for number in range(self._config.num_hidden_layers):
            layer = f"encoder.layer.{number}"
            mixed = self._attention(f"{layer}.attention", states, masked)
            states = self._normed(f"{layer}.attention.output.LayerNorm", ops.add(states, mixed))
            inner = activation(self._linear(f"{layer}.intermediate.dense", states))
            inner = self._linear(f"{layer}.output.dense", inner)
            states = self._normed(f"{layer}.output.LayerNorm", ops.add(states, inner))
        return states

    def score(self, first: ov.Node) -> ov.Node:
        """The logit of a pair, [pairs, 1], from the states of its first token."""
        if self._config.model_type in _FROM_NOUGHT:
            inner, outer = "pooler.dense", "classifier"
        else:
            inner, outer = "classifier.dense", "classifier.out_proj"
        return self._linear(outer, ops.tanh(self._linear(inner, first)))

    def _embedded(self, ids: ov.Node, segments: ov.Node | None) -> ov.Node:
        words = ops.gather(_constant(self._weight("embeddings.word_embeddings.weight")), ids, 0)
        places = self._weight("embeddings.position_embeddings.weight")
        kinds = self._weight("embeddings.token_type_embeddings.weight")
        if segments is None:
            places = places + kinds[0]
        states = ops.add(words, self._placed(_constant(places), ids))
        if segments is not None:
            states = ops.add(states, ops.gather(_constant(kinds), segments, 0))
        return self._normed("embeddings.LayerNorm", states)

    def _placed(self, places: ov.Node, ids: ov.Node) -> ov.Node:
        """The row of ``places`` for each token."""
        if self._config.model_type in _FROM_NOUGHT:
            count = ops.gather(ops.shape_of(ids), [1], 0)
            return ops.slice(places, [0], count, [1], [0])
        # Counted from the padding token's id on, which is where padding stays.
        padding = np.int64(self._config.pad_token_id or 0)
        real = ops.convert(ops.not_equal(ids, padding), np.int64)
        at = ops.add(ops.multiply(ops.cum_sum(real, np.int64(1)), real), padding)
        return ops.gather(places, at, 0)

    def _attention(self, name: str, states: ov.Node, masked: ov.Node) -> ov.Node:
        query, key, value = (
            self._heads(f"{name}.self.{part}", states) for part in ("query", "key", "value")
        )
        mixed = attention(query, key, value, masked)
        return self._linear(f"{name}.output.dense", mixed)

    def _heads(self, name: str, states: ov.Node) -> ov.Node:
        """A projection of the states, [texts, heads, tokens, width / heads]."""
        heads = self._config.num_attention_heads
        each = len(self._weight(f"{name}.bias")) // heads
        split = ops.reshape(self._linear(name, states), [0, 0, heads, each], special_zero=True)
        return ops.transpose(split, [0, 2, 1, 3])

    def _linear(self, name: str, states: ov.Node) -> ov.Node:
        return linear(states, *self._weight_and_bias(name))

    def _normed(self, name: str, states: ov.Node) -> ov.Node:
        return layer_norm(states, *self._weight_and_bias(name), self._config.layer_norm_eps)

    def _weight_and_bias(self, name: str) -> tuple[ov.Node, ov.Node]:
        return _constant(self._weight(f"{name}.weight")), _constant(self._weight(f"{name}.bias"))

    def _weight(self, name: str) -> Array:
        if name not in self._weights:
            raise LoadError(f"{self._folder} lacks the tensor {name}; fetch the model again")
        return self._weights[name]


def _newest(name: str) -> str:
    """A tensor's name as it is today in a model without a head."""
    for family in ("bert.", "roberta."):
        name = name.removeprefix(family)
    for old, new in (("gamma", "weight"), ("beta", "bias")):
        name = name.replace(f"LayerNorm.{old}", f"LayerNorm.{new}")
    return name


def _tokens(name: str) -> ov.Node:
    parameter = ops.parameter([-1, -1], np.int64, name=name)
    parameter.output(0).set_names({name})
    return parameter


def _masked(mask: ov.Node) -> ov.Node:
    """What is added to the scores of each token, [texts, 1, 1, tokens]: nothing, or so little that
    it does not count."""
    absent = ops.subtract(np.float32(1), ops.convert(mask, np.float32))
    return ops.unsqueeze(ops.multiply(absent, _LOWEST), [1, 2])


def _pool(states: ov.Node, mask: ov.Node, mode: str) -> ov.Node:
    """One vector for each text; the modes are those of sentence-transformers' ``Pooling``."""
    if mode == "cls":
        return _first(states)
    keep = ops.unsqueeze(ops.convert(mask, np.float32), [2])
    if mode == "max":
        return ops.reduce_max(ops.select(ops.equal(keep, np.float32(0)), _LOWEST, states), [1])
    if mode == "lasttoken":
        last = ops.subtract(ops.reduce_sum(mask, [1]), np.int64(1))
        return ops.gather(states, last, 1, 1)
    if mode == "weightedmean":
        keep = ops.multiply(keep, ops.cum_sum(keep, np.int64(1)))
    total = ops.reduce_sum(ops.multiply(states, keep), [1])
    count = ops.maximum(ops.reduce_sum(keep, [1]), _MIN_COUNT)
    return ops.divide(total, ops.sqrt(count) if mode == "mean_sqrt_len_tokens" else count)


def _first(states: ov.Node) -> ov.Node:
    return ops.gather(states, np.int64(0), 1)


def _unit_length(vectors: ov.Node) -> ov.Node:
    length = ops.maximum(ops.reduce_l2(vectors, [1], True), _MIN_LENGTH)
    return ops.divide(vectors, length)


def _dense(layer: Dense, vectors: ov.Node) -> ov.Node:
    weights = {
        name.removeprefix("linear."): array for name, array in read_weights(layer.folder).items()
    }
    shapes: dict[str, tuple[int, ...]] = {"weight": (layer.out_features, layer.in_features)}
    if layer.bias:
        shapes["bias"] = (layer.out_features,)
    if {name: array.shape for name, array in weights.items()} != shapes:
        raise LoadError(f"{layer.folder} does not hold the layer that it describes")
    activation = _ACTIVATIONS.get(layer.activation.lower())
    if activation is None:
        raise LoadError(f"{layer.folder} asks for the activation {layer.activation}, not served")
    bias = _constant(weights["bias"]) if layer.bias else None
    return activation(linear(vectors, _constant(weights["weight"]), bias))


def _constant(array: Array) -> ov.Node:
    return ops.constant(np.ascontiguousarray(array))
