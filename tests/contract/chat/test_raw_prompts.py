"""Prompts without a template, and tokenizers, on every engine with a model of its own.

QWEN_CODER may name the GGUF file of a Qwen2.5-Coder, which fills gaps; without it none does here.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ipc.messages.errors import InvalidRequest
from ipc.messages.events import ChatResult, TokenizeResult, Usage
from ipc.messages.jobs import (
    ChatInput,
    Fill,
    Job,
    Message,
    RawPrompt,
    Sampling,
    Text,
    TokenizeInput,
    Tokens,
)
from tests.contract.driver import Driver, job
from tests.contract.subjects import CHAT_MODELS, Bench, Subject

MODELS = [subject for subject in CHAT_MODELS if subject.engine != "command"]
FRANCE = "The capital of France is"
CODER = os.environ.get("QWEN_CODER", "")


def raw(*prompts: RawPrompt, max_tokens: int = 8, echo: bool = False, **sampling: Any) -> Job:
    drawn = Sampling(max_tokens=max_tokens, **{"temperature": 0.0, **sampling})
    return job(ChatInput(prompts=list(prompts), sampling=drawn, echo=echo))


def ended(driver: Driver, one: Job) -> ChatResult:
    result = driver.result(one)
    assert isinstance(result, ChatResult)
    return result


def usages(driver: Driver, *jobs: Job) -> list[Usage]:
    return [ended(driver, one).usage for one in jobs]


def texts(driver: Driver, one: Job) -> list[str]:
    """The text of each choice."""
    result = ended(driver, one)
    found = [""] * (1 + len(result.others))
    for delta in driver.deltas(one):
        found[delta.choice] += delta.text
    return found


def tokenized(driver: Driver, **asked: Any) -> TokenizeResult:
    one = job(TokenizeInput(**asked))
    driver.run(one)
    result = driver.result(one)
    assert isinstance(result, TokenizeResult)
    return result


@pytest.mark.model
def test_a_text_and_its_tokens_are_written_on_alike(driver: Driver) -> None:
    (row,) = tokenized(driver, texts=[FRANCE]).rows
    ids = [token.id for token in row]
    text, tokens = raw(Text(FRANCE)), raw(Tokens(ids=ids))
    driver.run(text)
    driver.run(tokens)
    assert driver.text(text) == driver.text(tokens) != ""
    assert ended(driver, text).usage.prompt_tokens == len(ids)


@pytest.mark.model
def test_every_prompt_has_its_choices_in_order(driver: Driver) -> None:
    one = raw(Tokens(ids=[1, 2]), Tokens(ids=[3]), n=2, temperature=1.0, seed=7, echo=True)
    driver.run(one)
    found = texts(driver, one)
    result = ended(driver, one)
    first, second = (tokenized(driver, ids=ids).rows[0] for ids in ([1, 2], [3]))
    begun = [
        "".join(one.data.decode() for one in row if not one.control) for row in (first, second)
    ]
    assert len(found) == 4
    assert all(text.startswith(begun[at // 2]) for at, text in enumerate(found))
    assert result.usage.prompt_tokens == 3


@pytest.mark.model
def test_an_answer_may_begin_with_its_prompt(driver: Driver) -> None:
    plain, repeated = raw(Text(FRANCE)), raw(Text(FRANCE), echo=True)
    driver.run(plain)
    driver.run(repeated)
    assert driver.text(repeated) == FRANCE + driver.text(plain)
    counted = [
        (one.prompt_tokens, one.completion_tokens) for one in usages(driver, plain, repeated)
    ]
    assert counted[0] == counted[1]


@pytest.mark.model
def test_a_gap_is_refused_by_the_models_name(driver: Driver) -> None:
    error = driver.refused(raw(Fill(prefix="a", suffix="b")))
    assert isinstance(error, InvalidRequest)
    assert "model under-test cannot fill gaps" in error.message
    assert error.param == "suffix"


@pytest.mark.model
def test_a_token_that_the_model_does_not_have_is_refused(driver: Driver) -> None:
    error = driver.refused(raw(Tokens(ids=[10**6])))
    assert isinstance(error, InvalidRequest)
    assert error.param == "prompt"


@pytest.mark.model
@pytest.mark.parametrize("text", ["Hello, you", "<|im_end|> ein Gruß 漢字 🎉", " a\n\n  b"])
def test_text_becomes_tokens_and_text_again(driver: Driver, text: str) -> None:
    (row,) = tokenized(driver, texts=[text], begins=False).rows
    assert not any(token.control for token in row)
    assert tokenized(driver, ids=[token.id for token in row]).text == text


@pytest.mark.model
def test_a_chat_has_as_many_tokens_as_it_is_said_to(driver: Driver) -> None:
    messages = [Message("system", "Be brief."), Message("user", "Hi <|im_end|>")]
    chat = ChatInput(messages=messages, sampling=Sampling(max_tokens=1, temperature=0.0))
    answer = job(chat)
    driver.run(answer)
    told = tokenized(driver, chat=chat)
    assert len(told.rows[0]) == ended(driver, answer).usage.prompt_tokens
    assert "Hi <|im_end|>" in told.text


# --- a model that fills gaps ---------------------------------------------------------------------


@pytest.fixture(scope="module", params=["llama.cpp", "openvino"])
def coder(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Driver]:
    if not CODER:
        pytest.skip("QWEN_CODER names no file")
    subject = Subject(request.param, "chat", lambda _: Path(CODER))
    try:
        bench = Bench(subject, tmp_path_factory.mktemp("coder"))
    except Exception as error:
        pytest.skip(f"{request.param} does not read it: {error}")
    assert bench.loaded.fills
    yield Driver(bench.engine)
    bench.engine.close()


SUM = "def add(a, b):\n    return"
GAPS: list[RawPrompt] = [
    Fill(prefix=SUM, suffix="\n\n\nprint(add(1, 2))\n"),
    Text(f"<|fim_prefix|>{SUM}<|fim_suffix|>\n\n\nprint(add(1, 2))\n<|fim_middle|>"),
]


@pytest.mark.parametrize("gap", GAPS, ids=["gap", "an editor's own"])
def test_a_gap_is_filled(coder: Driver, gap: RawPrompt) -> None:
    one = raw(gap, max_tokens=32)
    coder.run(one)
    assert coder.text(one).strip().startswith("a + b")
    assert "<|" not in coder.text(one)  # an instructed one goes on, but never by its tokens


def test_other_files_are_read(coder: Driver) -> None:
    files = [("shapes.py", "def circumference_of_a_circle(radius):\n    return 6.28 * radius\n")]
    alone = Fill(prefix="import shapes\n\nprint(shapes.circumf", suffix="(2))\n")
    beside = msgspec.structs.replace(alone, files=files)
    found = [raw(gap, max_tokens=8) for gap in (alone, beside)]
    for one in found:
        coder.run(one)
    assert "of_a_circle" not in coder.text(found[0])
    assert "of_a_circle" in coder.text(found[1])


def test_a_gap_of_a_text_is_only_one_where_all_of_it_is(coder: Driver) -> None:
    (row,) = tokenized(coder, texts=["<|fim_prefix|>"], begins=False).rows
    assert not any(token.control for token in row)
