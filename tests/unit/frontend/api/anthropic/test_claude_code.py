"""What Claude Code sends, as it was recorded, and what becomes of it."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

from starlette.testclient import TestClient

from ipc.messages.jobs import ChatInput
from tests.unit.frontend.http_fakes import FakeDispatcher, application, says

RECORDED: dict[str, Any] = json.loads(Path(__file__).with_name("claude_code.json").read_text())


def asked(body: dict[str, Any]) -> ChatInput:
    """The job that it is, for a model that it knows by an alias."""
    fake = FakeDispatcher(says("Hi"))
    fake.aliases = {body["model"]: "org/chat"}
    with TestClient(application(fake)) as client:
        answer = client.post(RECORDED["path"], json=body, headers=RECORDED["headers"])
    assert answer.status_code == 200, answer.text
    assert answer.text.endswith('data: {"type":"message_stop"}\n\n')
    (found,) = fake.asked
    assert isinstance(found, ChatInput)
    return found


def test_all_of_it_is_taken() -> None:
    found = asked(RECORDED["body"])
    assert [message.role for message in found.messages] == ["system", "user", "system"]
    first, question, environment = (message.text for message in found.messages)
    assert first.startswith("You are a Claude agent")
    assert question.endswith("Say hi in one word.")
    assert environment.startswith("# Environment")
    sent = [tool["name"] for tool in RECORDED["body"]["tools"]]
    assert [tool.name for tool in found.tools] == sent
    assert found.sampling.max_tokens == 100  # the model's limit, far below the 32,000 asked for
    assert found.template_args["reasoning_effort"] == "high"


def test_what_differs_each_time_does_not_change_the_prompt() -> None:
    later = copy.deepcopy(RECORDED["body"])
    line = later["system"][0]
    assert line["text"].startswith("x-anthropic-billing-header: ")
    line["text"] += " cch=0f1e2;"
    later["metadata"] = {"user_id": "another"}
    assert asked(later) == asked(RECORDED["body"])
