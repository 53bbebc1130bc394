"""Which model a folder has, and what is said where it has none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from worker.engine import LoadError
from worker.engines.onnx_asr import files

TDT = ("encoder-model.int8.onnx", "decoder_joint-model.int8.onnx", "vocab.txt")


def folder(path: Path, *names: str, **config: Any) -> str:
    for name in names:
        (path / name).parent.mkdir(exist_ok=True)
        (path / name).touch()
    if config:
        (path / "config.json").write_text(json.dumps(config))
    return str(path)


def test_the_only_model_is_found(tmp_path: Path) -> None:
    found = files.find(folder(tmp_path, *TDT, model_type="nemo-conformer-tdt"))
    assert (found.export.kind, found.export.precision) == ("nemo-conformer-tdt", "int8")
    graphs = ("onnx/encoder_model_q4.onnx", "onnx/decoder_model_merged_q4.onnx")
    other = tmp_path / "whisper"
    other.mkdir()
    found = files.find(
        folder(other, *graphs, "vocab.json", "added_tokens.json", model_type="whisper")
    )
    assert found.export.quantization == "q4"


@pytest.mark.parametrize(
    ("names", "config", "message"),
    [
        ((), {}, "has no .onnx file; pull the model first"),
        (TDT, {}, "says model_type None, beside decoder_joint-model.int8.onnx"),
        (TDT[:2], {"model_type": "nemo-conformer-tdt"}, "and the vocabulary"),
        (
            (*TDT, "encoder-model.onnx", "decoder_joint-model.onnx"),
            {"model_type": "nemo-conformer-tdt"},
            r"several models .*; keep the files of one",
        ),
        (
            ("v3_ctc.onnx", "v3_vocab.txt"),
            {"version": "v2"},
            "has to say version 'v3' of gigaam-v3-ctc",
        ),
        (("v3_ctc.onnx", "v3_vocab.txt"), {}, "has to say version 'v3'"),
    ],
)
def test_what_is_no_model_is_said(
    tmp_path: Path, names: tuple[str, ...], config: dict[str, Any], message: str
) -> None:
    with pytest.raises(LoadError, match=message) as failed:
        files.find(folder(tmp_path, *names, **config))
    assert failed.value.permanent


def test_a_config_that_is_no_json_is_damaged(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(LoadError, match=r"config.json is damaged"):
        files.find(folder(tmp_path, *TDT))
