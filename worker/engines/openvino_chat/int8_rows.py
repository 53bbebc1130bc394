"""Weights of eight bits that OpenVINO reads of GGUF files in groups, made to have a scale a row.

A scale for every 16 or 32 weights is most of what such a product costs on CPUs; a row of eight bits
loses next to nothing by having one (docs/performance.md has both).
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import openvino as ov
from numpy.typing import NDArray
from openvino import opset13 as ops

Node = Any

_MOST = 127
# So many weights are in 32 bits at a time: 128 MB.
_WEIGHTS_AT_ONCE = 32 << 20


class _Grouped(NamedTuple):
    """A weight of [rows, groups, width] in whole numbers, and a zero and a scale for each group."""

    numbers: Node
    zeros: Node
    scales: Node


def to_int8_rows(model: ov.Model, folder: Path) -> int:
    """Rewrite the weights of ``model``'s products in place; returns how many.

    The new ones lie in files of ``folder``, which must stay until the model is saved: so the system
    may write them out where memory is short.
    """
    count = 0
    for node in model.get_ordered_ops():
        if node.get_type_name() != "MatMul" or not node.get_attributes()["transpose_b"]:
            continue
        weight = node.input(1).get_source_output()
        found = _grouped(weight.get_node())
        if found is not None:
            kind = weight.get_element_type().get_type_name()
            node.input(1).replace_source_output(_by_row(found, kind, folder).output(0))
            count += 1
    model.validate_nodes_and_infer_types()
    return count


def _grouped(weight: Node) -> _Grouped | None:
    """What is in Convert(Reshape(Multiply(Subtract(Convert(u8), Convert(u8)), f16)))."""
    node = weight
    for kind in ("Convert", "Reshape", "Multiply"):
        if node.get_type_name() != kind:
            return None
        node, scales = _source(node, 0), node
    scales = _source(scales, 1)
    if node.get_type_name() != "Subtract":
        return None
    numbers, zeros = (_source(_source(node, port), 0) for port in (0, 1))
    parts = (numbers, zeros, scales)
    if any(part.get_type_name() != "Constant" for part in parts):
        return None
    is_u8 = numbers.get_element_type() == ov.Type.u8 == zeros.get_element_type()
    return _Grouped(*parts) if is_u8 and len(numbers.get_output_shape(0)) == 3 else None


def _by_row(weight: _Grouped, kind: str, folder: Path) -> Node:
    rows, groups, width = weight.numbers.get_output_shape(0)
    numbers = _mapped(folder, rows, groups * width)
    scales = np.empty((rows, 1), dtype=np.float16)
    step = max(1, _WEIGHTS_AT_ONCE // (groups * width))
    for first in range(0, rows, step):
        some = slice(first, first + step)
        numbers[some], scales[some] = _rounded(_values(weight, some))
    unpacked = ops.convert(ov.op.Constant(numbers, shared_memory=True), "f16")
    scaled = ops.multiply(unpacked, ops.constant(scales))
    return ops.convert(scaled, kind)


def _values(weight: _Grouped, some: slice) -> NDArray[np.float32]:
    numbers, zeros, scales = (part.data[some].astype(np.float32) for part in weight)
    values: NDArray[np.float32] = (numbers - zeros) * scales
    return values.reshape(len(values), -1)


def _rounded(values: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float16]]:
    """``values`` as whole numbers, and the scale of each row: numbers * scale is about values."""
    scales = (np.abs(values).max(axis=1, keepdims=True) / _MOST).astype(np.float16)
    by = np.where(scales > 0, scales, 1).astype(np.float32)
    return np.clip(np.rint(values / by), -_MOST, _MOST).astype(np.int8), scales


def _mapped(folder: Path, rows: int, width: int) -> NDArray[np.int8]:
    with tempfile.NamedTemporaryFile(dir=folder, prefix="weights-", delete=False) as file:
        return np.memmap(file, dtype=np.int8, mode="w+", shape=(rows, width))


def _source(node: Node, port: int) -> Node:
    return node.input(port).get_source_output().get_node()
