"""What engines that are given tokens promise of forms, log probabilities, biases and choices."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

import worker.chat.requests
from ipc.grammar.rules import Rules, Terminal
from ipc.messages.errors import InvalidRequest, UnsupportedParameter
from ipc.messages.events import ChatResult, Delta, Failed, TokenLogprob
from ipc.messages.jobs import ChatInput, Choice, Form, Job, Json, Message, Regex, Sampling
from tests.contract.chat.test_chat_engines import QUESTION, STORY, answer, result
from tests.contract.driver import Driver, chat, job
from tests.contract.subjects import CHAT_MODELS, SLOTS, Bench
from worker.chat.engine import TokenChat
from worker.chat.grammar import Grammar, grammar_of

MODELS = [subject for subject in CHAT_MODELS if subject.engine in ("torch", "openvino")]
pytestmark = pytest.mark.model

PERSON = json.dumps(
    {
        "type": "object",
        "properties": {
            "name": {"type": "string", "maxLength": 12},
            "age": {"type": "integer", "minimum": 0, "maximum": 150},
            "likes": {"type": "array", "items": {"enum": ["tea", "Süßes", "🎉"]}, "maxItems": 3},
        },
        "required": ["name", "age", "likes"],
        "additionalProperties": False,
    }
)


def formed(form: Form, question: str = QUESTION, max_tokens: int = 120, **sampling: Any) -> Job:
    asked = {"temperature": 0.0} | sampling
    return job(
        ChatInput(
            messages=[Message("user", question)],
            sampling=Sampling(max_tokens=max_tokens, **asked),
            form=form,
        )
    )


# --- forms ---


@pytest.mark.parametrize("sampling", [{}, {"temperature": 1.5, "seed": 3}], ids=str)
def test_one_of_the_choices_is_the_answer(driver: Driver, sampling: dict[str, Any]) -> None:
    texts = ["yes, it is", "no", "Grüße 👩‍🚀"]
    one = formed(Choice(texts=texts), **sampling)
    assert answer(driver, one) in texts
    assert result(driver, one).finish == "stop"


def test_an_answer_is_json_that_its_schema_admits(driver: Driver) -> None:
    jobs = [formed(Json(schema=PERSON), temperature=1.0, seed=seed) for seed in range(SLOTS)]
    driver.run(*jobs)
    for one in jobs:
        person = json.loads(driver.text(one))
        assert [*person] == ["name", "age", "likes"]
        assert len(person["name"]) <= 12
        assert 0 <= person["age"] <= 150
        assert {*person["likes"]} <= {"tea", "Süßes", "🎉"}
        assert result(driver, one).finish == "stop"


def test_an_answer_matches_its_pattern(driver: Driver) -> None:
    text = answer(driver, formed(Regex(pattern="[a-c]{3}-[0-9]{2,4}!"), temperature=1.0))
    assert re.fullmatch("[a-c]{3}-[0-9]{2,4}!", text)


def test_an_answer_that_is_cut_is_cut_in_its_form(driver: Driver) -> None:
    one = formed(Json(schema=PERSON), max_tokens=5)
    assert answer(driver, one).startswith("{")
    assert result(driver, one).finish == "length"
    assert result(driver, one).usage.completion_tokens == 5


def test_a_stop_text_ends_an_answer_within_its_form(driver: Driver) -> None:
    one = formed(Choice(texts=["one, two, three"]), stop=["two"])
    assert answer(driver, one) == "one, "
    assert result(driver, one).finish == "stop"


def test_a_form_binds_nobody_else(driver: Driver) -> None:
    free = [chat(STORY, max_tokens=16), chat(QUESTION, max_tokens=12, temperature=1.0, seed=1)]
    alone = [answer(driver, one) for one in free]
    again = [chat(STORY, max_tokens=16), chat(QUESTION, max_tokens=12, temperature=1.0, seed=1)]
    bound = formed(Choice(texts=["a short one", "another one"]))
    driver.run(bound, *again)
    assert driver.text(bound) in ("a short one", "another one")
    assert [len(driver.text(one)) > 0 for one in again] == [len(text) > 0 for text in alone]


def test_control_tokens_are_no_part_of_a_form(bench: Bench, driver: Driver) -> None:
    """A text that looks like one is spelled out, or its token counts as that text."""
    engine = bench.engine
    assert isinstance(engine, TokenChat)
    control = next(iter(engine.prompts.vocabulary.control))
    assert answer(driver, formed(Choice(texts=[f"a{control}b"]))) == f"a{control}b"


@pytest.mark.parametrize("asked", [{"ignore_eos": True}, {"min_tokens": 3}], ids=str)
def test_no_more_can_be_asked_for_than_a_form_has(driver: Driver, asked: dict[str, Any]) -> None:
    error = driver.refused(formed(Choice(texts=["yes"]), **asked))
    assert isinstance(error, UnsupportedParameter)
    assert error.param == next(iter(asked))


def test_many_forms_wait_for_each_other(driver: Driver) -> None:
    jobs = [formed(Choice(texts=[f"number {at}"])) for at in range(SLOTS)]
    driver.run(*jobs)
    assert [driver.text(one) for one in jobs] == [f"number {at}" for at in range(SLOTS)]


def test_a_form_that_is_dropped_leaves_room(driver: Driver) -> None:
    for steps in range(3):
        jobs = [formed(Choice(texts=[f"dropped {steps} {at}"])) for at in range(SLOTS)]
        driver.admit(*jobs)
        for _ in range(steps):
            driver.turn()
        for one in jobs:
            driver.engine.drop(one.id)
        driver.settle()
    assert answer(driver, formed(Choice(texts=["still here"]))) == "still here"


BROKEN = "must not compile"


@pytest.fixture
def broken_grammars(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forms of the one choice `BROKEN` become rules that no library takes."""

    def broken(asked: ChatInput, *others: Any) -> Grammar:
        if asked.form == Choice(texts=[BROKEN]):
            return Rules((("other", Terminal("x")),))
        return grammar_of(asked, *others)

    monkeypatch.setattr(worker.chat.requests, "grammar_of", broken)


