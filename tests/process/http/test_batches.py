"""Batches on a whole server: whatever is killed, each line has one answer in the end."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any, cast

import pytest

from ipc.messages.control import BatchConfig
from tests.process.box import CHAT, DEADLINE_S, Box, MakeBox, spec, wait_until

LINES = 500
ENDED = ("completed", "failed", "expired", "cancelled")

Json = dict[str, Any]


def line(name: str, text: str) -> str:
    body = {"model": CHAT, "messages": [{"role": "user", "content": text}]}
    whole = {"custom_id": name, "method": "POST", "url": "/v1/chat/completions", "body": body}
    return json.dumps(whole)


def begin(box: Box, *lines: str) -> str:
    upload = {"file": ("a.jsonl", "\n".join(lines).encode())}
    file = box.client.post("/v1/files", data={"purpose": "batch"}, files=upload).json()
    asked = {
        "input_file_id": file["id"],
        "endpoint": "/v1/chat/completions",
        "completion_window": "24h",
    }
    batch: str = box.client.post("/v1/batches", json=asked).json()["id"]
    return batch


def batch(box: Box, name: str) -> Json | None:
    """None while nobody answers, or this process does not have the folder yet."""
    if box.ask("/v1/batches") != 200:
        return None
    return cast(Json, box.client.get(f"/v1/batches/{name}").json())


def answered(box: Box, name: str) -> int:
    found = batch(box, name)
    return found["request_counts"]["completed"] if found else 0


def until_answered(box: Box, name: str, count: int) -> None:
    wait_until(lambda: answered(box, name) >= count)


def results(box: Box, name: str) -> list[Json]:
    """Once the batch has ended, all of its lines."""
    done = wait_until(lambda: (found := batch(box, name)) and found["status"] in ENDED and found)
    assert done["status"] == "completed", done
    content = box.client.get(f"/v1/files/{done['output_file_id']}/content")
    return [json.loads(text) for text in content.text.splitlines()]


@pytest.fixture
def box(make_box: MakeBox, tmp_path: Path) -> Box:
    kept = BatchConfig(folder=str(tmp_path / "batches"))
    return make_box(spec(CHAT, slots=4, queue_limit=8), batches=kept).wait_ready()


def texts(found: list[Json]) -> dict[str, str]:
    assert len({each["custom_id"] for each in found}) == len(found), "a line was answered twice"
    return {
        each["custom_id"]: each["response"]["body"]["choices"][0]["message"]["content"]
        for each in found
    }


def test_a_frontend_killed_in_the_middle_loses_no_line_and_repeats_none(box: Box) -> None:
    name = begin(box, *(line(f"l{number}", f"word {number}") for number in range(LINES)))
    for reached in (50, 200):
        until_answered(box, name, reached)
        os.kill(box.health()["frontend"]["pid"], signal.SIGKILL)
        box.wait_ready()
    found = texts(results(box, name))
    assert found == {f"l{number}": f"word {number}" for number in range(LINES)}


def test_a_server_killed_in_the_middle_goes_on_at_the_next_start(box: Box) -> None:
    name = begin(box, *(line(f"l{number}", f"word {number}") for number in range(LINES)))
    until_answered(box, name, 100)
    box.process.kill()
    box.process.wait()
    box.start()
    box.wait_ready()
    found = texts(results(box, name))
    assert found == {f"l{number}": f"word {number}" for number in range(LINES)}


def test_a_worker_that_is_killed_costs_no_line(box: Box) -> None:
    name = begin(box, *(line(f"l{number}", f"/slow 5 word {number}") for number in range(60)))
    until_answered(box, name, 10)
    box.kill(CHAT)
    assert len(texts(results(box, name))) == 60


def test_a_client_is_served_beside_a_batch_that_fills_every_slot(box: Box) -> None:
    slow = "/slow 100 " + "word " * 100
    name = begin(box, *(line(f"l{number}", slow) for number in range(8)))
    wait_until(lambda: box.queue(CHAT)["in_flight"] == 4)
    for number in range(3):
        assert box.chat(f"live {number}").status_code == 200
    found = batch(box, name)
    assert found is not None
    assert found["request_counts"]["completed"] == 0, "ten seconds of work have not passed"
    cancelled = box.client.post(f"/v1/batches/{name}/cancel")
    assert cancelled.json()["status"] == "cancelling"
    wait_until(lambda: (now := batch(box, name)) and now["status"] == "cancelled")
    wait_until(lambda: box.queue(CHAT)["in_flight"] == 0)


def test_a_server_that_stops_waits_for_no_line(box: Box) -> None:
    name = begin(box, line("a", "/slow 1000 " + "word " * 100))
    wait_until(lambda: box.queue(CHAT)["in_flight"] == 1)
    box.process.send_signal(signal.SIGTERM)
    assert box.process.wait(timeout=DEADLINE_S) == 0
    box.start()
    box.wait_ready()
    wait_until(lambda: (found := batch(box, name)) and found["status"] == "in_progress")
