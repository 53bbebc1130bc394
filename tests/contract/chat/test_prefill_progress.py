"""The engines that know how far a long prompt is read say so, and before the answer begins."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from ipc.messages.events import ChatResult, Prefilled
from ipc.messages.spec import Spec
from tests.contract.checkpoints import tiny
from tests.contract.driver import Driver, chat
from tests.contract.subjects import DEVICE, SMOLLM2, real_model
from worker.engines import make

# Some thousand tokens, and so several batches of each engine.
WORDS = 2100
CONTEXT_TOKENS = 8192


def llama_cpp(folder: Path) -> Spec:
    path = real_model(SMOLLM2, "SmolLM2-135M-Instruct.Q4_1.gguf")
    return Spec(name="m", task="chat", engine="llama.cpp", path=str(path), cache=str(folder))


def torch(folder: Path) -> Spec:
    path = tiny.llama(folder)
    config = json.loads((path / "config.json").read_text())
    config["max_position_embeddings"] = CONTEXT_TOKENS
    (path / "config.json").write_text(json.dumps(config))
    return Spec(name="m", task="chat", engine="torch", path=str(path), device=DEVICE)


@pytest.mark.parametrize("spec_of", [torch, llama_cpp])
def test_a_long_prompt_is_told_of_while_it_is_read(
    spec_of: Callable[[Path], Spec], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.prefill.PERIOD_S", 0.0)  # however fast this computer is
    spec = spec_of(tmp_path)
    engine = make(spec)
    engine.load(spec, lambda _: None)
    driver = Driver(engine)
    asked = chat("fox sea moon " * (WORDS // 3), max_tokens=2)
    driver.run(asked)
    result = driver.result(asked)
    engine.close()
    assert isinstance(result, ChatResult)
    told = [event for event in driver.of(asked) if isinstance(event, Prefilled)]
    assert told, "a prompt of several batches is told of"
    assert driver.of(asked)[: len(told)] == told
    check(told, result.usage.prompt_tokens)


def check(told: list[Prefilled], prompt_tokens: int) -> None:
    counts = [event.read_tokens for event in told]
    assert counts == sorted(set(counts))
    assert counts[0] > 0
    assert counts[-1] < prompt_tokens
    assert {event.prompt_tokens for event in told} == {prompt_tokens}
    assert all(event.left_s > 0 for event in told)