@pytest.mark.usefixtures("broken_grammars")
def test_a_grammar_that_cannot_be_compiled_fails_alone(driver: Driver) -> None:
    expected = answer(driver, chat(STORY, max_tokens=48))
    neighbour = chat(STORY, max_tokens=48)
    driver.admit(neighbour)
    driver.until(lambda: bool(driver.deltas(neighbour)))
    for _ in range(20):
        bad = formed(Choice(texts=[BROKEN]))
        driver.admit(bad)
        driver.finish(bad)
        (failed,) = driver.terminals(bad)
        assert isinstance(failed, Failed)
        assert failed.error.code == InvalidRequest.code
    assert answer(driver, formed(Choice(texts=["fine"]))) == "fine"
    driver.finish(neighbour)
    assert driver.text(neighbour) == expected


# --- log probabilities ---


def logprobs(driver: Driver, one: Job) -> list[TokenLogprob]:
    return [each for event in driver.deltas(one) for each in event.logprobs or []]


@pytest.mark.parametrize("sampling", [{}, {"temperature": 1.0, "seed": 5}], ids=str)
def test_each_token_has_its_log_probability(driver: Driver, sampling: dict[str, float]) -> None:
    one = chat("Say 🎉 and Grüße.", max_tokens=20, logprobs=0, **sampling)
    text = answer(driver, one)
    told = logprobs(driver, one)
    assert b"".join(each.data for each in told).decode(errors="replace") == text
    assert all(each.logprob <= 0 and each.top == [] for each in told)
    ids = [token for event in driver.deltas(one) for token in event.ids]
    assert [each.id for each in told] == ids


def test_what_is_told_does_not_change_an_answer(driver: Driver) -> None:
    assert answer(driver, chat(QUESTION, logprobs=0)) == answer(driver, chat(QUESTION))


def test_nobody_else_is_told(driver: Driver) -> None:
    told, other = chat(QUESTION, logprobs=0, max_tokens=6), chat(STORY, max_tokens=6)
    driver.run(told, other)
    assert logprobs(driver, told)
    assert all(event.logprobs is None for event in driver.deltas(other))


