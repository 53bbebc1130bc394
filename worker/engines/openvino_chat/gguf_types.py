"""A GGUF file with all weights in forms that OpenVINO GenAI's reader takes as they are."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Kind
from numpy.typing import NDArray

from ipc.facts.gguf import OPENVINO_TENSORS
from worker.engine import LoadError

# It reads Q4_1, too, but rounds the least weight of each block to a whole step of the others, which
# cost SmolLM2-135M a quarter of a nat a token (docs/performance.md).
_EXACT = OPENVINO_TENSORS - {Kind.Q4_1}
# `llama_ftype` of a file that is mostly Q8_0.
_MOSTLY_Q8_0 = 7
# So many weights are in 32 bits at a time: 128 MB.
_WEIGHTS_AT_ONCE = 32 << 20


def is_read(reader: gguf.GGUFReader) -> bool:
    """Whether OpenVINO's reader takes all of its weights as they are."""
    return all(_is_read(tensor) for tensor in reader.tensors)


def write_as_read(reader: gguf.GGUFReader, target: Path) -> None:
    """Write the file into ``target`` with the weights that OpenVINO's reader would not take as they
    are in Q8_0, which has 255 steps for each block of 32 weights.

    One tensor is in memory at a time. Raises `LoadError`.
    """
    writer = gguf.GGUFWriter(target, "")
    writer.kv_data[0].clear()
    writer.data_alignment = reader.alignment
    for name, field in reader.fields.items():
        if not name.startswith("GGUF."):
            writer.add_key_value(name, *_value(name, field))
    for tensor in reader.tensors:
        kind = tensor.tensor_type if _is_read(tensor) else Kind.Q8_0
        _announce(writer, tensor, kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    for tensor in reader.tensors:
        writer.write_tensor_data(tensor.data if _is_read(tensor) else _as_q8_0(tensor))
    writer.close()


def _is_read(tensor: gguf.ReaderTensor) -> bool:
    return tensor.tensor_type in _EXACT


def _value(name: str, field: gguf.ReaderField) -> tuple[Any, Any, Any]:
    kind = field.types[0]
    inner = field.types[-1] if kind == gguf.GGUFValueType.ARRAY else None
    value = _MOSTLY_Q8_0 if name == gguf.Keys.General.FILE_TYPE else field.contents()
    return value, kind, inner


def _announce(writer: gguf.GGUFWriter, tensor: gguf.ReaderTensor, kind: Kind) -> None:
    """The file's header comes before its weights, so it has to know the size of each tensor."""
    shape = [int(size) for size in reversed(tensor.shape)]
    block, block_bytes = gguf.GGML_QUANT_SIZES[kind]
    if shape[-1] % block:
        raise LoadError(
            f"{tensor.name} has rows of {shape[-1]} weights in {tensor.tensor_type.name}, which "
            "OpenVINO cannot be given; set engine: llama.cpp"
        )
    size = int(tensor.n_elements) // block * block_bytes
    writer.add_tensor_info(tensor.name, shape, np.dtype(np.float32), size, raw_dtype=kind)


def _as_q8_0(tensor: gguf.ReaderTensor) -> NDArray[np.uint8]:
    try:
        return np.concatenate([gguf.quantize(part, Kind.Q8_0) for part in _parts(tensor)])
    except NotImplementedError as error:
        raise LoadError(
            f"{tensor.name} is stored as {tensor.tensor_type.name}, which cannot be converted for "
            "OpenVINO; set engine: llama.cpp"
        ) from error


def _parts(tensor: gguf.ReaderTensor) -> Iterator[NDArray[np.float32]]:
    """The rows of ``tensor`` in 32 bits, a few of them at a time."""
    width = int(tensor.shape[0])
    rows = tensor.data.reshape(-1, tensor.data.shape[-1])
    step = max(1, _WEIGHTS_AT_ONCE // width)
    for first in range(0, len(rows), step):
        yield gguf.dequantize(rows[first : first + step], tensor.tensor_type)
