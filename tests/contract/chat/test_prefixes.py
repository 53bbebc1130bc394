"""A prompt that was read before is not read again by the next one that begins alike, on every
engine that says so: also where nobody has asked for it, and where it was only half read."""

from __future__ import annotations

import pytest

from ipc.messages.jobs import ChatInput, Job, Sampling, Tokens
from tests.contract.driver import Driver, Role, chat, job
from tests.contract.subjects import CHAT_MODELS, Bench
from worker.chat.engine import TokenChat

MODELS = CHAT_MODELS
KEEPING = {"openvino", "torch", "llama.cpp"}
# More tokens than any engine reads in a step, within `subjects.MAX_PROMPT_TOKENS`.
WORDS = 75


def system(name: str) -> tuple[Role, str]:
    """A long prompt that nobody else has."""
    return "system", " ".join(f"{name} {at}" for at in range(WORDS))


def prompt_of(driver: Driver, one: Job) -> list[int]:
    """The tokens of the prompt of ``one``, which is then dropped."""
    driver.engine.prompts_begun()
    driver.admit(one)
    found: list[int] = []

    def is_told() -> bool:
        found.extend(token for begun in driver.engine.prompts_begun() for token in begun.tokens)
        return bool(found)

    if not is_told():
        driver.until(is_told)
    driver.engine.drop(one.id)
    driver.settle()
    return found


def read(tokens: list[int]) -> Job:
    """As a worker reads a prefix in idle time."""
    sampling = Sampling(max_tokens=1, temperature=0.0)
    return job(ChatInput(prompts=[Tokens(ids=tokens)], sampling=sampling))


def steps_to_first(driver: Driver, one: Job) -> int:
    """How many steps it takes from when ``one`` is admitted to its first token."""
    driver.admit(one)
    steps = 0
    while not driver.of(one):
        driver.turn()
        steps += 1
    driver.finish(one)
    return steps


def cached(driver: Driver, one: Job) -> int | None:
    return driver.result(one).usage.cached_tokens


@pytest.fixture
def keeps(bench: Bench) -> None:
    if not bench.loaded.keeps_prefixes:
        pytest.skip(f"{bench.spec.engine} keeps none")


@pytest.mark.model
def test_an_engine_says_whether_it_keeps_what_it_has_read(bench: Bench) -> None:
    assert bench.loaded.keeps_prefixes == (bench.spec.engine in KEEPING)


@pytest.mark.model
@pytest.mark.usefixtures("keeps")
def test_what_was_read_in_idle_time_is_there_for_the_next(driver: Driver) -> None:
    both = [prompt_of(driver, chat(system("owl"), said)) for said in ("What is it?", "Who sings?")]
    shared = next(at for at, pair in enumerate(zip(*both, strict=False)) if len({*pair}) > 1)
    driver.run(read(both[0][:shared]))
    one, fresh = chat(system("owl"), "Why?"), chat(system("elk"), "Why?")
    steps, steps_without = steps_to_first(driver, one), steps_to_first(driver, fresh)
    if cached(driver, one) is not None:
        assert (cached(driver, one) or 0) >= shared > 100
        assert (cached(driver, fresh) or 0) < 100
    else:  # openvino, which does not tell
        assert steps < steps_without


@pytest.mark.model
@pytest.mark.usefixtures("keeps")
def test_what_is_given_up_half_read_spoils_nothing(driver: Driver) -> None:
    one = chat(system("fox"), "Say yes.", max_tokens=4)
    begun = read(prompt_of(driver, one))
    driver.run(one)
    before = driver.text(one)
    other = read(prompt_of(driver, chat(system("hen"), "Say yes.")))
    for half in (begun, other):
        driver.admit(half)
        driver.turn()
        driver.engine.drop(half.id)
    again = chat(system("fox"), "Say yes.", max_tokens=4)
    driver.run(again)
    assert driver.text(again) == before
    assert not driver.ended(other)


@pytest.mark.model
@pytest.mark.usefixtures("keeps")
def test_a_prefix_of_tokens_that_the_model_has_not_is_refused(driver: Driver) -> None:
    """As after a change of the model's files that nobody was told of."""
    engine = driver.engine
    assert isinstance(engine, TokenChat)
    unknown = len(engine.prompts.vocabulary)
    assert "the model's tokens are" in driver.refused(read([1, unknown])).message
