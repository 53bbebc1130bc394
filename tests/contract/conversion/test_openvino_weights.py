"""Weights of a GGUF file on their way to OpenVINO: read in every form, and kept in quick ones."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any

import numpy as np
import pytest

if platform.machine() != "x86_64":
    pytest.skip("the chat engine on OpenVINO is for x86-64", allow_module_level=True)

import gguf
import openvino as ov
from gguf import GGMLQuantizationType as Kind
from openvino import opset13 as ops

from ipc.facts.gguf import OPENVINO_TENSORS, read_facts, read_header
from worker.engines.openvino_chat.gguf_types import is_read, write_as_read
from worker.engines.openvino_chat.int8_rows import to_int8_rows
from worker.engines.openvino_chat.load import _bring
from worker.engines.openvino_chat.quality import Quality

RNG = np.random.default_rng(1)
WEIGHTS = RNG.standard_normal((6, 512)).astype(np.float32)


def gguf_file(path: Path, kind: Kind) -> gguf.GGUFReader:
    """One tensor of that kind and one of 32 bits, with a vocabulary of two."""
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_file_type(int(gguf.LlamaFileType.MOSTLY_Q5_0))
    writer.add_context_length(77)
    writer.add_token_list(["a", "b"])
    writer.add_bool("llama.flag", True)
    writer.add_tensor("blk.0.attn_q.weight", gguf.quantize(WEIGHTS, kind), raw_dtype=kind)
    writer.add_tensor("output_norm.weight", WEIGHTS[0])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return gguf.GGUFReader(path)


@pytest.mark.parametrize("kind", [Kind.Q4_1, Kind.Q5_0, Kind.Q5_1])
def test_weights_that_the_reader_lacks_are_rewritten(tmp_path: Path, kind: Kind) -> None:
    source = gguf_file(tmp_path / "source.gguf", kind)
    assert not is_read(source)
    write_as_read(source, tmp_path / "made.gguf")
    header = read_header(tmp_path / "made.gguf")
    assert header.tensor_types <= OPENVINO_TENSORS
    assert (header.architecture, header.context_tokens) == ("llama", 77)
    facts = read_facts(tmp_path / "made.gguf", {"tokenizer.ggml.tokens"})
    assert facts["tokenizer.ggml.tokens"] == ["a", "b"]
    assert facts["llama.flag"] is True

    before, after = source.tensors, gguf.GGUFReader(tmp_path / "made.gguf").tensors
    assert [one.name for one in before] == [one.name for one in after]
    first, second = (
        gguf.dequantize(one[0].data, one[0].tensor_type).astype(np.float64)
        for one in (before, after)
    )
    assert np.abs(first - second).max() <= np.abs(first).max() / 127 / 2 * 1.01
    np.testing.assert_array_equal(before[1].data, after[1].data)


def test_a_file_in_known_forms_is_read_as_it_is(tmp_path: Path) -> None:
    assert is_read(gguf_file(tmp_path / "source.gguf", Kind.Q8_0))


def eight_bits(rows: int, groups: int, width: int) -> Any:
    """A weight as the reader makes it of Q8_0 (groups of 32) and Q6_K (of 16)."""
    numbers = RNG.integers(0, 256, (rows, groups, width), dtype=np.uint8)
    zeros = np.full((rows, groups, 1), 128, dtype=np.uint8)
    scales = ops.constant(RNG.uniform(0.01, 0.02, (rows, groups, 1)).astype(np.float16))
    shifted = ops.subtract(ops.convert(numbers, "f16"), ops.convert(zeros, "f16"))
    flat = ops.reshape(ops.multiply(shifted, scales), [rows, -1], special_zero=False)
    return ops.convert(flat, "f32")


def model_of(weight: Any) -> ov.Model:
    given = ops.parameter([-1, 64], np.float32)
    return ov.Model([ops.matmul(given, weight, False, True)], [given])


def output(model: ov.Model) -> Any:
    given = np.random.default_rng(2).standard_normal((3, 64)).astype(np.float32)
    exact = {"INFERENCE_PRECISION_HINT": "f32", "DYNAMIC_QUANTIZATION_GROUP_SIZE": 0}
    return ov.Core().compile_model(model, "CPU", exact)(given)[0]


@pytest.mark.parametrize("width", [16, 32])
def test_groups_of_eight_bits_become_rows(tmp_path: Path, width: int) -> None:
    model = model_of(eight_bits(24, 64 // width, width))
    before = output(model)
    assert to_int8_rows(model, tmp_path) == 1
    kinds = {node.get_element_type() for node in model.get_ops() if node.get_output_size()}
    assert ov.Type.i8 in kinds
    assert ov.Type.u8 not in kinds
    assert np.abs(output(model) - before).max() < 0.01 * np.abs(before).max()
    ov.save_model(model, tmp_path / "saved.xml", compress_to_fp16=False)
    kept = ov.Core().read_model(tmp_path / "saved.xml")
    np.testing.assert_allclose(output(kept), output(model), rtol=1e-5, atol=1e-5)


def test_other_weights_stay_as_they_are(tmp_path: Path) -> None:
    model = model_of(ops.constant(RNG.standard_normal((8, 64)).astype(np.float32)))
    assert to_int8_rows(model, tmp_path) == 0
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("found", "is_used"),
    [
        (Quality(tokens=200, source_nats=3.49, converted_nats=3.50, agreement=0.95), True),
        (Quality(tokens=200, source_nats=3.49, converted_nats=3.40, agreement=0.95), True),
        (Quality(tokens=200, source_nats=3.49, converted_nats=3.62, agreement=0.95), False),
        (Quality(tokens=200, source_nats=3.49, converted_nats=3.50, agreement=0.60), False),
        (Quality(unchecked="llama.cpp cannot be imported"), True),
    ],
)
def test_a_conversion_that_loses_too_much_is_refused(found: Quality, is_used: bool) -> None:
    assert (not found.fault) is is_used


@pytest.mark.parametrize("may_write", [True, False])
def test_only_a_file_that_may_not_be_written_is_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, may_write: bool
) -> None:
    """The library opens it for writing too. The tests may be root's, who may write everything."""
    monkeypatch.setattr(os, "access", lambda _path, _mode: may_write)
    source, place = tmp_path / "source.gguf", tmp_path / "model.gguf"
    source.write_bytes(b"weights")
    _bring(source, place)
    assert place.is_symlink() is may_write
    assert place.read_bytes() == b"weights"
