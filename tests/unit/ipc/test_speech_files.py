"""Whose the files of a speech model are."""

from __future__ import annotations

import pytest

from ipc.facts.speech_files import engine_of

MOONSHINE = {"encoder_model.ort", "decoder_model_merged.ort", "tokenizer.bin"}
EXPORTED = {"onnx/encoder_model_quantized.onnx", "onnx/decoder_model_merged_quantized.onnx"}


@pytest.mark.parametrize(
    ("names", "config", "engine"),
    [
        (MOONSHINE, {}, "moonshine"),
        (EXPORTED | {"tokenizer.json"}, {"model_type": "moonshine"}, "moonshine"),
        ({"model.safetensors"}, {"model_type": "moonshine"}, ""),
        ({"model.bin", "config.json"}, {}, ""),
        (set(), {}, ""),
    ],
)
def test_the_engine_is_told_by_the_files(
    names: set[str], config: dict[str, str], engine: str
) -> None:
    assert engine_of(names, config) == engine
