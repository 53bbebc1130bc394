"""What a server has done is known after its frontend, or all of it, was killed."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import httpx2
import pytest

from ipc.messages.control import HistoryConfig
from tests.process.box import CHAT, Box, MakeBox, spec, wait_until


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "history.db"


@pytest.fixture
def box(make_box: MakeBox, file: Path) -> Box:
    return make_box(
        spec(CHAT, slots=2, prefetch=0), history=HistoryConfig(file=str(file))
    ).wait_ready()


def ask(box: Box, name: str, text: str = "hello there") -> None:
    body = {"model": CHAT, "messages": [{"role": "user", "content": text}], "stream": True}
    answer = box.client.post(
        "/v1/chat/completions", json=body, headers={"x-request-id": name}, timeout=60
    )
    assert answer.status_code == 200


def known(box: Box, **query: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = box.client.get("/admin/requests", params=query).json()["requests"]
    return found


def ids(box: Box, **query: Any) -> list[str]:
    return [one["id"] for one in known(box, **query)]


def events_of(box: Box, **query: Any) -> str:
    return box.client.get("/admin/events", params={"follow": "false", **query}).text


def test_a_request_is_known_with_its_way_after_the_frontend_was_killed(box: Box) -> None:
    ask(box, "one", "a secret")
    before = box.client.get("/admin/requests/one").json()
    assert ids(box) == ["one"]  # what is read has been handed over to be written
    os.kill(box.health()["frontend"]["pid"], signal.SIGKILL)
    wait_until(lambda: box.ask("/readyz") == 200)
    after = box.client.get("/admin/requests/one").json()
    ages = {"age_s": 0}
    assert {**after, **ages} == {**before, **ages}
    times = after["times"]
    order = ("submitted_s", "dispatched_s", "began_s", "read_s", "worked_s")
    assert [times[name] for name in order] == sorted(times[name] for name in order)
    assert after["steps"] > 1
    assert after["worker_pid"] == box.replica(CHAT)["pid"]
    assert (after["attempt"], after["finish"], after["shape"]["chars"]) == (1, "stop", 8)
    assert "secret" not in box.client.get("/admin/requests").text


def test_all_killed_at_once_lose_no_more_than_the_last_second(box: Box, file: Path) -> None:
    names = [f"request-{number}" for number in range(20)]
    for name in names:
        ask(box, name)
    wait_until(lambda: b"request-19" in _written(file))
    box.process.send_signal(signal.SIGKILL)
    box.process.wait()
    wait_until(lambda: box.ask("/livez") is None)
    box.start()
    box.wait_ready()
    assert ids(box) == names[::-1]
    assert known(box, status="2xx", model=CHAT, limit=1)[0]["id"] == "request-19"
    assert events_of(box, since=1).count("event: replica.exit") == 0
    # Those of the run before have no number to go on from.
    told = events_of(box, since=1).strip().split("\n\n")
    assert {"id:" in one for one in told if '"ready"' in one} == {True, False}


def _written(file: Path) -> bytes:
    """What is on the disk, in the file or in its log."""
    files = (file, file.with_name(f"{file.name}-wal"))
    return b"".join(one.read_bytes() for one in files if one.exists())


def test_a_worker_that_dies_amid_a_request_leaves_its_process_in_the_row(box: Box) -> None:
    pid = box.replica(CHAT)["pid"]
    with pytest.raises(httpx2.HTTPStatusError):
        box.client.post(
            "/v1/chat/completions",
            json={"model": CHAT, "messages": [{"role": "user", "content": "/exit 1"}]},
            headers={"x-request-id": "poison"},
        ).raise_for_status()
    told = box.client.get("/admin/requests/poison").json()
    assert (told["error"], told["worker_pid"]) == ("worker_crashed", pid)
    assert told["times"]["worked_s"] is None
