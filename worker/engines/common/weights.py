"""Weight files: present, whole, and nothing but tensors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from worker.engine import LoadError

Array = NDArray[np.float32]

_PICKLED = ("*.bin", "*.pt", "*.pth", "*.ckpt")


# Those of safetensors' types that weights have; numpy has no bfloat16.
_DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "I64": "<i8", "I32": "<i4"}


class _Index(msgspec.Struct):
    """``model.safetensors.index.json``: which file holds which tensor."""

    weight_map: dict[str, str]


class _Tensor(msgspec.Struct):
    dtype: str
    shape: tuple[int, ...]
    data_offsets: tuple[int, int]


def check_weights(folder: Path) -> None:
    """Look at the safetensors files of ``folder`` without reading the tensors in them.

    Raises `LoadError` naming the file that is missing or damaged, or when all there is are pickled
    weights: those can run code when they are read.
    """
    for file in weight_files(folder):
        try:
            with safe_open(file, framework="np"):
                continue
        except (SafetensorError, OSError) as error:
            raise LoadError(
                f"{file} is missing or damaged: {error}; fetch the model again"
            ) from error


def read_weights(folder: Path) -> dict[str, Array]:
    """The tensors of ``folder`` by name in float32, mapped from files that `check_weights` has
    passed where they are stored so. Raises `LoadError` for types that weights do not have."""
    found = {}
    for file in weight_files(folder):
        found.update(_read_file(file))
    return found


def _read_file(file: Path) -> dict[str, Array]:
    """The format is <https://github.com/huggingface/safetensors#format>."""
    content = np.memmap(file, np.uint8, "r")
    begin = 8 + int.from_bytes(content[:8].tobytes(), "little")
    header = msgspec.json.decode(content[8:begin].tobytes(), type=dict[str, Any])
    header.pop("__metadata__", None)
    tensors = msgspec.convert(header, dict[str, _Tensor])
    return {name: _array(name, tensor, content[begin:]) for name, tensor in tensors.items()}


def _array(name: str, tensor: _Tensor, content: NDArray[np.uint8]) -> Array:
    if tensor.dtype not in _DTYPES:
        raise LoadError(f"the tensor {name} is of type {tensor.dtype}, which is not served")
    first, last = tensor.data_offsets
    stored = content[first:last].view(_DTYPES[tensor.dtype]).reshape(tensor.shape)
    if tensor.dtype == "BF16":  # the upper half of a float32
        return (stored.astype(np.uint32) << 16).view(np.float32)
    return stored.astype(np.float32, copy=False)


def weight_files(folder: Path) -> list[Path]:
    index = folder / "model.safetensors.index.json"
    single = folder / "model.safetensors"
    if index.is_file():
        try:
            names = set(msgspec.json.decode(index.read_bytes(), type=_Index).weight_map.values())
        except (OSError, ValueError) as error:
            raise LoadError(f"{index} is damaged: {error}; fetch the model again") from error
        return [folder / name for name in sorted(names)]
    if not single.is_file() and any(file for kind in _PICKLED for file in folder.glob(kind)):
        raise LoadError(
            f"{folder} has only pickled weights, which can run code when they are read; "
            "convert them to safetensors"
        )
    return [single]
