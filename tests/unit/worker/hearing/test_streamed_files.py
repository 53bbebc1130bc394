"""Files that are heard while they come, with a model that only notes what it is asked."""

from __future__ import annotations

import errno
from collections.abc import Iterator

import pytest

from ipc.messages.blob import Blob
from ipc.messages.errors import InternalError
from ipc.messages.events import Consumed, Delta, Done, Event, Failed
from ipc.messages.jobs import INPUT_CREDIT_BYTES, MAX_MORE_BYTES, Job, More, SpeechInput
from ipc.messages.spec import Spec
from tests.unit.worker.hearing.test_turns import Noting, NotingModel, admit, result, run, silence
from worker.audio.arriving import FileOnDisk

BEGINNING_BYTES = 4_096


@pytest.fixture
def engine() -> Iterator[Noting]:
    engine = Noting(NotingModel(2, 2))
    engine.load(Spec(name="w", task="speech", engine="fake", path="", slots=4), lambda _: None)
    engine.noting.asked.clear()
    yield engine
    engine.close()


class Upload:
    """A file on its way to a job, which sends as the credit has room."""

    def __init__(self, engine: Noting, name: str, data: bytes, language: str | None = "en") -> None:
        asked = SpeechInput(audio=Blob(data[:BEGINNING_BYTES]), streamed=True, language=language)
        assert engine.admit(Job(id=name, model="w", input=asked, deadline_at=0.0))
        self._engine, self._name, self._data = engine, name, data
        self._at, self._number = BEGINNING_BYTES, 0

    def send(self, size: int = MAX_MORE_BYTES) -> None:
        part = self._data[self._at : self._at + size]
        self._at += len(part)
        last = self._at >= len(self._data)
        self._engine.more(More(job=self._name, number=self._number, data=Blob(part), last=last))
        self._number += 1

    @property
    def has_ended(self) -> bool:
        return self._at >= len(self._data)

    def send_all(self) -> list[Event]:
        events: list[Event] = []
        while not self.has_ended:
            self.send()
            events += run(self._engine)
        return events


def told(events: list[Event], kind: type[Event]) -> list[Event]:
    return [event for event in events if isinstance(event, kind)]


def test_words_come_while_the_rest_is_on_its_way(engine: Noting) -> None:
    upload = Upload(engine, "a", silence(120))
    events: list[Event] = []
    while not told(events, Delta):
        assert not upload.has_ended
        upload.send()
        events += run(engine)
    assert not told(events, Done)
    events += upload.send_all()
    assert result(events, "a").text == "0 28 56 84 112"
    assert result(events, "a").duration_s == 120


def test_it_waits_without_a_step_until_more_comes(engine: Noting) -> None:
    upload = Upload(engine, "a", silence(60))
    run(engine)
    assert engine.wait_s() is None
    upload.send()
    assert engine.wait_s() == 0.0


def test_each_piece_is_told_as_used_once(engine: Noting) -> None:
    upload = Upload(engine, "a", silence(60))
    used = [event.pieces for event in upload.send_all() if isinstance(event, Consumed)]
    assert used == sorted(set(used))
    assert used[-1] == upload._number


def test_no_more_is_taken_in_than_may_wait(engine: Noting) -> None:
    """The rest stays with the sender, whose credit it takes."""
    upload = Upload(engine, "a", silence(60))
    while not upload.has_ended and upload._number < INPUT_CREDIT_BYTES // MAX_MORE_BYTES:
        upload.send()
    engine._take_in()
    (clip,) = engine._clips.values()
    assert clip._inbox


@pytest.mark.parametrize("others", ["a file", "nothing"])
def test_others_are_heard_while_it_waits(engine: Noting, others: str) -> None:
    Upload(engine, "slow", silence(60))
    if others == "a file":
        admit(engine, "b", 40)
    events = run(engine)
    assert [event.job for event in told(events, Done)] == (["b"] if others == "a file" else [])


def test_one_that_is_no_audio_fails_alone(engine: Noting) -> None:
    upload = Upload(engine, "a", b"OggS" + bytes(2 * BEGINNING_BYTES))
    admit(engine, "b", 5)
    events = upload.send_all()
    (failed,) = [event for event in events if isinstance(event, Failed)]
    assert (failed.job, failed.error.code) == ("a", "undecodable_media")
    assert result(events, "b").text == "0"


def test_one_that_a_broken_disk_holds_fails_alone(
    engine: Noting, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: FileOnDisk) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(FileOnDisk, "read", broken)
    upload = Upload(engine, "a", bytes(2 * BEGINNING_BYTES))
    admit(engine, "b", 5)
    events = upload.send_all()
    (failed,) = [event for event in events if isinstance(event, Failed)]
    assert (failed.job, failed.error.code) == ("a", InternalError.code)
    assert result(events, "b").text == "0"


def test_what_is_dropped_takes_nothing_more(engine: Noting) -> None:
    upload = Upload(engine, "a", silence(60))
    run(engine)
    engine.drop("a")
    upload.send()
    assert run(engine) == []


@pytest.mark.parametrize("language", ["en", None])
def test_it_is_heard_in_the_pieces_of_the_whole_file(engine: Noting, language: str | None) -> None:
    events = Upload(engine, "a", silence(100), language).send_all()
    admit(engine, "b", 100, language)
    events += run(engine)
    assert result(events, "a").segments == result(events, "b").segments
