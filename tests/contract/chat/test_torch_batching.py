"""How the torch chat engine batches: what is shared, copied, padded and run ahead changes nothing.

Each test runs twice: as on a CPU, where the host knows every sequence, and as on CUDA, where steps
take all from the device and the host is one behind; there a reference stands for the kernel.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import wait
from pathlib import Path
from typing import Any

import pytest
import torch
from torch._dynamo.utils import counters
from transformers import AutoTokenizer

from ipc.messages.errors import OutOfMemory
from ipc.messages.events import ChatResult
from ipc.messages.jobs import Job
from tests.contract.chat import varlen
from tests.contract.chat.torch_chats import Reference, loaded, random_chat, refusal
from tests.contract.checkpoints import tiny, tiny_vision
from tests.contract.driver import Driver, Role, chat
from tests.contract.subjects import SLOTS
from tests.contract.vision import torch_images
from tests.contract.vision.torch_images import BLUE, RED, ImageReference, ask
from worker.engines.torch_chat.engine import TorchChat
from worker.engines.torch_chat.language_model import LanguageModel

SYSTEM: tuple[Role, str] = (
    "system",
    "the quick brown fox jumps over the lazy dog while seven wizards mix a potion " * 8,
)


@pytest.fixture(params=["host", "device"], autouse=True)
def knowing(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Who knows the sequences of a step."""
    if request.param == "device":
        monkeypatch.setattr("worker.engines.torch_chat.flash.varlen_attn", varlen.reference)
    return str(request.param)


