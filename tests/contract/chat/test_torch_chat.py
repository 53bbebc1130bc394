"""What the torch chat engine promises beyond the contract: transformers' own answers, batched."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer

from ipc.messages.errors import ContextTooLong, OutOfMemory
from ipc.messages.events import ChatResult
from ipc.messages.jobs import Job
from tests.contract.chat.torch_chats import Reference, loaded, random_chat, refusal, spec
from tests.contract.checkpoints import tiny
from tests.contract.driver import Driver, chat
from worker.engines.torch_chat.engine import TorchChat
from worker.engines.torch_chat.language_model import LanguageModel


@pytest.fixture(scope="module", params=[tiny.llama, tiny.qwen3, tiny.mistral])
def checkpoint(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    build: Callable[[Path], Path] = request.param
    return build(tmp_path_factory.mktemp(build.__name__))


@pytest.fixture(scope="module")
def reference(checkpoint: Path) -> Reference:
    return Reference(checkpoint)


@pytest.fixture
def tiny_driver(checkpoint: Path) -> Iterator[Driver]:
    engine = loaded(checkpoint)
    yield Driver(engine)
    engine.close()


@pytest.fixture
def llama(tmp_path: Path) -> Path:
    return tiny.llama(tmp_path / "llama")


def test_a_greedy_answer_is_that_of_generate(tiny_driver: Driver, reference: Reference) -> None:
    one = chat("count from one to twenty", max_tokens=60)
    tiny_driver.run(one)
    assert tiny_driver.text(one) == reference.text(one)


def test_answers_stay_those_of_generate_while_others_come_and_go(
    tiny_driver: Driver, reference: Reference
) -> None:
    draw = random.Random(4)
    waiting = [random_chat(draw) for _ in range(24)]
    dropped = {one.id for one in draw.sample(waiting, 6)}
    jobs = list(waiting)
    while waiting or tiny_driver.engine.wait_s() is not None:
        while waiting and tiny_driver.engine.admit(waiting[0]):
            waiting.pop(0)
        tiny_driver.turn()
        for one in jobs:
            if one.id in dropped and draw.random() < 0.1 and one not in waiting:
                tiny_driver.engine.drop(one.id)
    whole = [one for one in jobs if tiny_driver.ended(one)]
    assert len(whole) >= len(jobs) - len(dropped)
    for one in whole:
        assert tiny_driver.text(one) == reference.text(one)


@pytest.mark.parametrize("options", [{"repetition_penalty": 1.5}, {"min_tokens": 60}])
def test_penalties_and_least_lengths_are_those_of_generate(
    tiny_driver: Driver, reference: Reference, options: dict[str, float]
) -> None:
    one = chat("count from one to twenty", max_tokens=60, **options)
    tiny_driver.run(one)
    assert tiny_driver.text(one) == reference.text(one)


def test_a_long_prompt_does_not_hold_up_the_others(llama: Path) -> None:
    driver = Driver(loaded(llama))
    running, long, short = chat("sea", max_tokens=60), chat("fox " * 300), chat("moon")
    driver.admit(running)
    driver.turn()
    driver.admit(long, short)
    driver.until(lambda: bool(driver.of(short)))
    assert not driver.of(long)
    before = sum(delta.tokens for delta in driver.deltas(running))
    driver.turn()
    assert sum(delta.tokens for delta in driver.deltas(running)) == before + 1


def test_an_end_token_ends_the_answer_and_is_not_shown(llama: Path, tmp_path: Path) -> None:
    one = chat("tell me about the moon", max_tokens=40)
    tokens = Reference(llama).tokens(one)
    end = tokens.index(tokens[9])
    ending = tiny.llama(tmp_path / "ending", eos=(tokens[end],))
    driver = Driver(loaded(ending))
    driver.run(one)
    result = driver.result(one)
    assert isinstance(result, ChatResult)
    assert result.finish == "stop"
    assert result.usage.completion_tokens == end + 1
    assert driver.text(one) == AutoTokenizer.from_pretrained(ending).decode(tokens[:end])


def test_the_context_bounds_prompt_and_answer_together(llama: Path) -> None:
    driver = Driver(loaded(llama))
    one = chat("fox sea " * 90, max_tokens=10_000)
    driver.run(one)
    result = driver.result(one)
    assert isinstance(result, ChatResult)
    assert result.finish == "length"
    total = result.usage.prompt_tokens + result.usage.completion_tokens
    assert total == tiny.CONTEXT_TOKENS
    error = driver.refused(chat("fox sea " * 600))
    assert isinstance(error, ContextTooLong)
    assert str(tiny.CONTEXT_TOKENS) in error.message


def test_a_late_system_turn_is_read_first_where_the_template_refuses_it(llama: Path) -> None:
    driver = Driver(loaded(llama))
    late, first = chat("hello", ("system", "be brief")), chat(("system", "be brief"), "hello")
    driver.run(late, first)
    assert driver.text(late) == driver.text(first)


def test_a_seeded_answer_does_not_depend_on_its_company(llama: Path) -> None:
    driver = Driver(loaded(llama))

    def seeded() -> Job:
        return chat("sea", max_tokens=30, temperature=0.9, top_p=0.95, seed=11)

    alone, together = seeded(), seeded()
    driver.run(alone)
    driver.run(*(chat("fox " * at, max_tokens=9, temperature=1.0) for at in (1, 9)), together)
    assert driver.text(together) == driver.text(alone)


@pytest.mark.parametrize("penalty", ["presence_penalty", "frequency_penalty"])
def test_penalties_make_repetition_rarer(llama: Path, penalty: str) -> None:
    driver = Driver(loaded(llama))
    plain = chat("sea", max_tokens=200)
    varied = chat("sea", max_tokens=200, **{penalty: 2.0})
    driver.run(plain, varied)
    tokenizer = AutoTokenizer.from_pretrained(llama)
    kinds = [len(set(tokenizer.encode(driver.text(one)))) for one in (plain, varied)]
    assert kinds[1] > kinds[0]


def no_memory(*_: object) -> torch.Tensor:
    raise torch.OutOfMemoryError("CUDA out of memory")


def test_memory_that_runs_out_in_a_prompt_costs_that_job(
    llama: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver = Driver(loaded(llama))
    with monkeypatch.context() as full:
        full.setattr(LanguageModel, "logits", no_memory)
        assert isinstance(driver.refused(chat("sea")), OutOfMemory)
    driver.run(chat("sea"))


def test_memory_that_runs_out_in_the_batch_costs_the_newest_job(
    llama: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver = Driver(loaded(llama))
    older, newest = chat("sea", max_tokens=20), chat("fox", max_tokens=20)
    driver.admit(older, newest)
    driver.until(lambda: bool(driver.of(newest)))
    with monkeypatch.context() as full:
        full.setattr(LanguageModel, "logits", no_memory)
        driver.turn()
    driver.finish(older, newest)
    with pytest.raises(OutOfMemory):
        driver.result(newest)
    assert driver.text(older) == Reference(llama).text(older)


def test_a_device_that_is_broken_for_good_ends_the_worker(
    llama: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> torch.Tensor:
        raise torch.AcceleratorError("CUDA error: an illegal memory access was encountered")

    driver = Driver(loaded(llama))
    monkeypatch.setattr(LanguageModel, "logits", broken)
    # No refusal of a job: the loop fails all of them, and the process ends.
    with pytest.raises(torch.AcceleratorError):
        driver.run(chat("sea"))


def test_a_damaged_weight_file_is_named(llama: Path) -> None:
    tiny.truncate(llama / "model.safetensors")
    error = refusal(llama)
    assert error.permanent
    assert "model.safetensors" in error.reason


def test_missing_weights_are_named(llama: Path) -> None:
    (llama / "model.safetensors").unlink()
    assert "model.safetensors" in refusal(llama).reason


def test_weights_that_lack_a_tensor_are_refused(llama: Path) -> None:
    tensors = load_file(llama / "model.safetensors")
    del tensors["model.layers.1.mlp.up_proj.weight"]
    save_file(tensors, llama / "model.safetensors", {"format": "pt"})
    assert "model.layers.1.mlp.up_proj.weight" in refusal(llama).reason


def test_pickled_weights_are_refused(llama: Path) -> None:
    (llama / "model.safetensors").rename(llama / "pytorch_model.bin")
    error = refusal(llama)
    assert error.permanent
    assert "pickled" in error.reason


def test_code_in_a_checkpoint_is_never_run(llama: Path, tmp_path: Path) -> None:
    marker = tmp_path / "was-here"
    tiny.add_remote_code(llama, marker)
    assert "never run" in refusal(llama).reason
    assert not marker.exists()


def test_a_damaged_gguf_file_is_named(tmp_path: Path) -> None:
    file = tmp_path / "model.gguf"
    file.write_bytes(b"GGUF" + bytes(20))
    error = refusal(file)
    assert error.permanent
    assert "model.gguf" in error.reason


def test_a_model_without_a_chat_template_is_refused(llama: Path) -> None:
    (llama / "chat_template.jinja").unlink()
    assert "chat template" in refusal(llama).reason


def test_a_model_with_recurrent_state_is_refused(tmp_path: Path) -> None:
    error = refusal(tiny.mamba(tmp_path))
    assert error.permanent
    assert "mamba" in error.reason


def test_an_absent_gpu_is_an_error_that_may_pass(llama: Path) -> None:
    device = f"cuda:{torch.cuda.device_count()}"
    error = refusal(llama, device=device)
    assert not error.permanent
    assert device in error.reason


@pytest.mark.parametrize("device", ["gpu", "meta", "cpu:x"])
def test_a_device_that_does_not_exist_is_refused(llama: Path, device: str) -> None:
    assert refusal(llama, device=device).permanent


def test_a_dtype_can_be_chosen(llama: Path) -> None:
    told = TorchChat().load(spec(llama, options={"dtype": "bfloat16"}), lambda _: None)
    assert "bfloat16" in told.detail
    assert "float32" in TorchChat().load(spec(llama), lambda _: None).detail
    assert "float128" in refusal(llama, options={"dtype": "float128"}).reason