def test_the_likeliest_tokens_are_told(bench: Bench, driver: Driver) -> None:
    one = chat(QUESTION, max_tokens=10, logprobs=5)
    if bench.spec.engine == "openvino":
        error = driver.refused(one)
        assert isinstance(error, UnsupportedParameter)
        assert error.param == "top_logprobs"
        return
    driver.run(one)
    for each in logprobs(driver, one):
        assert len(each.top) == 5
        assert each.top[0].id == each.id
        assert each.top[0].logprob == each.logprob
        chances = [likely.logprob for likely in each.top]
        assert chances == sorted(chances, reverse=True)


# --- biases ---


def test_a_bias_forces_a_token_or_forbids_it(bench: Bench, driver: Driver) -> None:
    plain = chat(QUESTION, max_tokens=4)
    if bench.spec.engine == "openvino":
        error = driver.refused(chat(QUESTION, logit_bias={5: 1.0}))
        assert isinstance(error, UnsupportedParameter)
        assert error.param == "logit_bias"
        return
    driver.run(plain)
    first = driver.deltas(plain)[0].ids[0]
    forced = chat(QUESTION, max_tokens=4, logit_bias={300: 100.0})
    forbidden = chat(QUESTION, max_tokens=4, logit_bias={first: -100.0})
    again = chat(QUESTION, max_tokens=4)
    driver.run(forced, forbidden, again)
    assert {token for event in driver.deltas(forced) for token in event.ids} == {300}
    assert first not in [token for event in driver.deltas(forbidden) for token in event.ids]
    assert driver.text(again) == driver.text(plain)


def test_a_bias_is_for_tokens_that_there_are(bench: Bench, driver: Driver) -> None:
    if bench.spec.engine == "torch":
        error = driver.refused(chat(QUESTION, logit_bias={10**6: 1.0}))
        assert isinstance(error, InvalidRequest)
        assert error.param == "logit_bias"


# --- choices ---


def choices(driver: Driver, one: Job) -> dict[int, str]:
    texts: dict[int, str] = {}
    for event in driver.of(one):
        if isinstance(event, Delta):
            texts[event.choice] = texts.get(event.choice, "") + event.text
    return texts


def finishes(found: ChatResult) -> list[str]:
    return [found.finish, *found.others]


def test_choices_are_drawn_each_by_itself(driver: Driver) -> None:
    one = chat(STORY, max_tokens=12, temperature=1.0, seed=1, n=3, ignore_eos=True)
    driver.run(one)
    texts = choices(driver, one)
    assert sorted(texts) == [0, 1, 2]
    assert len({*texts.values()}) == 3
    found = result(driver, one)
    assert finishes(found) == ["length"] * 3
    assert found.usage.completion_tokens == 36
    single = chat(STORY, max_tokens=12)
    driver.run(single)
    assert found.usage.prompt_tokens == result(driver, single).usage.prompt_tokens


def test_greedy_choices_are_alike(driver: Driver) -> None:
    one = chat(QUESTION, max_tokens=12, n=3)
    driver.run(one)
    texts = choices(driver, one)
    assert sorted(texts) == [0, 1, 2]
    assert len({*texts.values()}) == 1
    assert len(finishes(result(driver, one))) == 3


def test_there_may_be_more_choices_than_slots(driver: Driver) -> None:
    n = SLOTS + 2
    one = chat(STORY, max_tokens=6, temperature=1.0, seed=1, n=n, ignore_eos=True)
    driver.run(one)
    assert sorted(choices(driver, one)) == [*range(n)]
    assert result(driver, one).usage.completion_tokens == 6 * n


def test_dropping_a_job_drops_all_its_choices(driver: Driver) -> None:
    one = chat(STORY, max_tokens=40, temperature=1.0, n=SLOTS + 1)
    driver.admit(one)
    driver.until(lambda: bool(driver.deltas(one)))
    driver.engine.drop(one.id)
    driver.run(*(chat(QUESTION, max_tokens=2) for _ in range(SLOTS)))
    assert not driver.ended(one)


# --- what was cached ---


def test_how_much_of_a_prompt_was_cached_is_told_where_it_is_known(
    bench: Bench, driver: Driver
) -> None:
    question = STORY + " In forty words."
    used = []
    for _ in range(2):
        one = chat(question, max_tokens=2)
        driver.run(one)
        used.append(result(driver, one).usage)
    if bench.spec.engine == "torch":
        assert used[1].cached_tokens == used[1].prompt_tokens - 1
    else:  # the library does not tell
        assert [usage.cached_tokens for usage in used] == [None, None]
