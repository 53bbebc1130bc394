"""Which of the files of a folder are Kokoro's, as they are published in two layouts.

`onnx-community/Kokoro-82M-v1.0-ONNX`: ``onnx/model*.onnx``, one of several precisions, a file of
raw numbers for each voice in ``voices/``, and ``tokenizer.json``. The package kokoro-onnx:
``kokoro-v1.0*.onnx`` beside ``voices-v1.0.bin``, an archive of all voices.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from worker.engine import LoadError

# Of each count of phonemes that a model can say at once, the style with which it says them.
Style = npt.NDArray[np.float32]
STYLES, STYLE_SIZE = 510, 256


class Files(NamedTuple):
    """``model`` is the graph; ``root`` the folder that also has the voices."""

    model: Path
    root: Path


def find(path: str) -> Files:
    """The files at ``path``: the graph itself, or the folder that has one. Raises `LoadError`."""
    given = Path(path)
    if given.is_file():
        folder = given.parent
        return Files(given, folder.parent if folder.name == "onnx" else folder)
    found = sorted([*given.glob("*.onnx"), *given.glob("onnx/*.onnx")])
    if not found:
        raise LoadError(f"{given} has no .onnx file of Kokoro's; pull the model first")
    if len(found) > 1:
        names = ", ".join(str(file.relative_to(given)) for file in found)
        raise LoadError(f"{given} has several models; set path to one of {names}")
    return Files(found[0], given)


def voices(root: Path) -> dict[str, Style]:
    """The styles of each voice by its name, each `STYLES` x 1 x `STYLE_SIZE`. Raises `LoadError`"""
    archive = next(iter(sorted(root.glob("voices*.bin")) + sorted(root.glob("voices*.npz"))), None)
    found = _archived(archive) if archive else _separate(root / "voices")
    styles: dict[str, Style] = {}
    for name, style in found:
        if style.size != STYLES * STYLE_SIZE:
            raise LoadError(
                f"voice {name} in {root} has {style.size} numbers where Kokoro's have "
                f"{STYLES} x {STYLE_SIZE}; pull the model again"
            )
        styles[name] = style.reshape(STYLES, 1, STYLE_SIZE).astype(np.float32, copy=False)
    if not styles:
        raise LoadError(f"{root} has no voices: neither voices/*.bin nor voices*.bin")
    return styles


def vocabulary(root: Path) -> dict[str, int] | None:
    """The number of each phoneme, as the files have it; None: they say nothing of it.

    Raises `LoadError`.
    """
    for name, keys in (("tokenizer.json", ("model", "vocab")), ("config.json", ("vocab",))):
        file = root / name
        if not file.is_file():
            continue
        try:
            found: Any = json.loads(file.read_text("utf-8"))
        except ValueError as error:
            raise LoadError(f"{file} is damaged; pull the model again") from error
        for key in keys:
            found = found.get(key) if isinstance(found, dict) else None
        if isinstance(found, dict):
            return found
    return None


def _separate(folder: Path) -> Iterator[tuple[str, Style]]:
    for file in sorted(folder.glob("*.bin")):
        if file.stat().st_size % 4:
            raise LoadError(f"{file} is damaged; pull the model again")
        yield file.stem, np.fromfile(file, np.float32)


def _archived(file: Path) -> Iterator[tuple[str, Style]]:
    try:
        with np.load(file, allow_pickle=False) as archive:
            yield from ((name, archive[name]) for name in sorted(archive.files))
    except (OSError, ValueError) as error:
        raise LoadError(f"{file} cannot be read: {error}; pull the model again") from error
