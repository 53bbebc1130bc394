"""From events to a file, with nothing behind it but a folder."""

from __future__ import annotations

import asyncio
import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from frontend.dispatch.event_feed import EventFeed
from frontend.incidents import recorder as recording
from frontend.incidents.folder import Folder
from frontend.incidents.incident import Incident
from frontend.incidents.recorder import Recorder
from ipc.messages.admin import BoxEvent
from ipc.messages.errors import Unavailable

AT = 1_800_000_000.0
DEADLINE_S = 20.0


class FakeSources:
    """Has a request and some lines of each process; ``silent`` parts are not to be had."""

    def __init__(self, *silent: str) -> None:
        self._silent = silent

    def _tell(self, name: str) -> None:
        if name in self._silent:
            raise Unavailable("nobody answers")

    async def requests(self, since_s: float) -> list[dict[str, Any]]:
        self._tell("requests")
        return [{"time_s": since_s + 1, "model": "org/chat", "shape": {"kind": "chat"}}]

    async def events(self, _: float) -> list[BoxEvent]:
        return []

    async def samples(self, since_s: float) -> list[dict[str, Any]]:
        return [{"time_s": since_s, "cpu_percent": 3.0}]

    async def report(self) -> dict[str, Any]:
        self._tell("report")
        return {"models": [{"name": "org/chat", "replicas": [{"replica": "org.chat-1"}]}]}

    async def log(self, _: str, __: int) -> list[str]:
        return ["Fatal Python error: Aborted", "Current thread 0x1 (most recent call first):"]

    def settings(self) -> dict[str, Any]:
        return {"port": 8000}

    def specs(self) -> list[dict[str, Any]]:
        return [{"name": "org/chat"}]


class Play:
    """A recorder at work in ``path``; what it has noted is in ``noted``."""

    def __init__(self, path: Path, *silent: str) -> None:
        self.folder = Folder(path / "incidents", 1 << 20)
        self.feed = EventFeed()
        self.noted: list[dict[str, Any]] = []
        self.recorder = Recorder(
            self.folder,
            self.feed,
            FakeSources(*silent),
            self.note,
            wall_s=lambda: AT,
        )
        self._changed = asyncio.Event()

    def note(self, kind: str, model: str | None, facts: dict[str, Any]) -> None:
        self.noted.append({"type": kind, "model": model, **facts})
        self._changed.set()

    async def until(self, count: int, before: Incident | None = None) -> list[dict[str, Any]]:
        """What the files say, once there are so many."""
        task = asyncio.create_task(self.recorder.run(before))
        try:
            async with asyncio.timeout(DEADLINE_S):
                while len(self.noted) < count:
                    await self._changed.wait()
                    self._changed.clear()
        finally:
            task.cancel()
        return [self.told(one.id) for one in self.folder.files()]

    def told(self, incident_id: str) -> dict[str, Any]:
        data = self.folder.read(incident_id)
        assert data is not None
        found: dict[str, Any] = json.loads(gzip.decompress(data))
        return found


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording, "SETTLE_S", 0.01)


def died(seq: int = 1, model: str = "org/chat", **facts: Any) -> BoxEvent:
    facts = {"planned": False, "cause": "hang", "child": "org.chat-1", **facts}
    return BoxEvent(seq=seq, time_s=AT, type="replica.exit", model=model, facts=facts)


def test_a_file_is_written_of_it_and_told(tmp_path: Path) -> None:
    play = Play(tmp_path)
    play.feed.add([died()])
    (told,) = asyncio.run(play.until(1))
    assert told["told"] == "org/chat hung and was replaced, 0 requests in hand"
    assert told["requests"] == [
        {"at_s": -299.0, "model": "org/chat", "shape": {"kind": "chat"}, "client": 1}
    ]
    assert told["stacks"]["org.chat-1"][0] == "Fatal Python error: Aborted"
    assert told["settings"] == {"port": 8000}
    assert {"processor", "memory", "kernel_log"} == told["machine"].keys()
    assert "python" in told["versions"]
    (noted,) = play.noted
    assert (noted["type"], noted["model"], noted["id"]) == ("incident", "org/chat", told["id"])


def test_what_is_not_to_be_had_keeps_nothing_else_out_of_it(tmp_path: Path) -> None:
    play = Play(tmp_path, "report", "requests")
    play.feed.add([died(), died(2, child=None, cause="crash")])
    (told,) = asyncio.run(play.until(1))
    assert told["missing"] == {"processes": "nobody answers", "requests": "nobody answers"}
    assert told["samples"] == [{"at_s": -300.0, "cpu_percent": 3.0}]


def test_one_that_cannot_be_written_is_no_end_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    play, full = Play(tmp_path), asyncio.Event()
    write = play.folder.write

    async def both() -> list[dict[str, Any]]:
        loop = asyncio.get_running_loop()

        def may_fail(incident_id: str, data: bytes) -> None:
            if not full.is_set():
                loop.call_soon_threadsafe(full.set)
                raise OSError(28, "No space left on device")
            write(incident_id, data)

        monkeypatch.setattr(play.folder, "write", may_fail)
        files = asyncio.create_task(play.until(1))
        play.feed.add([died()])
        await full.wait()
        play.feed.add([died(2, model="b")])
        return await files

    (told,) = asyncio.run(both())
    assert told["model"] == "b"
    (record,) = [one for one in caplog.records if one.message == "incident_not_written"]
    assert record.levelname == "WARNING"
    assert record.exc_info is None  # a stack would explain nothing
    assert "No space left" in record.__dict__["why"]


def test_what_became_of_the_server_before_this_one_is_told_too(tmp_path: Path) -> None:
    gone = Incident(what="server-died", time_s=AT - 5, facts={"machine_restarted": False})
    (told,) = asyncio.run(Play(tmp_path).until(1, gone))
    assert told["told"] == "the server before this one was killed, without having been stopped"
