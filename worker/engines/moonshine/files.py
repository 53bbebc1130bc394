"""Which of the files of a folder are Moonshine's, as they are published in two layouts.

The package moonshine-voice: ``encoder_model.ort``, ``decoder_model_merged.ort`` and
``tokenizer.bin``. `onnx-community/moonshine-*-ONNX`: ``encoder_model.onnx`` and
``decoder_model_merged.onnx`` in ``onnx/``, both of one precision (``_quantized`` and others behind
their names), and ``tokenizer.json``.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from worker.engine import LoadError

_ENCODER, _DECODER = "encoder_model", "decoder_model_merged"


class Files(NamedTuple):
    """The two graphs, and what the tokens of the second mean."""

    encoder: Path
    decoder: Path
    tokens: Path


def find(path: str) -> Files:
    """The files at ``path``, a folder. Raises `LoadError`."""
    folder = Path(path)
    encoder, decoder = (_graph(folder, name) for name in (_ENCODER, _DECODER))
    precisions = [
        file.stem.removeprefix(name) for file, name in ((encoder, _ENCODER), (decoder, _DECODER))
    ]
    if precisions[0] != precisions[1]:
        raise LoadError(f"{folder} has {encoder.name} and {decoder.name}, of different precisions")
    for name in ("tokenizer.bin", "tokenizer.json"):
        if (folder / name).is_file():
            return Files(encoder, decoder, folder / name)
    raise LoadError(f"{folder} has neither tokenizer.bin nor tokenizer.json; pull the model again")


def _graph(folder: Path, name: str) -> Path:
    found = sorted(
        file
        for ending in ("ort", "onnx")
        for place in ("", "onnx/")
        for file in folder.glob(f"{place}{name}*.{ending}")
    )
    if not found:
        raise LoadError(f"{folder} has no {name}.ort or {name}.onnx; pull the model first")
    if len(found) > 1:
        names = ", ".join(str(file.relative_to(folder)) for file in found)
        raise LoadError(f"{folder} has several models ({names}); keep one precision of each")
    return found[0]
