"""Matrix products of one input as a single product: query, key and value; gate and up.

Each product has a price besides its arithmetic, which narrow models pay two hundred times a token.
The rows of a weight know nothing of each other, so the outputs stay the same.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence
from typing import Any

import numpy as np
import openvino as ov
from openvino import opset13 as ops

Node = Any


def merge_products(model: ov.Model) -> int:
    """Rewrite ``model`` in place; returns how many products fewer it has."""
    fewer = 0
    for products in _siblings(model.get_ordered_ops()):
        _merge(products)
        fewer += len(products) - 1
    model.validate_nodes_and_infer_types()
    return fewer


def _siblings(nodes: Iterable[Node]) -> list[list[Node]]:
    """Products of one input whose weights differ in nothing but how many rows they have."""
    groups: defaultdict[Hashable, list[Node]] = defaultdict(list)
    for node in nodes:
        if node.get_type_name() == "MatMul" and _is_linear(node):
            form = _form(_source(node, 1))
            if form is not None:
                groups[_output(node, 0), form].append(node)
    return [group for group in groups.values() if len(group) > 1]


def _is_linear(product: Node) -> bool:
    """Whether it is ``input @ weight.T``."""
    attributes = product.get_attributes()
    return bool(attributes["transpose_b"]) and not attributes["transpose_a"]


def _form(weight: Node) -> Hashable | None:
    """All of a weight but its rows: how it is unpacked, the types and the width of its constants.
    None where that cannot be stacked."""
    kind = weight.get_type_name()
    if kind == "Constant":
        shape, bits = weight.get_output_shape(0), weight.get_element_type().bitwidth
        stackable = len(shape) > 1 and not np.prod(shape) * bits % 8
        return (weight.get_element_type().get_type_name(), *shape[1:]) if stackable else None
    if kind in ("Convert", "Reshape"):
        below = _form(_source(weight, 0))
        shape = tuple(weight.get_output_shape(0)[1:])
        return below and (kind, weight.get_element_type().get_type_name(), shape, below)
    if kind in ("Subtract", "Multiply"):
        left, right = _form(_source(weight, 0)), _form(_source(weight, 1))
        return left and right and (kind, left, right)
    return None


def _merge(products: Sequence[Node]) -> None:
    weights = [_source(product, 1) for product in products]
    rows = [weight.get_output_shape(0)[0] for weight in weights]
    given = products[0].input(0).get_source_output()
    whole = ops.matmul(given, _stacked(weights), transpose_a=False, transpose_b=True)
    parts = ops.variadic_split(whole, axis=-1, split_lengths=rows)
    for product, part in zip(products, parts.outputs(), strict=True):
        for reader in product.output(0).get_target_inputs():
            reader.replace_source_output(part)


def _stacked(weights: Sequence[Node]) -> Node:
    """One weight with the rows of all, unpacked as they are."""
    first = weights[0]
    match first.get_type_name():
        case "Constant":
            return _stacked_constants(weights)
        case "Convert":
            inner = _stacked([_source(weight, 0) for weight in weights])
            return ops.convert(inner, first.get_element_type().get_type_name())
        case "Reshape":
            inner = _stacked([_source(weight, 0) for weight in weights])
            return ops.reshape(inner, [-1, *first.get_output_shape(0)[1:]], special_zero=False)
        case kind:
            left = _stacked([_source(weight, 0) for weight in weights])
            right = _stacked([_source(weight, 1) for weight in weights])
            return (ops.subtract if kind == "Subtract" else ops.multiply)(left, right)


def _stacked_constants(constants: Sequence[Node]) -> Node:
    """By their bytes: numpy has no numbers of four bits."""
    rows = sum(constant.get_output_shape(0)[0] for constant in constants)
    shape = ov.Shape([rows, *constants[0].get_output_shape(0)[1:]])
    stacked = ov.Tensor(constants[0].get_element_type(), shape)
    stacked.data.reshape(-1).view(np.uint8)[:] = np.concatenate(
        [constant.data.reshape(-1).view(np.uint8) for constant in constants]
    )
    return ov.op.Constant(stacked)


def _source(node: Node, port: int) -> Node:
    return node.input(port).get_source_output().get_node()


def _output(node: Node, port: int) -> tuple[str, int]:
    """What names the output that a node reads there."""
    source = node.input(port).get_source_output()
    return source.get_node().get_name(), source.get_index()
