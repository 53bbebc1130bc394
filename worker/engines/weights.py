"""Weight files: present, whole, and nothing but tensors."""

from __future__ import annotations

from pathlib import Path

import msgspec
from safetensors import SafetensorError, safe_open

from worker.engine import LoadError

_PICKLED = ("*.bin", "*.pt", "*.pth", "*.ckpt")


class _Index(msgspec.Struct):
    """``model.safetensors.index.json``: which file holds which tensor."""

    weight_map: dict[str, str]


def check_weights(folder: Path) -> None:
    """Look at the safetensors files of ``folder`` without reading the tensors in them.

    Raises `LoadError` naming the file that is missing or damaged, or when all there is are pickled
    weights: those can run code when they are read.
    """
    for file in _weight_files(folder):
        try:
            with safe_open(file, framework="np"):
                continue
        except (SafetensorError, OSError) as error:
            raise LoadError(
                f"{file} is missing or damaged: {error}; fetch the model again"
            ) from error


def _weight_files(folder: Path) -> list[Path]:
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
