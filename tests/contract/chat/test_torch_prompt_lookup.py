"""Prompt lookup on torch: the same answers in fewer steps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from ipc.engine_options import TorchChatOptions
from ipc.messages.events import ChatResult, Usage
from ipc.messages.jobs import Job
from tests.contract.chat.torch_chats import loaded
from tests.contract.checkpoints import tiny
from tests.contract.driver import Driver, chat
from worker.chat.lookup.guesser import Guesser
from worker.engine import LoadError
from worker.engines.torch_chat.engine import TorchChat, looks_up

ASKED = ["fox sea moon fox sea moon fox sea", "count count count", "tell the wizard a name"]
SAMPLINGS: dict[str, dict[str, Any]] = {
    "greedy": {},
    "drawn": {"temperature": 0.7, "seed": 5},
    "from a nucleus": {"temperature": 1.0, "top_p": 0.5, "top_k": 20, "min_p": 0.01, "seed": 6},
    "biased": {"logit_bias": {7: 3.0}, "min_tokens": 30},
    "penalised": {"repetition_penalty": 1.1, "presence_penalty": 0.2},
    "told": {"logprobs": 2},
}
TOKENS = 40


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.llama(tmp_path_factory.mktemp("llama"))


class Foreknown(Guesser):
    """Guesses what an answer is known to become, but for each fourth token. A checkpoint of random
    weights says nothing twice, and how long its steps take is a matter of what else runs."""

    def __init__(self) -> None:
        super().__init__()
        self.known: list[list[int]] = []  # what was answered without guesses
        self._written: dict[str, list[int]] = {}

    def begin(self, request_id: str, prompt: Sequence[int]) -> None:
        super().begin(request_id, prompt)
        self._written[request_id] = []

    def wrote(self, request_id: str, tokens: Sequence[int]) -> None:
        super().wrote(request_id, tokens)
        if request_id in self._written:
            self._written[request_id] += tokens

    def guesses(self, rooms: Mapping[str, int], _: int) -> dict[str, list[int]]:
        found = {}
        for request_id, room in rooms.items():
            written = self._written.get(request_id)
            for answer in self.known:
                if written and answer[: len(written)] == written:
                    at = len(written)
                    guess = [token + (n % 4 == 0) for n, token in enumerate(answer[at:], at)]
                    found[request_id] = guess[: min(room, 6)]
        return {request_id: guess for request_id, guess in found.items() if guess}


@pytest.fixture(scope="module")
def plain(llama: Path) -> Iterator[Driver]:
    engine = loaded(llama, options={"prompt_lookup": False, "prefix_caching": False})
    yield Driver(engine)
    engine.close()


@pytest.fixture(scope="module")
def guessing(llama: Path) -> Iterator[Driver]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("worker.engines.torch_chat.engine.Guesser", Foreknown)
        engine = loaded(llama, options={"prompt_lookup": True, "prefix_caching": False})
    yield Driver(engine)
    engine.close()


def ids(driver: Driver, one: Job) -> list[int]:
    return [token for delta in driver.deltas(one) for token in delta.ids]


def know(guessing: Driver, answers: list[list[int]]) -> None:
    assert isinstance(guessing.engine, TorchChat)
    guesser = guessing.engine._torch._guesser
    assert isinstance(guesser, Foreknown)
    guesser.known = answers


def usage(driver: Driver, one: Job) -> Usage:
    result = driver.result(one)
    assert isinstance(result, ChatResult)
    return result.usage


def told(driver: Driver, one: Job) -> Any:
    """What came of a job beside how it was made."""
    return driver.text(one), usage(driver, one).completion_tokens


@pytest.mark.parametrize("name", SAMPLINGS)
def test_an_answer_is_the_same_with_it(guessing: Driver, plain: Driver, name: str) -> None:
    jobs = [[chat(asked, max_tokens=TOKENS, **SAMPLINGS[name]) for asked in ASKED] for _ in "ab"]
    for one in jobs[0]:
        plain.run(one)
    know(guessing, [ids(plain, one) for one in jobs[0]])
    for one in jobs[1]:
        guessing.run(one)
    assert [told(guessing, one) for one in jobs[1]] == [told(plain, one) for one in jobs[0]]
    right = sum(usage(guessing, one).accepted_tokens for one in jobs[1])
    wrong = sum(usage(guessing, one).guessed_tokens for one in jobs[1]) - right
    may_be_guessed = name not in ("penalised", "told")
    assert (right > TOKENS) == (wrong > TOKENS // 2) == may_be_guessed


def test_answers_beside_each_other_are_the_same_with_it(guessing: Driver, plain: Driver) -> None:
    """Those that guess, and those that may not, which end at different times."""
    jobs = [
        [
            chat(ASKED[at % len(ASKED)], max_tokens=TOKENS - 5 * at, **sampling)
            for at, sampling in enumerate(SAMPLINGS.values())
        ]
        for _ in "ab"
    ]
    for some in (jobs[0][:3], jobs[0][3:]):
        plain.run(*some)
    know(guessing, [ids(plain, one) for one in jobs[0]])
    for some in (jobs[1][1:4], [jobs[1][0], *jobs[1][4:]]):
        guessing.run(*some)
    assert [told(guessing, one) for one in jobs[1]] == [told(plain, one) for one in jobs[0]]


def test_what_is_guessed_rightly_takes_fewer_steps(guessing: Driver, plain: Driver) -> None:
    jobs = [chat(ASKED[0], max_tokens=TOKENS) for _ in "ab"]
    plain.run(jobs[0])
    know(guessing, [ids(plain, jobs[0])])
    guessing.run(jobs[1])
    assert len(guessing.deltas(jobs[1])) < len(plain.deltas(jobs[0])) // 2


def test_a_kept_answer_serves_the_next_turn(llama: Path, plain: Driver) -> None:
    """What was guessed wrongly is in no prefix that another prompt takes over."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("worker.engines.torch_chat.engine.Guesser", Foreknown)
        keeping = Driver(loaded(llama, options={"prompt_lookup": True}))
    texts = []
    for driver in (plain, keeping):
        first = chat(ASKED[1], max_tokens=20)
        driver.run(first)
        if driver is plain:
            know(keeping, [ids(plain, first)])
        second = chat(ASKED[1], ("assistant", driver.text(first)), ASKED[0], max_tokens=20)
        driver.run(second)
        texts.append([driver.text(one) for one in (first, second)])
    assert texts[0] == texts[1]
    assert usage(keeping, first).accepted_tokens > 0
    keeping.engine.close()


def test_it_is_for_cpus() -> None:
    cuda, wanted = torch.device("cuda"), TorchChatOptions(prompt_lookup=True)
    with pytest.raises(LoadError, match=r"options\.prompt_lookup"):
        looks_up(wanted, cuda)
    assert not looks_up(TorchChatOptions(), cuda)
    assert looks_up(wanted, torch.device("cpu"))
    assert not looks_up(TorchChatOptions(), torch.device("cpu"))
