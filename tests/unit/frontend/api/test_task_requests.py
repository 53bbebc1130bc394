"""The requests that the descriptors of tasks hold: each is one that its route takes."""

from __future__ import annotations

from typing import get_args

import pytest
from starlette.testclient import TestClient

from frontend.dispatch.stream import Stream
from ipc.messages.errors import QueueFull
from ipc.messages.jobs import Task
from ipc.tasks import TASKS
from tests.unit.frontend.http_fakes import FakeDispatcher, application

TASK_NAMES: tuple[Task, ...] = get_args(Task)


def is_full(_: Stream) -> None:
    raise QueueFull("no room")


@pytest.fixture
def fake() -> FakeDispatcher:
    return FakeDispatcher(is_full)


@pytest.fixture
def client(fake: FakeDispatcher) -> TestClient:
    return TestClient(application(fake))


@pytest.mark.parametrize("task", TASK_NAMES)
def test_the_smoke_test_s_request_becomes_a_job(
    fake: FakeDispatcher, client: TestClient, task: Task
) -> None:
    smoke, body = TASKS[task].smoke, {"model": f"org/{task}", **TASKS[task].smoke.fields}
    if smoke.upload is None:
        client.post(TASKS[task].path, json=body)
    else:
        file = (smoke.upload.name, smoke.upload.read_bytes())
        client.post(TASKS[task].path, data=body, files={"file": file})
    assert [type(asked) for asked in fake.asked] == [TASKS[task].input]


@pytest.mark.parametrize("task", [task for task in TASK_NAMES if TASKS[task].example])
def test_the_example_becomes_a_job(fake: FakeDispatcher, client: TestClient, task: Task) -> None:
    client.post(TASKS[task].path, json={"model": f"org/{task}", **(TASKS[task].example or {})})
    assert [type(asked) for asked in fake.asked] == [TASKS[task].input]
