"""From a job to what a token engine is asked, and what is refused on the way."""

from __future__ import annotations

from typing import Any

import pytest

from ipc.engines import ENGINES, Chat, Descriptor
from ipc.messages.errors import InvalidRequest, UnsupportedParameter
from ipc.messages.jobs import ChatInput, Job, Message, Sampling
from ipc.messages.spec import Loaded, Spec
from tests.unit.worker.chat.test_engine import Letters
from worker.chat.requests import requests_of
from worker.chat.token_engine import TokenModel, TokenRequest

MODEL = TokenModel(Loaded(device="cpu"), Letters(), frozenset({2}), 10)


def requests(engine: str, **sampling: Any) -> list[TokenRequest]:
    asked = ChatInput(messages=[Message("user", "hi")], sampling=Sampling(max_tokens=2, **sampling))
    job = Job(id="a", model="m", input=asked, deadline_at=0.0)
    return requests_of(job, asked, Spec(name="m", task="chat", engine=engine, path=""), MODEL)


@pytest.fixture
def poor(monkeypatch: pytest.MonkeyPatch) -> str:
    """An engine that lacks everything that one may lack."""
    lacks = ("logit_bias", "logprobs", "top_logprobs", "min_tokens")
    engine = Descriptor(name="poor", serves={}, devices=("cpu",), chat=Chat(lacks=lacks))
    monkeypatch.setitem(ENGINES, "poor", engine)
    return "poor"


@pytest.mark.parametrize(
    ("asked", "param"),
    [
        ({"logit_bias": {1: 5.0}}, "logit_bias"),
        ({"logprobs": 0}, "logprobs"),
        ({"min_tokens": 1}, "min_tokens"),
    ],
)
def test_what_an_engine_lacks_is_refused_by_name(
    poor: str, asked: dict[str, Any], param: str
) -> None:
    with pytest.raises(UnsupportedParameter, match=f"engine poor has no {param}") as refused:
        requests(poor, **asked)
    assert refused.value.param == param


@pytest.mark.parametrize(("logprobs", "fine"), [(None, True), (0, True), (1, False)])
def test_an_engine_may_tell_log_probabilities_but_no_likely_ones(
    monkeypatch: pytest.MonkeyPatch, poor: str, logprobs: int | None, fine: bool
) -> None:
    chosen = Chat(lacks=("top_logprobs",))
    monkeypatch.setitem(
        ENGINES, poor, Descriptor(name=poor, serves={}, devices=("cpu",), chat=chosen)
    )
    if fine:
        assert requests(poor, logprobs=logprobs)
        return
    with pytest.raises(UnsupportedParameter, match="has no top_logprobs"):
        requests(poor, logprobs=logprobs)


def test_what_is_not_asked_for_is_not_missed(poor: str) -> None:
    assert len(requests(poor)) == 1


def test_a_users_own_engine_refuses_by_itself() -> None:
    (made,) = requests("my.engine.Own", logit_bias={1: 5.0}, logprobs=3)
    assert made.sampling.logit_bias == {1: 5.0}


@pytest.mark.parametrize("token", [-1, 3])
def test_a_bias_is_for_tokens_of_the_model(token: int) -> None:
    with pytest.raises(InvalidRequest, match=f"names token {token}, .* 0 to 2") as refused:
        requests("my.engine.Own", logit_bias={0: 1.0, token: 1.0})
    assert refused.value.param == "logit_bias"
