"""Whatever a model says that it can do is tried by `edge-serve smoke`."""

from __future__ import annotations

from typing import get_args

import pytest

from ipc.messages.jobs import Task
from ipc.messages.spec import Loaded, Spec
from ipc.tasks import capabilities
from supervisor.cli.smoke import _TRIALS

ABLE = Loaded(
    device="cpu",
    languages=["en", "de"],
    translates=True,
    tools=True,
    reasoning=True,
    fills=True,
    goes_on=True,
)


@pytest.mark.parametrize("task", get_args(Task))
def test_each_capability_has_a_trial(task: Task) -> None:
    spec = Spec(name="m", task=task, engine="x", path="", vision=task == "chat")
    assert {*capabilities(spec, ABLE)} <= {*_TRIALS}
