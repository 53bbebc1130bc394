"""`edge-serve bench gpu`, with a model small enough for any machine."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from tests.bench.gpu import main

TINY = "--device cpu --shape tiny --rounds 1 --new-tokens 8 --prompt-tokens 12 --read-tokens 40"


def test_it_measures_the_engine_beside_the_bounds_and_generate(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "report.json"
    assert main([*TINY.split(), "--batches", "1", "3", "--json", str(file)]) == 0
    report = json.loads(file.read_text())
    assert [row["batch"] for row in report["decode"]] == [1, 3]
    for row in report["decode"]:
        assert 0 < row["tokens_s"] < row["bound_tokens_s"]
        assert row["ratio"] == pytest.approx(row["tokens_s"] / row["generate_tokens_s"])
    assert 0 < report["prefill"]["share"] < 1
    # 3 layers of 2 heads with 16 numbers for keys and as many for values, in float32.
    assert report["kv_kb_token"] == pytest.approx(3 * 2 * 2 * 16 * 4 / 1000)
    assert "| at once | tokens/s |" in capsys.readouterr().out


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_it_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert "no GPU here" in err


def test_a_device_that_is_not_there_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    device = f"cuda:{torch.cuda.device_count()}"
    assert main([*TINY.split(), "--device", device]) == 1
    assert device in capsys.readouterr().err
