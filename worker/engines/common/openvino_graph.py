"""The parts of a transformer as nodes of OpenVINO; how weights become nodes is the caller's."""

from __future__ import annotations

import openvino as ov
from openvino import opset13 as ops


def linear(states: ov.Node, weight: ov.Node, bias: ov.Node | None = None) -> ov.Node:
    """``states @ weight.T + bias``."""
    product = ops.matmul(states, weight, False, True)
    return product if bias is None else ops.add(product, bias)


def layer_norm(states: ov.Node, gain: ov.Node, bias: ov.Node, eps: float) -> ov.Node:
    scaled = ops.mvn(states, [-1], True, eps, "inside_sqrt")
    return ops.add(ops.multiply(scaled, gain), bias)


def attention(query: ov.Node, key: ov.Node, value: ov.Node, mask: ov.Node | None = None) -> ov.Node:
    """From three of [batch, heads, tokens, width / heads] to [batch, tokens, width]. ``mask`` is
    added to the scores."""
    mixed = ops.scaled_dot_product_attention(query, key, value, mask)
    return ops.reshape(ops.transpose(mixed, [0, 2, 1, 3]), [0, 0, -1], special_zero=True)
