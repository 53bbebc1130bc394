"""Live speech beside files, in one engine with a model that only notes what it is asked."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from ipc.messages.blob import Blob
from ipc.messages.errors import InvalidRequest, OutOfMemory
from ipc.messages.events import Consumed, Done, Event, Failed, Turn
from ipc.messages.jobs import Job, Live, More, SpeechInput
from ipc.messages.spec import Spec
from tests.unit.worker.hearing.test_live import LOUD, QUIET, Loudness
from tests.unit.worker.hearing.test_turns import DEADLINE_TURNS, Noting, NotingModel, admit
from worker.hearing.engine import HearingEngine
from worker.hearing.live import clip as clips
from worker.hearing.model import Manner

DEADLINE_S = 30.0


@pytest.fixture(autouse=True)
def loudness(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clips, "VoiceFinder", Loudness)


def load(workers: int) -> Noting:
    engine = Noting(NotingModel(workers, 2))
    engine.load(Spec(name="w", task="speech", engine="fake", path=""), lambda _: None)
    engine.noting.asked.clear()
    return engine


def speak(engine: HearingEngine, name: str) -> None:
    asked = SpeechInput(audio=Blob(b""), streamed=True, live=Live(rate_hz=16_000), language="en")
    assert engine.admit(Job(id=name, model="w", input=asked, deadline_at=0.0))


def send(engine: HearingEngine, name: str, number: int, data: bytes, *, last: bool = False) -> None:
    engine.more(More(job=name, number=number, data=Blob(data), last=last))


def until(engine: HearingEngine, done: Callable[[list[Event]], bool]) -> list[Event]:
    events: list[Event] = []
    for _ in range(DEADLINE_TURNS):
        events += engine.step()
        if done(events):
            return events
    raise AssertionError("it never comes")


def ended(events: list[Event]) -> bool:
    return any(isinstance(event, Done) for event in events)


def test_a_turn_is_heard_and_its_input_is_used() -> None:
    engine = load(1)
    speak(engine, "a")
    assert engine.wait_s() is None
    send(engine, "a", 0, LOUD * 60 + QUIET * 20)
    assert engine.wait_s() == 0.0
    send(engine, "a", 1, b"", last=True)
    events = until(engine, ended)
    told = [event.what for event in events if isinstance(event, Turn)]
    assert told[:3] == ["started", "stopped", "committed"]
    assert told[-1] == "ended"
    assert [event.pieces for event in events if isinstance(event, Consumed)] == [1, 2]
    assert engine.wait_s() is None
    engine.close()


def test_live_speech_is_heard_while_files_are_in_hand() -> None:
    """One of two workers takes no pieces while somebody speaks."""
    engine = load(2)
    go_on = threading.Event()

    def hold(starts: list[float]) -> None:
        if len(starts) == 2:  # live speech is heard turn by turn
            go_on.wait(DEADLINE_S)

    speak(engine, "a")
    engine.noting.before = hold
    admit(engine, "file", 100)
    for _ in range(20):
        engine.step()
    assert len(engine._running) == 1
    send(engine, "a", 0, LOUD * 60 + QUIET * 20)
    send(engine, "a", 1, b"", last=True)
    events = until(engine, ended)
    assert [event.job for event in events if isinstance(event, Done)] == ["a"]
    go_on.set()
    until(engine, ended)
    engine.close()


def test_no_file_is_read_while_live_speech_is_heard_but_between_two_runs() -> None:
    """The cap on memory of the one is the process's, so the other would come to it, too."""
    engine = load(1)
    go_on, heard = threading.Event(), threading.Event()

    def hold(_starts: list[float]) -> None:
        heard.set()
        go_on.wait(DEADLINE_S)

    speak(engine, "a")
    speak(engine, "b")
    engine.noting.before = hold
    for name in ("a", "b"):
        send(engine, name, 0, LOUD * 60 + QUIET * 20)
    until(engine, lambda _: heard.is_set())
    admit(engine, "file", 5)
    for _ in range(20):
        engine.step()
    (clip,) = engine._clips.values()
    assert not clip.uncut
    assert len(engine.noting.asked) == 0
    go_on.set()
    until(engine, lambda _: bool(engine.noting.asked))
    until(engine, lambda _: clip.is_read or bool(clip.uncut))
    assert len(engine.noting.asked) == 1
    until(engine, ended)
    engine.close()


def test_a_failure_of_the_model_ends_the_live_job_alone() -> None:
    engine = load(1)

    def fail(_starts: list[float]) -> None:
        raise OutOfMemory("none left")

    speak(engine, "a")
    speak(engine, "b")
    engine.noting.before = fail
    send(engine, "a", 0, LOUD * 60 + QUIET * 20)
    events = until(engine, lambda events: any(isinstance(event, Failed) for event in events))
    assert [event.job for event in events if isinstance(event, Failed)] == ["a"]
    assert engine._live is not None
    assert engine._live.has("b")
    engine.close()


def test_live_jobs_take_slots_and_give_them_back() -> None:
    engine = load(1)
    slots = 0
    asked = SpeechInput(audio=Blob(b""), streamed=True, live=Live(), language="en")
    while engine.admit(Job(id=str(slots), model="w", input=asked, deadline_at=0.0)):
        slots += 1
    engine.drop("0")
    assert engine.admit(Job(id="again", model="w", input=asked, deadline_at=0.0))
    engine.close()


def test_what_no_engine_can_do_is_refused() -> None:
    engine = load(1)
    speak(engine, "b")
    said = SpeechInput(audio=Blob(b""), streamed=True, live=Live(), language="fr")
    with pytest.raises(InvalidRequest, match="language"):
        engine.more(More(job="b", number=0, said=said))
    engine.close()


def test_quick_looks_have_times_and_the_language() -> None:
    engine = load(1)
    speak(engine, "a")
    send(engine, "a", 0, LOUD * 60)
    until(engine, lambda _: bool(engine.noting.asked))
    _, manner = engine.noting.asked[0]
    assert manner == Manner("en", times=True, live=True, quick=True)
    engine.close()
