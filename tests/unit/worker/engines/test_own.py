"""A user's own engine is asked only for what its class says that it does."""

from __future__ import annotations

from typing import cast

import pytest

from ipc.messages.errors import UnsupportedParameter
from ipc.messages.jobs import ChatInput, Job, Json, Message, RawPrompt, Sampling, Text
from worker.engine import Engine
from worker.engines.own import OwnEngine


class Plain:
    """It reads messages, and has never heard of anything else."""

    loaded = "yes"

    def __init__(self) -> None:
        self.jobs: list[Job] = []

    def admit(self, job: Job) -> bool:
        self.jobs.append(job)
        return True


class Formal(Plain):
    takes = ("response_format",)


def job(prompts: tuple[RawPrompt, ...] = (), form: Json | None = None, n: int = 1) -> Job:
    messages = [] if prompts else [Message("user", "hi")]
    sampling = Sampling(max_tokens=1, n=n)
    asked = ChatInput(messages=messages, prompts=[*prompts], sampling=sampling, form=form)
    return Job(id="a", model="m", input=asked, deadline_at=0.0)


@pytest.mark.parametrize(
    ("asked", "param"),
    [
        (job(prompts=(Text("hi"),)), "prompt"),
        (job(form=Json(schema="{}")), "response_format"),
        (job(n=2), "n"),
    ],
)
def test_what_its_class_does_not_name_is_refused_before_it_hears_of_it(
    asked: Job, param: str
) -> None:
    plain = Plain()
    with pytest.raises(UnsupportedParameter) as refused:
        OwnEngine("my.Plain", cast(Engine, plain)).admit(asked)
    assert refused.value.param == param
    assert plain.jobs == []


def test_the_rest_and_what_it_names_reach_it() -> None:
    formal = Formal()
    own = OwnEngine("my.Formal", cast(Engine, formal))
    assert own.admit(job())
    assert own.admit(job(form=Json(schema="{}")))
    assert len(formal.jobs) == 2
    assert own.loaded == "yes"
