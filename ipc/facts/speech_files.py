"""Whose the files of a speech model are, where they are no checkpoint of transformers'."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

from ipc.facts.onnx_asr_files import exports

_ENCODER = re.compile(r"(onnx/)?encoder_model\w*\.(ort|onnx)")


def engine_of(names: Collection[str], config: Mapping[str, Any]) -> str:
    """The engine that reads files of these ``names`` beside this config.json, which is empty where
    there is none; empty where the files do not tell."""
    has_graphs = any(_ENCODER.fullmatch(name) for name in names)
    if has_graphs and ("tokenizer.bin" in names or config.get("model_type") == "moonshine"):
        return "moonshine"
    return "onnx-asr" if exports(names, config) else ""
