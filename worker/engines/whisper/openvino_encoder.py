"""Whisper's encoder by OpenVINO, for CPUs, out of the very weights that CTranslate2 reads.

CTranslate2 quantises what enters each of its 8-bit products anew, and has no bfloat16 on CPUs. Two
cores with AMX took 447 ms for a window of whisper-base there, 338 in OpenVINO's float32, 95 in its
bfloat16. The last is nearer to float32 than 8 bits are (off by 2 %, root mean square, to 10 %).
"""

from __future__ import annotations

import queue
import struct
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
import openvino as ov
from openvino import opset13 as ops

from worker.engines.common.openvino_cpu import computed_in, on_cpu
from worker.engines.common.openvino_graph import attention, layer_norm, linear

Weights = dict[str, npt.NDArray[Any]]

# CTranslate2's file format since its version 3.17: `CTranslate2/src/models/model.cc`.
_FORMAT = 6
_DTYPES = ("<f4", "i1", "<i2", "<i4", "<f2")
_LAYER_NORM_EPS = 1e-5


class Encoder:
    """The encoder of the CTranslate2 file ``weights``, compiled for ``at_once`` windows at a
    time on ``threads`` cores, computing in ``precision``: f32, bf16, or auto, which is bf16 on CPUs
    that have it.

    Raises `ValueError` where the file is of another format or its weights are stored in 8 bits.
    """

    def __init__(self, weights: Path, threads: int, at_once: int, precision: str) -> None:
        graph = _graph(read(weights, "encoder/"))
        settings: dict[str, Any] = {
            "NUM_STREAMS": at_once,
            "INFERENCE_PRECISION_HINT": computed_in(precision),
            **on_cpu(threads),
        }
        compiled = ov.Core().compile_model(graph, "CPU", settings)
        self.precision = compiled.get_property("INFERENCE_PRECISION_HINT").to_string()
        self._free: queue.SimpleQueue[Any] = queue.SimpleQueue()
        for _ in range(at_once):
            self._free.put(compiled.create_infer_request())

    def __call__(self, features: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Of log-mel ``features``, shape (mels, frames), the states, shape (1, frames / 2, width).
        May be called by ``at_once`` threads at a time; others wait."""
        request = self._free.get()
        try:
            states: npt.NDArray[np.float32] = request.infer([features[np.newaxis]])[0].copy()
            return states
        finally:
            self._free.put(request)


def read(path: Path, prefix: str) -> Weights:
    """The arrays whose names begin with ``prefix``, mapped from the file, by the rest of them."""
    with path.open("rb") as file:
        (version,) = _unpack(file, "<I")
        if version != _FORMAT:
            raise ValueError(f"{path} has format {version}, not {_FORMAT}")
        _text(file)  # the name of the architecture
        _, count = _unpack(file, "<II")
        weights = dict(_array(file, path) for _ in range(count))
        # Arrays of equal content are stored once, under the name of any one of them.
        (count,) = _unpack(file, "<I")
        aliases = [(_text(file), _text(file)) for _ in range(count)]
    weights |= {alias: weights[name] for alias, name in aliases}
    return {
        name.removeprefix(prefix): array
        for name, array in weights.items()
        if name.startswith(prefix)
    }


def _array(file: BinaryIO, path: Path) -> tuple[str, npt.NDArray[Any]]:
    name = _text(file)
    (rank,) = _unpack(file, "<B")
    *shape, dtype, size_bytes = _unpack(file, f"<{rank}IBI")
    start = file.tell()
    file.seek(size_bytes, 1)
    if dtype >= len(_DTYPES):
        raise ValueError(f"{name} is of type {dtype}, which is not read here")
    # Copied on write, though nobody writes: OpenVINO shares no array that is read-only.
    return name, np.memmap(path, _DTYPES[dtype], "c", start, tuple(shape) or (1,))


def _unpack(file: BinaryIO, layout: str) -> tuple[Any, ...]:
    return struct.unpack(layout, file.read(struct.calcsize(layout)))


def _text(file: BinaryIO) -> str:
    (size_bytes,) = _unpack(file, "<H")
    return file.read(size_bytes).rstrip(b"\0").decode()


def _graph(weights: Weights) -> ov.Model:
    """The encoder of Radford et al. 2022 (Whisper), figure 1: two convolutions, then layers."""
    if any(array.dtype == np.int8 for name, array in weights.items() if name.endswith("weight")):
        raise ValueError("its weights are stored in 8 bits")
    mels = weights["conv1/weight"].shape[1]
    positions = weights["position_encodings/encodings"]
    features = ops.parameter([1, mels, 2 * len(positions)], np.float32, name="features")
    states = ops.gelu(_convolution(weights, "conv1", features, stride=1), "erf")
    states = ops.gelu(_convolution(weights, "conv2", states, stride=2), "erf")
    states = ops.add(ops.transpose(states, [0, 2, 1]), _constant(positions[np.newaxis]))
    heads = int(weights["num_heads"].item())
    for number in range(sum(name.endswith("ffn/linear_0/weight") for name in weights)):
        layer = f"layer_{number}"
        states = ops.add(states, _attention(weights, f"{layer}/self_attention", states, heads))
        states = ops.add(states, _feed_forward(weights, f"{layer}/ffn", states))
    return ov.Model([_normed(weights, "layer_norm", states)], [features], "whisper encoder")


def _attention(weights: Weights, name: str, states: ov.Node, heads: int) -> ov.Node:
    states = _normed(weights, f"{name}/layer_norm", states)
    joint = _linear(weights, f"{name}/linear_0", states)
    width = weights[f"{name}/linear_1/weight"].shape[0]
    # (1, frames, 3 * width) to three of (1, heads, frames, width / heads).
    joint = ops.reshape(joint, [1, -1, 3, heads, width // heads], special_zero=False)
    query, key, value = (
        ops.squeeze(part, [0])
        for part in ops.split(ops.transpose(joint, [2, 0, 3, 1, 4]), 0, 3).outputs()
    )
    return _linear(weights, f"{name}/linear_1", attention(query, key, value))


def _feed_forward(weights: Weights, name: str, states: ov.Node) -> ov.Node:
    states = _normed(weights, f"{name}/layer_norm", states)
    states = ops.gelu(_linear(weights, f"{name}/linear_0", states), "erf")
    return _linear(weights, f"{name}/linear_1", states)


def _convolution(weights: Weights, name: str, signal: ov.Node, stride: int) -> ov.Node:
    filters = _constant(weights[f"{name}/weight"])
    out = ops.convolution(signal, filters, [stride], [1], [1], [1])
    return ops.add(out, _constant(weights[f"{name}/bias"][np.newaxis, :, np.newaxis]))


def _linear(weights: Weights, name: str, states: ov.Node) -> ov.Node:
    weight, bias = (_constant(weights[f"{name}/{part}"]) for part in ("weight", "bias"))
    return linear(states, weight, bias)


def _normed(weights: Weights, name: str, states: ov.Node) -> ov.Node:
    gain, bias = (_constant(weights[f"{name}/{part}"]) for part in ("gamma", "beta"))
    return layer_norm(states, gain, bias, _LAYER_NORM_EPS)


def _constant(array: npt.NDArray[Any]) -> ov.Node:
    """The array as a float32 input, left where it lies."""
    stored = ops.constant(np.ascontiguousarray(array), shared_memory=True)
    node = ops.convert(stored, np.float32)
    # How OpenVINO marks it itself as it reads 16-bit weights from a file: else it would keep all of
    # them in 32 bits, beside the copies in the layout of its products.
    node.get_rt_info()["decompression_0"] = ""
    return node
