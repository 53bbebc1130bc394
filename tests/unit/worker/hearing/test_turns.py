"""Whose pieces are heard when, with a model that only notes what it is asked."""

from __future__ import annotations

import io
import threading
import wave
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any

import pytest

from ipc.engine_options import SpeechOptions
from ipc.messages.blob import Blob
from ipc.messages.errors import OutOfMemory
from ipc.messages.events import Delta, Done, Event, Failed, Listened, SpeechResult
from ipc.messages.jobs import Job, SpeechInput
from ipc.messages.spec import Spec
from worker.audio.cut import LONGEST_S, Piece
from worker.engine import Stage
from worker.hearing.engine import HearingEngine
from worker.hearing.model import Heard, Manner, Traits, Wanted

DEADLINE_TURNS = 5_000


def said(text: str) -> Heard:
    return Heard("de", text, [1], [], 0.0, -0.1, 1.0, 0.0)


def start_s(piece: Piece) -> float:
    return piece.parts[0].start / 16_000


class NotingModel:
    """Hears in each piece where it begins."""

    device, max_tokens, languages, detail, traits = "cpu", 448, ["en", "de"], "", Traits()

    def __init__(self, workers: int, batch: int) -> None:
        self.workers = workers
        self.batch = batch
        self.asked: list[tuple[list[float], Manner]] = []
        self.before: Callable[[list[float]], None] = lambda _: None
        self.says: Callable[[Piece], Heard] = lambda piece: said(f" {start_s(piece):.0f}")

    def hear(self, pieces: Sequence[Piece], manner: Manner, wanted: Wanted) -> list[Heard]:
        self.wanted = wanted
        starts = [start_s(piece) for piece in pieces]
        self.before(starts)
        self.asked.append((starts, manner))
        found = [self.says(piece) for piece in pieces]
        return [one._replace(language=manner.language or one.language) for one in found]


class Noting(HearingEngine):
    def __init__(self, model: NotingModel) -> None:
        super().__init__()
        self.noting = model

    def open(self, spec: Spec, stage: Stage) -> tuple[SpeechOptions, Any]:  # noqa: ARG002
        return SpeechOptions(vad=False), self.noting


@pytest.fixture
def load() -> Iterator[Callable[..., Noting]]:
    loaded: list[Noting] = []

    def found(workers: int = 1, batch: int = 2) -> Noting:
        engine = Noting(NotingModel(workers, batch))
        engine.load(Spec(name="w", task="speech", engine="fake", path=""), lambda _: None)
        engine.noting.asked.clear()
        loaded.append(engine)
        return engine

    yield found
    for engine in loaded:
        engine.close()


def silence(seconds: float) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(16_000)
        out.writeframes(bytes(2 * int(seconds * 16_000)))
    return file.getvalue()


def admit(engine: Noting, name: str, seconds: float, language: str | None = "en") -> None:
    asked = SpeechInput(audio=Blob(silence(seconds)), language=language)
    assert engine.admit(Job(id=name, model="w", input=asked, deadline_at=0.0))


def run(engine: Noting, done: Callable[[list[Event]], bool] | None = None) -> list[Event]:
    events: list[Event] = []
    for _ in range(DEADLINE_TURNS):
        if engine.wait_s() is None or (done and done(events)):
            return events
        events += engine.step()
    raise AssertionError("the engine makes no end")


def text(events: list[Event], name: str) -> str:
    return "".join(event.text for event in events if isinstance(event, Delta) and event.job == name)


def result(events: list[Event], name: str) -> SpeechResult:
    (done,) = [event for event in events if isinstance(event, Done) and event.job == name]
    assert isinstance(done.result, SpeechResult)
    return done.result


def test_a_long_recording_is_heard_two_pieces_at_a_time(load: Callable[..., Noting]) -> None:
    engine = load()
    admit(engine, "a", 100)
    events = run(engine)
    assert [len(starts) for starts, _ in engine.noting.asked] == [2, 2]
    assert result(events, "a").text == text(events, "a")
    assert len(result(events, "a").segments) == 4
    assert result(events, "a").duration_s == 100


