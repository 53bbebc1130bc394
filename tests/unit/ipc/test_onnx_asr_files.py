"""Which speech models are among some files, as their publishers name them."""

from __future__ import annotations

import pytest

from ipc.facts.onnx_asr_files import Export, exports
from ipc.facts.speech_files import engine_of

TDT = {"model_type": "nemo-conformer-tdt", "features_size": 128, "subsampling_factor": 8}
PARAKEET = {
    "README.md",
    "config.json",
    "decoder_joint-model.int8.onnx",
    "decoder_joint-model.onnx",
    "encoder-model.int8.onnx",
    "encoder-model.onnx",
    "encoder-model.onnx.data",
    "nemo128.onnx",
    "vocab.txt",
}
CANARY = {"encoder-model.int8.onnx", "decoder-model.int8.onnx", "vocab.txt", "config.json"}
GIGAAM = {
    "config.json",
    "v3_ctc.onnx",
    "v3_vocab.txt",
    "v3_e2e_ctc.int8.onnx",
    "v3_e2e_ctc_vocab.txt",
    *(f"v3_e2e_rnnt_{part}.int8.onnx" for part in ("encoder", "decoder", "joint")),
    "v3_e2e_rnnt_vocab.txt",
}
WHISPER = {
    "config.json",
    "vocab.json",
    "added_tokens.json",
    "onnx/encoder_model_quantized.onnx",
    "onnx/decoder_model_merged_quantized.onnx",
    "onnx/decoder_model_quantized.onnx",
}


def kinds(found: list[Export]) -> list[tuple[str, str]]:
    return [(one.kind, one.precision) for one in found]


def test_a_model_is_there_in_each_precision_that_all_its_graphs_have() -> None:
    full, quantised = exports(PARAKEET, TDT)
    assert full == Export(
        "nemo-conformer-tdt",
        "f32",
        (
            *("decoder_joint-model.onnx", "encoder-model.onnx", "encoder-model.onnx.data"),
            *("config.json", "vocab.txt"),
        ),
    )
    assert full.quantization is None
    assert quantised.quantization == "int8"
    assert "encoder-model.onnx.data" not in quantised.files
    assert kinds(exports(PARAKEET - {"decoder_joint-model.onnx"}, TDT)) == [
        ("nemo-conformer-tdt", "int8")
    ]


@pytest.mark.parametrize(
    ("names", "config", "expected"),
    [
        (PARAKEET, {"model_type": "nemo-conformer-rnnt"}, "nemo-conformer-rnnt"),
        (CANARY, {"model_type": "nemo-conformer-aed"}, "nemo-conformer-aed"),
        ({"model.onnx", "vocab.txt"}, {"model_type": "nemo-conformer-ctc"}, "nemo-conformer-ctc"),
        ({"v2_ctc.int8.onnx", "v2_vocab.txt"}, {}, "gigaam-v2-ctc"),
        (
            {"multilingual_large_ctc.onnx", "multilingual_vocab.txt"},
            {},
            "gigaam-multilingual-ctc",
        ),
        (WHISPER, {"model_type": "whisper"}, "whisper"),
        (
            {"whisper-base_beamsearch.int8.onnx", "vocab.json", "added_tokens.json"},
            {},
            "whisper-ort",
        ),
    ],
)
def test_names_and_config_tell_the_kind(
    names: set[str], config: dict[str, str], expected: str
) -> None:
    assert {one.kind for one in exports(names, config)} == {expected}
    assert engine_of(names, config) == "onnx-asr"


def test_several_models_of_one_folder_are_told_apart() -> None:
    assert kinds(exports(GIGAAM, {"version": "v3"})) == [
        ("gigaam-v3-ctc", "f32"),
        ("gigaam-v3-e2e-ctc", "int8"),
        ("gigaam-v3-e2e-rnnt", "int8"),
    ]


@pytest.mark.parametrize(
    ("names", "config"),
    [
        (PARAKEET - {"vocab.txt"}, TDT),
        (PARAKEET, {}),
        ({"model.onnx", "vocab.txt", "config.json"}, {"model_type": "bert"}),
        ({"onnx/model.onnx", "tokenizer.json"}, {"model_type": "parakeet_ctc"}),
        (WHISPER - {"added_tokens.json"}, {"model_type": "whisper"}),
        (set(), {}),
    ],
)
def test_what_lacks_a_part_is_no_model(names: set[str], config: dict[str, str]) -> None:
    assert exports(names, config) == []
    assert engine_of(names, config) == ""
