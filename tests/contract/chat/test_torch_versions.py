"""The torch engines on another torch than the pinned one, and on a GPU that is too small."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from transformers import LlamaConfig

from tests.contract.chat.torch_chats import loaded
from tests.contract.checkpoints import tiny
from tests.contract.driver import Driver, chat
from worker.engine import LoadError
from worker.engines.torch_chat.load import check_cache, config_token_bytes

# What an older torch lacks is not found; everything else is imported as it is.
WITHOUT = """
import sys, torch.nn.functional as functional
sys.modules["torch.nn.attention.varlen"] = None
for name in ("scaled_mm", "ScalingType", "SwizzleType"):
    delattr(functional, name)
import worker.engines.torch_chat.engine
from worker.engines.torch_chat import flash, fp8
import torch
assert flash.varlen_attn is None
print(fp8.obstacle(None, {}, torch.bfloat16, torch.device("cpu")))
"""


def test_a_kernel_with_other_arguments_is_as_good_as_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def other(*_: Any, **named: Any) -> None:
        raise TypeError(f"varlen_attn() got an unexpected keyword argument {next(iter(named))!r}")

    monkeypatch.setattr("worker.engines.torch_chat.flash.varlen_attn", other)
    engine = loaded(tiny.llama(tmp_path))
    driver, one = Driver(engine), chat("hello", max_tokens=4)
    driver.run(one)
    assert driver.text(one)
    engine.close()


def test_what_an_older_torch_lacks_keeps_no_chat_from_loading() -> None:
    argv = [sys.executable, "-c", WITHOUT]
    ended = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert "has no product of scaled blocks" in ended.stdout


CONFIG = LlamaConfig(
    num_hidden_layers=32, num_attention_heads=32, num_key_value_heads=8, head_dim=128
)


def test_keys_and_values_of_a_token_are_known_from_the_config() -> None:
    # Llama 3.1 8B: two tensors of 32 layers, 8 heads and 128 numbers, 2 bytes each.
    assert config_token_bytes(CONFIG, torch.bfloat16) == 2 * 32 * 8 * 128 * 2


@pytest.mark.parametrize(("tokens", "fits"), [(0, True), (65_536, True), (65_537, False)])
def test_a_cache_larger_than_the_gpu_is_refused_for_good_before_weights_are_read(
    tokens: int, fits: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def properties(_: torch.device) -> SimpleNamespace:
        return SimpleNamespace(total_memory=8 << 30)

    monkeypatch.setattr(torch.cuda, "get_device_properties", properties)
    if fits:
        check_cache(tokens, CONFIG, torch.bfloat16, torch.device("cuda", 0))
        return
    with pytest.raises(LoadError, match=r"asks for 8\.0 GiB, and cuda:0 has 8\.0 GiB") as caught:
        check_cache(tokens, CONFIG, torch.bfloat16, torch.device("cuda", 0))
    assert caught.value.permanent
