"""The smallest language model that OpenVINO GenAI runs: for what its pipelines do beside models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import openvino
from openvino import opset13 as ops

_DIM = 16  # of its one head; the CPU plugin takes no fewer


def write_small_model(folder: Path, tokens: int) -> None:
    """Write into ``folder`` a model of one layer whose logits, of so many ``tokens``, are zeros."""
    ids, mask, positions = (
        _input(name, [-1, -1], np.int64) for name in ("input_ids", "attention_mask", "position_ids")
    )
    beams = _input("beam_idx", [-1], np.int32)
    hidden = ops.add(
        ops.gather(_zeros(1, _DIM), ops.multiply(ids, _whole(0)), _whole(0)),
        ops.unsqueeze(ops.convert(ops.multiply(positions, _whole(0)), np.float32), _whole(2)),
    )
    query, key, value = (_head(hidden) for _ in range(3))
    rows = ops.gather(ops.shape_of(ids), _whole([0]), _whole(0))
    keys, kept_keys = _with_past("past_key_values.0.keypresent.0.key", key, rows, beams)
    values, kept_values = _with_past("past_key_values.0.valuepresent.0.key", value, rows, beams)
    seen = ops.unsqueeze(ops.convert(mask, np.float32), _whole([1, 2]))
    attended = ops.scaled_dot_product_attention(query, keys, values, seen, causal=False)
    joined = ops.reshape(ops.transpose(attended, _whole([0, 2, 1, 3])), _whole([0, 0, _DIM]), True)
    logits = ops.multiply(ops.matmul(joined, _zeros(1, _DIM), False, True), _zeros(1, 1, tokens))
    logits.output(0).get_tensor().set_names({"logits"})
    made = openvino.Model(
        [ops.result(logits)], [kept_keys, kept_values], [ids, mask, positions, beams], "small"
    )
    openvino.save_model(made, folder / "openvino_model.xml", compress_to_fp16=False)


def _input(name: str, shape: list[int], kind: Any) -> Any:
    made = ops.parameter(shape, kind, name=name)
    made.output(0).get_tensor().set_names({name})
    return made


def _zeros(*shape: int) -> Any:
    return ops.constant(np.zeros(shape, dtype=np.float32))


def _whole(numbers: int | list[int]) -> Any:
    return ops.constant(np.array(numbers, dtype=np.int64))


def _head(hidden: Any) -> Any:
    made = ops.matmul(hidden, _zeros(_DIM, _DIM), False, True)
    return ops.transpose(ops.reshape(made, _whole([0, 0, 1, _DIM]), True), _whole([0, 2, 1, 3]))


def _with_past(name: str, new: Any, rows: Any, beams: Any) -> tuple[Any, Any]:
    """What is kept under ``name`` and ``new``; and the operation that keeps both."""
    shape = ops.concat([rows, _whole([1, 0, _DIM])], 0)
    none = ops.broadcast(ops.constant(np.float32(0)), shape)
    past = ops.read_value(none, name, np.float32, openvino.PartialShape([-1, 1, -1, _DIM]))
    both = ops.concat([ops.gather(past, beams, _whole(0)), new], 2)
    return both, ops.assign(both, name)
