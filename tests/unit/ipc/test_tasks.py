"""The descriptors of tasks against the messages, and what they make of answers."""

from __future__ import annotations

from typing import Any, get_args

import pytest

from ipc.messages.events import Result, TokenizeResult
from ipc.messages.jobs import Input, Task, TokenizeInput
from ipc.messages.spec import Spec
from ipc.tasks import TASKS, WrongAnswer

TASK_NAMES: tuple[Task, ...] = get_args(Task)


def tag(struct: type[Any]) -> object:
    return struct.__struct_config__.tag


def test_each_task_has_an_input_a_result_and_a_descriptor() -> None:
    assert tuple(TASKS) == TASK_NAMES
    # A tokenizer is no task of its own: the models for chats have one.
    assert {each.input for each in TASKS.values()} == {*get_args(Input)} - {TokenizeInput}
    assert {each.result for each in TASKS.values()} == {*get_args(Result)} - {TokenizeResult}
    for task, each in TASKS.items():
        assert (tag(each.input), tag(each.result)) == (task, task)


@pytest.mark.parametrize("name", ["capability", "path", "metric_prefix"])
def test_no_two_tasks_share_a_name(name: str) -> None:
    assert len({getattr(each, name) for each in TASKS.values()}) == len(TASKS)


@pytest.mark.parametrize("task", TASK_NAMES)
def test_the_warm_up_job_is_of_the_task(task: Task) -> None:
    assert type(TASKS[task].warm_up(0)) is TASKS[task].input


@pytest.mark.parametrize("task", TASK_NAMES)
def test_limits_are_keys_of_a_spec(task: Task) -> None:
    each = TASKS[task]
    assert {*each.settings, *each.unbatched, *each.limits} <= set(Spec.__struct_fields__)
    assert {"slots", "queue_limit"} <= each.settings.keys()


def completion(text: str) -> Any:
    return {"choices": [{"message": {"content": text}}]}


def vectors(*rows: list[float]) -> Any:
    return {"data": [{"embedding": row} for row in rows]}


def ranking(*places: int) -> Any:
    return {"results": [{"index": place} for place in places]}


@pytest.mark.parametrize(
    ("task", "answer", "summary"),
    [
        ("chat", completion("Hello!"), "Hello!"),
        ("embed", vectors([1.0, 0.0], [0.0, 1.0]), "2 vectors of 2 dimensions"),
        ("rerank", ranking(1, 0), "best: A panda is a bear."),
        ("speech", {"text": "And so"}, "And so"),
        ("speech", {"text": ""}, ""),
        ("speak", b"\x00\x01" * 24_000, "1.0 s of sound"),
    ],
)
def test_a_smoke_test_sums_up_the_answer(task: Task, answer: Any, summary: str) -> None:
    assert TASKS[task].smoke.summary(answer) == summary


@pytest.mark.parametrize(
    ("task", "answer", "message"),
    [
        ("chat", completion(""), "the answer is empty"),
        ("embed", vectors([1.0]), "1 vectors"),
        ("embed", vectors([1.0], [1.0]), "equal ones"),
        ("embed", vectors([1.0], [1.0, 2.0]), r"of \[1, 2\] dimensions"),
        ("rerank", ranking(0), "1 results for 2 documents"),
        ("speak", b"", "silent"),
        ("speak", bytes(48_000), "silent"),
        ("rerank", ranking(0, 0), "2 results for 2 documents"),
    ],
)
def test_a_smoke_test_refuses_a_wrong_answer(task: Task, answer: Any, message: str) -> None:
    with pytest.raises(WrongAnswer, match=message):
        TASKS[task].smoke.summary(answer)
