"""What engines promise of answers that another worker has begun: forms, choices, log probabilities
and reasoning that is cut off go on where they were."""

from __future__ import annotations

import json
import re
from typing import Any

import msgspec
import pytest

from ipc.messages.events import CallArguments, CallOpened, Delta, Piece, Reasoning, TokenLogprob
from ipc.messages.jobs import Choice, Form, Job, Json, Regex
from tests.contract.chat.test_chat_engines import QUESTION, STORY, result
from tests.contract.chat.test_chat_grammar import PERSON, formed
from tests.contract.driver import Driver, chat, job
from tests.contract.subjects import CHAT_MODELS
from tests.contract.test_tools import WEATHER, asking, finish

MODELS = [each for each in CHAT_MODELS if each.engine in ("torch", "openvino", "llama.cpp")]
pytestmark = pytest.mark.model


def pieces(driver: Driver, one: Job) -> list[Piece]:
    return [event for event in driver.of(one) if isinstance(event, Piece)]


def texts(found: list[Piece]) -> dict[int, str]:
    """What each choice says."""
    said: dict[int, str] = {}
    for piece in found:
        if isinstance(piece, Delta | Reasoning):
            said[piece.choice] = said.get(piece.choice, "") + piece.text
    return said


def written(found: list[Piece]) -> dict[int, list[int]]:
    """The tokens of each choice; each piece names its own."""
    tokens: dict[int, list[int]] = {}
    for piece in found:
        assert len(piece.ids) == piece.tokens
        tokens.setdefault(piece.choice, []).extend(piece.ids)
    return tokens


def gone_on(driver: Driver, one: Job, cut: int) -> tuple[list[Piece], Job]:
    """All pieces of ``one``, the first ``cut`` of them by this worker and the others by the next;
    and the job of that one."""
    before = pieces(driver, one)[:cut]
    again = msgspec.structs.replace(job(one.input), written=written(before))
    driver.run(again)
    return [*before, *pieces(driver, again)], again


def cuts(driver: Driver, one: Job) -> list[int]:
    count = len(pieces(driver, one))
    return sorted({1, 2, count // 3, count // 2, count - 1, count} - {0})


FORMS: list[tuple[Form, str]] = [
    (Json(schema=PERSON), ""),
    (Regex(pattern=r"[a-c]{3}-[0-9]{2,4}!"), r"[a-c]{3}-[0-9]{2,4}!"),
    (Regex(pattern=r"[a-z]{4,40}"), r"[a-z]{4,40}"),
    (Choice(texts=["one, two, three", "one, two"]), r"one, two(, three)?"),
]


@pytest.mark.parametrize("sampling", [{}, {"temperature": 1.0, "seed": 3}], ids=str)
@pytest.mark.parametrize(("form", "pattern"), FORMS, ids=lambda one: str(one)[:24])
def test_a_form_is_kept_wherever_it_is_cut(
    driver: Driver, form: Form, pattern: str, sampling: dict[str, Any]
) -> None:
    one = formed(form, **sampling)
    driver.run(one)
    for cut in cuts(driver, one):
        found, again = gone_on(driver, one, cut)
        text = texts(found)[0]
        if pattern:
            assert re.fullmatch(pattern, text)
        else:
            assert [*json.loads(text)] == ["name", "age", "likes"]
        told = result(driver, again)
        assert told.finish == "stop"
        assert told.usage.prompt_tokens == result(driver, one).usage.prompt_tokens
        assert told.usage.completion_tokens >= sum(piece.tokens for piece in found)


@pytest.mark.exact
def test_a_form_goes_on_as_it_would_have(driver: Driver) -> None:
    one = formed(Json(schema=PERSON))
    driver.run(one)
    for cut in cuts(driver, one):
        found, again = gone_on(driver, one, cut)
        assert texts(found) == texts(pieces(driver, one))
        assert result(driver, again).usage.completion_tokens == (
            result(driver, one).usage.completion_tokens
        )


def test_each_choice_goes_on_behind_its_own(driver: Driver) -> None:
    one = chat(STORY, max_tokens=12, temperature=1.0, seed=1, n=3, ignore_eos=True)
    driver.run(one)
    for cut in cuts(driver, one):
        before = pieces(driver, one)[:cut]
        found, again = gone_on(driver, one, cut)
        assert sorted(texts(found)) == [0, 1, 2]
        assert all(text.startswith(texts(before).get(at, "")) for at, text in texts(found).items())
        told = result(driver, again)
        assert [told.finish, *told.others] == ["length"] * 3
        assert told.usage == result(driver, one).usage or told.usage.completion_tokens == 36
        assert [len(tokens) for tokens in written(found).values()] == [12] * 3


@pytest.mark.exact
@pytest.mark.parametrize("sampling", [{}, {"temperature": 1.0, "seed": 1}], ids=str)
def test_choices_go_on_as_they_would_have(driver: Driver, sampling: dict[str, Any]) -> None:
    """Greedy ones are one answer, which is told for each of them at once."""
    one = chat(STORY, max_tokens=12, n=3, ignore_eos=True, **sampling)
    driver.run(one)
    for cut in cuts(driver, one):
        found, _ = gone_on(driver, one, cut if sampling else cut - cut % 3)
        assert texts(found) == texts(pieces(driver, one))


def logprobs(found: list[Piece]) -> list[TokenLogprob]:
    return [each for piece in found for each in piece.logprobs or []]


def test_each_token_has_its_log_probability_once(driver: Driver) -> None:
    one = chat(QUESTION, max_tokens=20, logprobs=0, ignore_eos=True)
    driver.run(one)
    for cut in cuts(driver, one):
        found, _ = gone_on(driver, one, cut)
        told = logprobs(found)
        assert [each.id for each in told] == written(found)[0]
        assert b"".join(each.data for each in told).decode() == texts(found)[0]
        assert all(each.logprob <= 0 for each in told)


@pytest.mark.exact
def test_log_probabilities_are_those_of_an_unbroken_answer(driver: Driver) -> None:
    one = chat(QUESTION, max_tokens=20, logprobs=2, ignore_eos=True)
    driver.run(one)
    for cut in cuts(driver, one):
        found, _ = gone_on(driver, one, cut)
        for here, there in zip(logprobs(found), logprobs(pieces(driver, one)), strict=True):
            assert here.id == there.id
            assert here.logprob == pytest.approx(there.logprob, abs=1e-3)


@pytest.mark.parametrize(
    "asked",
    # of calls as many as it likes there may be more than max_tokens has room for
    [{"must_call": True, "parallel_calls": False}, {"form": Json(schema=PERSON)}],
    ids=str,
)
def test_a_call_that_must_keep_its_schema_goes_on_in_its_middle(
    driver: Driver, asked: dict[str, Any]
) -> None:
    one = asking(tools=[WEATHER], **asked)
    driver.run(one)
    for cut in cuts(driver, one):
        found, again = gone_on(driver, one, cut)
        assert finish(driver, again) == finish(driver, one)
        names = [piece.name for piece in found if isinstance(piece, CallOpened)]
        if not names:
            assert [*json.loads(texts(found)[0])] == ["name", "age", "likes"]
            continue
        arguments = "".join(piece.text for piece in found if isinstance(piece, CallArguments))
        given = json.loads(arguments)
        assert names == ["get_weather"]
        assert given["city"] in ("Paris", "Köln")
        assert 1 <= given["days"] <= 9
