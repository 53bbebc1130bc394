"""Prompt lookup on OpenVINO: the same answers in fewer steps."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ipc.messages.events import ChatResult, Usage
from ipc.messages.jobs import Job
from ipc.messages.spec import Spec
from tests.contract.chat.lookups import ASKED, LIST, bound_to_the_list
from tests.contract.checkpoints.tiny_gguf import llama
from tests.contract.driver import Driver, chat
from tests.contract.subjects import SMOLLM2, real_model
from worker.engine import LoadError
from worker.engines.openvino_chat import guesses, load
from worker.engines.openvino_chat.engine import OpenvinoChat

TOKENS = 60
SCALE = 0.17


def spec(cache: Path, **options: Any) -> Spec:
    """Without prefixes that are kept, so that lone requests repeat exactly."""
    return Spec(
        name="llama",
        task="chat",
        engine="openvino",
        path=str(cache / "model.gguf"),
        cache=str(cache),
        slots=2,
        max_prompt_tokens=300,
        max_new_tokens=100,
        options={"prefix_caching": False} | options,
    )


def driven(one: Spec) -> Iterator[Driver]:
    engine = OpenvinoChat()
    engine.load(one, lambda _: None)
    yield Driver(engine)
    engine.close()


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the model, where it is converted, once for all."""
    folder = tmp_path_factory.mktemp("cache")
    llama(folder, like=real_model(SMOLLM2, "SmolLM2-135M-Instruct.Q4_1.gguf"), scale=SCALE)
    return folder


@pytest.fixture(scope="module")
def guessing(cache: Path) -> Iterator[Driver]:
    yield from driven(spec(cache, prompt_lookup=True))


@pytest.fixture(scope="module")
def plain(cache: Path) -> Iterator[Driver]:
    """With keys and values as they are kept beside guesses."""
    kept = {"KV_CACHE_PRECISION": guesses.PROPERTIES["KV_CACHE_PRECISION"]}
    chosen = load._properties
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(load, "_properties", lambda *asked: chosen(*asked) | kept)
        yield from driven(spec(cache))


def told(driver: Driver, one: Job) -> tuple[str, str, int]:
    driver.run(one)
    result = driver.result(one)
    assert isinstance(result, ChatResult)
    return driver.text(one), result.finish, result.usage.completion_tokens


def usage(driver: Driver, one: Job) -> Usage:
    result = driver.result(one)
    assert isinstance(result, ChatResult)
    return result.usage


SAMPLINGS: dict[str, dict[str, Any]] = {
    "greedy": {},
    "drawn": {"temperature": 1.2, "seed": 5},
    "penalised": {"repetition_penalty": 1.1, "presence_penalty": 0.2},
    "told": {"logprobs": 0},
    "short": {"max_tokens": 7},
    "unended": {"ignore_eos": True},
}


@pytest.mark.parametrize("name", SAMPLINGS)
@pytest.mark.parametrize("content", ASKED)
def test_an_answer_is_the_same_with_it(
    guessing: Driver, plain: Driver, content: str, name: str
) -> None:
    asked = {"max_tokens": TOKENS} | SAMPLINGS[name]
    jobs = [chat(content, **asked) for _ in "ab"]
    assert told(guessing, jobs[0]) == told(plain, jobs[1])
    if name == "told":
        logprobs = [
            [one.logprob for delta in driver.deltas(job) for one in delta.logprobs or ()]
            for driver, job in zip((guessing, plain), jobs, strict=True)
        ]
        assert len(logprobs[0]) == usage(guessing, jobs[0]).completion_tokens
        assert logprobs[0] == pytest.approx(logprobs[1], abs=1e-3)


def test_an_answer_that_keeps_to_a_grammar_is_the_same_with_it(
    guessing: Driver, plain: Driver
) -> None:
    texts = [told(driver, bound_to_the_list())[0] for driver in (guessing, plain)]
    assert texts[0] == texts[1]
    assert set(texts[0].split(", ")) <= set(LIST.split(", "))


def test_what_repeats_the_prompt_takes_fewer_steps(guessing: Driver) -> None:
    one = chat(ASKED[1], max_tokens=TOKENS)
    told(guessing, one)
    assert usage(guessing, one).accepted_tokens > TOKENS // 4
    assert len(guessing.deltas(one)) < 3 * TOKENS // 4


def test_an_answer_that_nobody_waits_for_leaves_room_for_the_next(guessing: Driver) -> None:
    gone = chat(ASKED[1], max_tokens=TOKENS)
    guessing.engine.admit(gone)
    for _ in range(4):
        guessing.engine.step()
    guessing.engine.drop(gone.id)
    jobs = [chat(content, max_tokens=TOKENS) for content in ASKED[:2]]
    guessing.run(*jobs)
    assert all(usage(guessing, one).completion_tokens for one in jobs)


def test_a_kept_answer_serves_the_next_turn(cache: Path, plain: Driver) -> None:
    """What was guessed wrongly is in no prefix that another prompt takes over."""
    for keeping in driven(spec(cache, prefix_caching=True, prompt_lookup=True)):
        texts = []
        for driver in (plain, keeping):
            first = chat(ASKED[1], max_tokens=TOKENS)
            told(driver, first)
            said = driver.text(first)
            second = chat(ASKED[1], ("assistant", said), ASKED[0], max_tokens=TOKENS)
            texts.append([said, told(driver, second)[0]])
        assert texts[0] == texts[1]
        assert usage(keeping, second).accepted_tokens


def test_a_model_whose_steps_of_several_tokens_are_rounded_otherwise_is_refused(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guesses, "_NEAR", -1.0)
    with pytest.raises(LoadError, match=r"options\.prompt_lookup"):
        OpenvinoChat().load(spec(cache, prompt_lookup=True), lambda _: None)
