"""Products of one input become one, and every output stays what it was."""

from __future__ import annotations

import platform
from collections import Counter
from typing import Any

import numpy as np
import pytest

if platform.machine() != "x86_64":
    pytest.skip("the chat engine on OpenVINO is for x86-64", allow_module_level=True)

import openvino as ov
from openvino import opset13 as ops

from worker.engines.openvino_chat.merge import merge_products

WIDTH, GROUP = 64, 32
RNG = np.random.default_rng(1)


def four_bits(*shape: int) -> Any:
    packed = ov.Tensor(ov.Type.u4, ov.Shape(shape))
    packed.data[:] = RNG.integers(0, 256, packed.data.shape, dtype=np.uint8)
    return ov.op.Constant(packed)


def compressed(rows: int) -> Any:
    """A weight of four bits in groups, each with its scale and zero point, as out of a GGUF."""
    groups = WIDTH // GROUP
    quants = ops.convert(four_bits(rows, groups, GROUP), "f16")
    zeros = ops.convert(four_bits(rows, groups, 1), "f16")
    scales = ops.constant(RNG.uniform(0.01, 0.02, (rows, groups, 1)).astype(np.float16))
    grouped = ops.multiply(ops.subtract(quants, zeros), scales)
    return ops.convert(ops.reshape(grouped, [rows, WIDTH], special_zero=False), "f32")


def plain(rows: int) -> Any:
    return ops.constant(RNG.standard_normal((rows, WIDTH)).astype(np.float32))


def model_of(*weights: Any) -> ov.Model:
    """Products of one input with each of the weights, apart as outputs."""
    given = ops.parameter([-1, WIDTH], np.float32)
    products = [ops.matmul(given, weight, False, True) for weight in weights]
    return ov.Model([ops.relu(product) for product in products], [given])


def products(model: ov.Model) -> int:
    return Counter(node.get_type_name() for node in model.get_ops())["MatMul"]


def outputs(model: ov.Model, rows: int) -> list[Any]:
    given = np.random.default_rng(2).standard_normal((rows, WIDTH)).astype(np.float32)
    compiled = ov.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return list(compiled(given).values())


@pytest.mark.parametrize("weight", [compressed, plain])
@pytest.mark.parametrize("rows", [1, 5])
def test_products_of_one_input_become_one_with_the_same_outputs(weight: Any, rows: int) -> None:
    model = model_of(weight(64), weight(32), weight(32))
    before = outputs(model, rows)
    assert merge_products(model) == 2
    assert products(model) == 1
    after = outputs(model, rows)
    for one, other in zip(before, after, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)


def test_weights_that_are_kept_differently_stay_apart() -> None:
    model = model_of(compressed(64), plain(32), compressed(32))
    assert merge_products(model) == 1
    assert products(model) == 2


def test_a_product_of_another_input_stays_apart() -> None:
    first, second = (ops.parameter([-1, WIDTH], np.float32) for _ in range(2))
    both = [ops.matmul(given, plain(32), False, True) for given in (first, second)]
    model = ov.Model(both, [first, second])
    assert merge_products(model) == 0


def test_what_is_computed_is_no_weight() -> None:
    given = ops.parameter([-1, WIDTH], np.float32)
    both = [
        ops.matmul(given, ops.multiply(given, ops.constant(np.float32(x))), False, True)
        for x in (2, 3)
    ]
    assert merge_products(ov.Model(both, [given])) == 0
