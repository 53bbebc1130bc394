"""Which model the files of a folder are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

from ipc.facts.onnx_asr_files import Export, exports
from worker.engine import LoadError

# Whisper's vocabulary where it knows English alone. onnx-asr writes the prompt of all others.
_ENGLISH_ONLY = 51_864


class Files(NamedTuple):
    folder: Path
    export: Export
    config: dict[str, Any]


def find(path: str) -> Files:
    """The only model in the folder ``path``. Raises `LoadError`."""
    folder = Path(path)
    names = [
        file.relative_to(folder).as_posix()
        for pattern in ("*", "onnx/*")
        for file in folder.glob(pattern)
        if file.is_file()
    ]
    config = _config(folder / "config.json")
    found = exports(names, config)
    if not found:
        raise LoadError(_nothing(folder, names, config))
    if len(found) > 1:
        some = ", ".join(f"{one.kind} in {one.precision}" for one in found)
        raise LoadError(f"{folder} has several models ({some}); keep the files of one")
    _check(found[0], config, folder)
    return Files(folder, found[0], config)


def _config(file: Path) -> dict[str, Any]:
    """Empty where there is none."""
    if not file.is_file():
        return {}
    try:
        found = json.loads(file.read_text("utf-8"))
    except ValueError as error:
        raise LoadError(f"{file} is damaged: {error}; pull the model again") from error
    return found if isinstance(found, dict) else {}


def _nothing(folder: Path, names: list[str], config: dict[str, Any]) -> str:
    if not any(name.endswith(".onnx") for name in names):
        return f"{folder} has no .onnx file; pull the model first"
    kind = config.get("model_type")
    return (
        f"{folder} has no model that onnx-asr reads: its config.json says model_type {kind!r}, "
        f"beside {', '.join(sorted(names)[:8])}; pull the model again, all graphs in one precision "
        "and the vocabulary"
    )


def _check(export: Export, config: dict[str, Any], folder: Path) -> None:
    """Raises `LoadError` for what onnx-asr would load and hear wrongly."""
    if export.kind == "whisper" and config.get("vocab_size") == _ENGLISH_ONLY:
        raise LoadError(
            f"{folder} is a Whisper for English alone, which onnx-asr prompts like the others; "
            "take the one of all languages, or engine: ctranslate2"
        )
    # The version says how sound becomes features.
    version = "v3" if export.kind.startswith("gigaam-v3") else "v2"
    if "gigaam-v" in export.kind and config.get("version", "v2") != version:
        raise LoadError(
            f"{folder}: config.json has to say version {version!r} of {export.kind}; pull it again"
        )