@pytest.fixture(scope="module", params=[tiny.llama, tiny.qwen3, tiny.mistral])
def checkpoint(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    build: Callable[[Path], Path] = request.param
    return build(tmp_path_factory.mktemp(build.__name__))


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.llama(tmp_path_factory.mktemp("llama"))


@pytest.fixture
def driver(llama: Path) -> Iterator[Driver]:
    engine = loaded(llama)
    yield Driver(engine)
    engine.close()


@pytest.fixture
def tokens_run(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many tokens each forward has had."""
    counts: list[int] = []
    logits = LanguageModel.logits

    def counted(self: LanguageModel, ids: torch.Tensor, *others: Any) -> torch.Tensor:
        counts.append(len(ids))
        return logits(self, ids, *others)

    monkeypatch.setattr(LanguageModel, "logits", counted)
    return counts


def usage(driver: Driver, one: Job) -> tuple[int, int]:
    result = driver.result(one)
    assert isinstance(result, ChatResult)
    return result.usage.prompt_tokens, result.usage.completion_tokens


def test_the_way_of_knowing_is_the_one_under_test(driver: Driver, knowing: str) -> None:
    assert isinstance(driver.engine, TorchChat)
    assert bool(driver.engine._torch._runtime.graphs) == (knowing == "device")


def test_one_answer_may_take_the_room_of_several(
    llama: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory is for prompts of the usual length; one may be as long as the cache."""
    monkeypatch.setattr("ipc.kv_budget.USUAL_PROMPT_TOKENS", 40)
    engine, reference = loaded(llama, max_new_tokens=12), Reference(llama)
    assert engine._torch._runtime.segments.capacity <= 2 * SLOTS * (40 + 12)
    jobs = [chat(f"{at} {'fox ' * many}", max_tokens=12) for at, many in enumerate((2, 60, 5, 90))]
    driver = Driver(engine)
    driver.run(*jobs)
    assert [driver.text(one) for one in jobs] == [reference.text(one) for one in jobs]
    assert usage(driver, jobs[3])[0] > 40 + 12
    engine.close()


def test_ragged_answers_that_come_and_go_are_those_of_generate(checkpoint: Path) -> None:
    driver, reference = Driver(loaded(checkpoint)), Reference(checkpoint)
    draw = random.Random(8)
    waiting = [random_chat(draw) for _ in range(16)]
    jobs = list(waiting)
    while waiting or driver.engine.wait_s() is not None:
        while waiting and driver.engine.admit(waiting[0]):
            waiting.pop(0)
        driver.turn()
    for one in jobs:
        assert driver.text(one) == reference.text(one)
        assert usage(driver, one)[1] == len(reference.tokens(one))


def test_a_prompt_that_begins_like_another_is_read_from_there_and_answered_the_same(
    checkpoint: Path, tokens_run: list[int]
) -> None:
    driver, reference = Driver(loaded(checkpoint)), Reference(checkpoint)
    first, second = chat(SYSTEM, "count from one to twenty"), chat(SYSTEM, "tell a story")
    driver.run(first)
    tokens_run.clear()
    driver.run(second)
    prompt, written = usage(driver, second)
    assert sum(tokens_run) < prompt // 2 + 2 * written
    assert [driver.text(one) for one in (first, second)] == [
        reference.text(one) for one in (first, second)
    ]


def test_a_conversation_that_goes_on_is_not_read_again(
    driver: Driver, llama: Path, tokens_run: list[int]
) -> None:
    question = "count from one to twenty and tell a story about the sea"
    first = chat(question, max_tokens=10)
    driver.run(first)
    second = chat(question, ("assistant", driver.text(first)), "and now?", max_tokens=1)
    tokens_run.clear()
    driver.run(second)
    assert sum(tokens_run) <= usage(driver, second)[0] - usage(driver, first)[0]
    assert driver.text(second) == Reference(llama).text(second)


def test_prompts_that_arrive_together_share_what_they_begin_with(
    driver: Driver, llama: Path, tokens_run: list[int]
) -> None:
    jobs = [chat(SYSTEM, f"name {at}", max_tokens=1) for at in range(SLOTS)]
    driver.run(*jobs)
    assert sum(tokens_run) < 2 * usage(driver, jobs[0])[0]
    reference = Reference(llama)
    assert [driver.text(one) for one in jobs] == [reference.text(one) for one in jobs]


def test_prefix_caching_can_be_switched_off(llama: Path, tokens_run: list[int]) -> None:
    driver = Driver(loaded(llama, options={"prefix_caching": False}))
    one, again = chat(SYSTEM, "sea", max_tokens=1), chat(SYSTEM, "sea", max_tokens=1)
    driver.run(one)
    tokens_run.clear()
    driver.run(again)
    assert sum(tokens_run) >= usage(driver, again)[0]


@pytest.mark.parametrize("step_tokens", [1, 7, 1000])
def test_a_prompt_read_in_any_pieces_is_answered_the_same(
    checkpoint: Path, step_tokens: int
) -> None:
    driver = Driver(loaded(checkpoint, options={"prefill_tokens": step_tokens}))
    one, other = chat(SYSTEM, "sea", max_tokens=12), chat("fox " * 20, max_tokens=12)
    driver.run(one, other)
    reference = Reference(checkpoint)
    assert [driver.text(each) for each in (one, other)] == [
        reference.text(each) for each in (one, other)
    ]


def test_short_prompts_are_read_together(llama: Path, tokens_run: list[int]) -> None:
    driver = Driver(loaded(llama, options={"prefill_tokens": 1000}))
    assert isinstance(driver.engine, TorchChat)
    jobs = [chat(word, max_tokens=1) for word in ("sea", "fox", "moon")]
    driver.admit(*jobs)
    wait([*driver.engine._tokenizer._begun.values()], timeout=60)
    tokens_run.clear()
    driver.finish(*jobs)
    assert tokens_run == [sum(usage(driver, one)[0] for one in jobs)]


@pytest.mark.parametrize("max_tokens", [1, 2, 9])
def test_no_more_tokens_are_counted_than_asked_for(driver: Driver, max_tokens: int) -> None:
    jobs = [chat("sea", max_tokens=max_tokens), chat("fox", max_tokens=max_tokens + 1)]
    driver.run(*jobs)
    assert [usage(driver, one)[1] for one in jobs] == [max_tokens, max_tokens + 1]


def test_an_end_token_ends_the_answer_though_the_next_has_begun(
    llama: Path, tmp_path: Path
) -> None:
    one, other = chat("tell me about the moon", max_tokens=40), chat("sea", max_tokens=40)
    reference = Reference(llama)
    tokens = reference.tokens(one)
    end = tokens.index(tokens[9])
    assert tokens[end] not in reference.tokens(other)
    driver = Driver(loaded(tiny.llama(tmp_path, eos=(tokens[end],))))
    again = chat("tell me about the moon", max_tokens=40)
    driver.run(one, other)
    driver.run(again)
    assert usage(driver, one)[1] == usage(driver, again)[1] == end + 1
    text = AutoTokenizer.from_pretrained(llama).decode(tokens[:end])
    assert driver.text(one) == driver.text(again) == text
    assert driver.text(other) == reference.text(other)


def test_a_seed_repeats_its_answer_in_any_company(driver: Driver) -> None:
    def seeded(seed: int) -> Job:
        return chat("sea", max_tokens=30, temperature=0.9, top_p=0.95, seed=seed)

    alone, together, other = seeded(11), seeded(11), seeded(12)
    driver.run(alone)
    company = [
        chat("fox " * 9, max_tokens=9, temperature=1.0),
        chat("moon", max_tokens=20, frequency_penalty=1.0),
    ]
    driver.run(*company, together, other)
    assert driver.text(together) == driver.text(alone) != driver.text(other)


def penalised(reference: Reference, one: Job, presence: float, frequency: float) -> str:
    """The greedy answer under penalties, one whole forward for each token."""
    turns = [{"role": "user", "content": one.input.messages[0].content}]  # type: ignore[union-attr]
    prompt = reference.tokenizer.apply_chat_template(
        turns, add_generation_prompt=True, return_dict=True
    ).input_ids
    written: list[int] = []
    while len(written) < one.input.sampling.max_tokens:  # type: ignore[union-attr]
        with torch.inference_mode():
            logits = reference.model(torch.tensor([[*prompt, *written]])).logits[0, -1]
        logits = logits.clone()
        for token in set(written):
            logits[token] -= presence + frequency * written.count(token)
        written.append(int(logits.argmax()))
    text: str = reference.tokenizer.decode(written, skip_special_tokens=True)
    return text


def test_penalties_are_those_of_the_reference(driver: Driver, llama: Path) -> None:
    reference = Reference(llama)
    asked = [(1.5, 0.0), (0.0, 0.7), (0.5, 0.3), (0.0, 0.0)]
    jobs = [
        chat("sea", max_tokens=25 + 5 * at, presence_penalty=presence, frequency_penalty=frequency)
        for at, (presence, frequency) in enumerate(asked)
    ]
    driver.run(*jobs)
    for one, penalties in zip(jobs, asked, strict=True):
        assert driver.text(one) == penalised(reference, one, *penalties)


def test_jobs_wait_for_room_among_the_keys_and_values(llama: Path) -> None:
    driver = Driver(loaded(llama, options={"kv_cache_tokens": 130}))
    jobs = [chat(word, max_tokens=40) for word in ("sea", "fox", "moon", "dog")]
    driver.run(*jobs)
    reference = Reference(llama)
    assert [driver.text(one) for one in jobs] == [reference.text(one) for one in jobs]
    assert driver.terminals(jobs[0])[0] in driver.events
    ends = [driver.events.index(driver.terminals(one)[0]) for one in jobs]
    assert ends == sorted(ends)


def test_what_is_dropped_while_the_device_works_leaves_the_others_as_they_are(
    driver: Driver, llama: Path
) -> None:
    gone, stays = chat("sea", max_tokens=40), chat("fox", max_tokens=40)
    driver.admit(gone, stays)
    driver.until(lambda: bool(driver.deltas(gone)) and bool(driver.deltas(stays)))
    driver.engine.drop(gone.id)
    late = chat("moon", max_tokens=40)
    driver.admit(late)
    driver.finish(stays, late)
    reference = Reference(llama)
    assert [driver.text(one) for one in (stays, late)] == [
        reference.text(one) for one in (stays, late)
    ]


def test_memory_that_runs_out_as_an_answer_joins_leaves_no_row_behind(
    driver: Driver, llama: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_memory(*_: object) -> torch.Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory")

    running = chat("sea", max_tokens=30)
    driver.admit(running)
    driver.until(lambda: bool(driver.deltas(running)))
    with monkeypatch.context() as full:
        full.setattr("worker.engines.torch_chat.engine.pick", no_memory)
        assert isinstance(driver.refused(chat("fox")), OutOfMemory)
    late = chat("moon", max_tokens=30)
    driver.admit(late)
    driver.finish(running, late)
    reference = Reference(llama)
    assert [driver.text(one) for one in (running, late)] == [
        reference.text(one) for one in (running, late)
    ]


def test_images_join_the_batch_either_way(tmp_path: Path) -> None:
    path = tiny_vision.qwen3_vl(tmp_path)
    engine = TorchChat()
    engine.load(torch_images.spec(path), lambda _: None)
    driver, reference = Driver(engine), ImageReference(path)
    jobs = [
        ask("tell a story about", RED),
        ask("count from one to twenty", max_tokens=30),
        ask("tell a story about", BLUE, max_tokens=12),
    ]
    driver.run(*jobs)
    assert [driver.text(one) for one in jobs] == [reference.text(one) for one in jobs]


@pytest.mark.skipif(shutil.which("g++") is None, reason="there is no compiler")
@pytest.mark.filterwarnings("default")
def test_fused_layers_answer_the_same(
    llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    driver, reference = Driver(loaded(llama, options={"compile": True})), Reference(llama)
    counters.clear()
    jobs = [chat("count from one to twenty", max_tokens=12), chat("fox " * 20, max_tokens=12)]
    driver.run(*jobs)
    assert [driver.text(one) for one in jobs] == [reference.text(one) for one in jobs]
    # A layer is three functions and what follows attention in each; none is compiled for a layer.
    assert 0 < counters["stats"]["unique_graphs"] <= 10


@pytest.mark.parametrize(
    ("name", "value"),
    [("kv_cache_tokens", 10), ("kv_cache_tokens", "many"), ("prefix_caching", 1)],
)
def test_an_option_that_makes_no_sense_is_named(llama: Path, name: str, value: object) -> None:
    assert name in refusal(llama, options={name: value}).reason