def test_how_far_a_recording_is_counts_all_pieces_that_were_heard_together(
    load: Callable[..., Noting], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.hearing.pace.PERIOD_S", 0.0)
    engine = load(batch=3)
    admit(engine, "a", 140)
    events = run(engine)
    shown_s = 0.0
    told: list[tuple[float, float]] = []
    for event in events:
        if isinstance(event, Delta):
            shown_s = float(event.text)
        elif isinstance(event, Listened):
            told.append((shown_s, event.heard_s))
    assert told == [(56.0, 84.0)]  # the piece that was last shown begins at the first


def test_no_piece_is_longer_than_the_model_hears(load: Callable[..., Noting]) -> None:
    engine = load()
    admit(engine, "a", 100)
    starts = [segment.start for segment in result(run(engine), "a").segments]
    assert all(after - before <= LONGEST_S for before, after in pairwise(starts))


def test_recordings_share_a_batch_and_take_turns(load: Callable[..., Noting]) -> None:
    engine = load()
    admit(engine, "long", 300)
    admit(engine, "short", 5)
    events = run(engine)
    assert engine.noting.asked[0][0] == [0.0, 0.0]
    names = [event.job for event in events if isinstance(event, Done)]
    assert names == ["short", "long"]


@pytest.mark.parametrize(
    ("clips", "workers", "heard"), [(4, 2, [2, 2]), (3, 2, [1, 2]), (2, 2, [1, 1]), (4, 1, [4])]
)
def test_workers_that_are_free_share_what_waits(
    load: Callable[..., Noting], clips: int, workers: int, heard: list[int]
) -> None:
    engine = load(workers=workers, batch=4)
    all_hear = threading.Barrier(workers)
    engine.noting.before = lambda _: (all_hear.wait(20), None)[1]
    for number in range(clips):
        admit(engine, f"{number}", 5)
    run(engine)
    assert sorted(len(starts) for starts, _ in engine.noting.asked) == heard


def test_the_end_of_a_recording_is_shared_too(load: Callable[..., Noting]) -> None:
    engine = load(workers=2, batch=4)
    admit(engine, "a", 600)
    assert result(run(engine), "a").duration_s == 600
    sizes = [len(starts) for starts, _ in engine.noting.asked]
    left = [sum(sizes[at:]) for at in range(len(sizes))]
    assert max(sizes) == 4
    assert all(size <= (behind + 2) / 2 for size, behind in zip(sizes, left, strict=True))


def test_what_is_to_be_heard_otherwise_is_in_a_batch_of_its_own(
    load: Callable[..., Noting],
) -> None:
    engine = load()
    admit(engine, "a", 40, "en")
    admit(engine, "b", 40, "de")
    run(engine)
    assert sorted((len(starts), manner.language) for starts, manner in engine.noting.asked) == [
        (2, "de"),
        (2, "en"),
    ]


def test_the_first_piece_tells_the_language_of_the_others(load: Callable[..., Noting]) -> None:
    engine = load(workers=2)
    admit(engine, "a", 80, None)
    events = run(engine)
    assert [manner.language for _, manner in engine.noting.asked] == [None, "de", "de"]
    assert result(events, "a").language == "de"


def test_a_piece_in_which_nobody_speaks_tells_no_language(load: Callable[..., Noting]) -> None:
    engine = load()
    noise = said(" so")._replace(language="nn", avg_logprob=-1.7, no_speech_prob=0.9)
    engine.noting.says = lambda piece: noise if start_s(piece) < 40 else said(" so")
    admit(engine, "a", 110, None)
    found = result(run(engine), "a")
    assert [manner.language for _, manner in engine.noting.asked] == [None, None, None, "de"]
    assert (found.language, found.dropped) == ("de", {"no_speech": 2})


def test_what_is_heard_early_waits_for_what_was_said_before(load: Callable[..., Noting]) -> None:
    engine = load(workers=2, batch=1)
    second = threading.Event()

    def before(starts: list[float]) -> None:
        if starts == [0.0]:
            assert second.wait(20)
        else:
            second.set()

    engine.noting.before = before
    admit(engine, "a", 50)
    segments = result(run(engine), "a").segments
    assert [segment.text for segment in segments] == sorted(
        (segment.text for segment in segments), key=float
    )


def test_a_file_is_read_as_far_as_it_is_about_to_be_heard(load: Callable[..., Noting]) -> None:
    engine = load()
    admit(engine, "a", 3_600)
    run(engine, lambda events: bool(events))
    (clip,) = engine._clips.values()
    assert not clip.is_read
    assert len(clip.waiting) < 20
    assert len(clip.uncut) <= 32


def test_what_is_read_is_cut_while_the_workers_are_busy(load: Callable[..., Noting]) -> None:
    engine = load()
    busy, waiting = threading.Event(), []

    def before(starts: list[float]) -> None:
        if starts[0] == 0.0:
            assert busy.wait(20)

    engine.noting.before = before
    admit(engine, "a", 300)

    def cut_ahead(_events: list[Event]) -> bool:
        (clip,) = engine._clips.values()
        waiting.append(len(clip.waiting))
        return bool(engine._running) and waiting[-1] > 5

    run(engine, cut_ahead)
    busy.set()
    assert result(run(engine), "a").duration_s == 300


def test_a_recording_in_which_nobody_speaks_ends_without_a_piece(
    load: Callable[..., Noting],
) -> None:
    engine = load()
    engine._options = SpeechOptions(vad=True)
    admit(engine, "a", 100)
    assert result(run(engine), "a").text == ""
    assert engine.noting.asked == []


def test_what_is_dropped_brings_nothing_more(load: Callable[..., Noting]) -> None:
    engine = load()
    admit(engine, "a", 300)
    run(engine, lambda events: bool(events))
    engine.drop("a")
    assert run(engine) == []


def test_a_batch_that_fails_ends_only_its_own_recordings(load: Callable[..., Noting]) -> None:
    engine = load()

    def before(starts: list[float]) -> None:
        if len(starts) == 2:
            raise OutOfMemory("full")

    engine.noting.before = before
    admit(engine, "a", 40, "en")
    admit(engine, "b", 5, "de")
    events = run(engine)
    assert [event.job for event in events if isinstance(event, Failed)] == ["a"]
    assert [event.job for event in events if isinstance(event, Done)] == ["b"]


def test_a_model_is_told_when_nobody_waits_any_more(load: Callable[..., Noting]) -> None:
    engine = load()
    wanted: list[bool] = []

    def before(_: list[float]) -> None:
        wanted.append(engine.noting.wanted(0))
        engine.drop("a")
        wanted.append(engine.noting.wanted(0))

    engine.noting.before = before
    admit(engine, "a", 5)
    assert run(engine) == []
    assert wanted == [True, False]


def test_pieces_share_a_batch_where_no_language_is_to_be_found(load: Callable[..., Noting]) -> None:
    engine = load()
    engine.noting.traits = Traits(finds_language=False)
    admit(engine, "a", 40, None)
    events = run(engine)
    assert [len(starts) for starts, _ in engine.noting.asked] == [2]
    assert result(events, "a").language == "de"
