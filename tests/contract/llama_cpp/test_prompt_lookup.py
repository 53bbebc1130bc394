"""Prompt lookup on llama.cpp: the same answers in fewer steps."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ipc.messages.errors import UnsupportedParameter
from ipc.messages.events import ChatResult
from ipc.messages.spec import Spec
from tests.contract.chat.lookups import ASKED, LIST, bound_to_the_list
from tests.contract.driver import Driver, chat
from tests.contract.subjects import SMOLLM2, real_model
from worker.engine import LoadError
from worker.engines.llama_cpp.engine import LlamaChat
from worker.engines.llama_cpp.load import llama_model


def spec(path: Path, **changed: Any) -> Spec:
    """Without prefixes that are kept, so that lone requests repeat exactly."""
    values: dict[str, Any] = {
        "name": "smollm2",
        "task": "chat",
        "engine": "llama.cpp",
        "path": str(path),
        "threads": 1,
        "slots": 2,
        "max_prompt_tokens": 300,
        "max_new_tokens": 100,
        "options": {"prefix_caching": False, "prompt_lookup": True},
    } | changed
    return Spec(**values)


@pytest.fixture(scope="module")
def gguf() -> Path:
    return real_model(SMOLLM2, "SmolLM2-135M-Instruct.Q4_1.gguf")


def driven(one: Spec) -> Iterator[Driver]:
    engine = LlamaChat()
    engine.load(one, lambda _: None)
    yield Driver(engine)
    engine.close()


@pytest.fixture(scope="module")
def guessing(gguf: Path) -> Iterator[Driver]:
    yield from driven(spec(gguf))


@pytest.fixture(scope="module")
def plain(gguf: Path) -> Iterator[Driver]:
    yield from driven(spec(gguf, options={"prefix_caching": False}))


@pytest.mark.parametrize("content", ASKED)
@pytest.mark.parametrize(
    "sampling",
    [{}, {"temperature": 0.7, "seed": 5}, {"repetition_penalty": 1.1}],
    ids=["greedy", "drawn", "penalised"],
)
def test_an_answer_is_the_same_with_it(
    guessing: Driver, plain: Driver, content: str, sampling: dict[str, Any]
) -> None:
    told = []
    for driver in (guessing, plain):
        one = chat(content, max_tokens=40, **sampling)
        driver.run(one)
        result = driver.result(one)
        assert isinstance(result, ChatResult)
        told.append((driver.text(one), result.finish, result.usage.completion_tokens))
    assert told[0] == told[1]


def test_an_answer_that_keeps_to_a_grammar_is_the_same_with_it(
    guessing: Driver, plain: Driver
) -> None:
    told = []
    for driver in (guessing, plain):
        one = bound_to_the_list()
        driver.run(one)
        told.append(driver.text(one))
    assert told[0] == told[1]
    assert set(told[0].split(", ")) <= set(LIST.split(", "))


def test_what_repeats_the_prompt_takes_fewer_steps(gguf: Path) -> None:
    model = llama_model(spec(gguf), lambda _: None)
    pieces: list[bytes] = []
    asked = {"prompt": f"{LIST}; {LIST}; red apple, green pear, blue plum,", "max_tokens": 24}
    model.server.handle_completions(
        msgspec.json.encode(asked | {"temperature": 0.0, "stream": True}), pieces.append
    )
    model.place.close()
    timings = msgspec.json.decode(pieces[-1])["timings"]
    assert timings["predicted_n"] == 24
    assert timings["draft_n_accepted"] >= 8


def test_log_probabilities_are_refused(guessing: Driver) -> None:
    one = chat("Hello", logprobs=0)
    guessing.run(one)
    with pytest.raises(UnsupportedParameter, match="prompt_lookup"):
        guessing.result(one)


def test_a_model_that_sees_is_refused(gguf: Path) -> None:
    with pytest.raises(LoadError, match=r"options\.prompt_lookup"):
        llama_model(spec(gguf, vision=True), lambda _: None)
