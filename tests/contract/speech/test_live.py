"""What every engine that hears live speech promises, sent as fast as it takes it."""

from __future__ import annotations

import io
import wave

import jiwer
import pytest

from ipc.messages.blob import Blob
from ipc.messages.events import Consumed, Done, Turn
from ipc.messages.jobs import Job, Live, More, SpeechInput, TurnRules
from tests.contract.driver import Driver, job
from tests.contract.subjects import SPEECH_MODELS, Bench, recording
from worker.hearing.engine import HearingEngine

MODELS = SPEECH_MODELS

RATE_HZ = 16_000
SAID = (
    "and so my fellow americans ask not what your country can do for you "
    "ask what you can do for your country"
)


@pytest.fixture
def hearing(bench: Bench, driver: Driver) -> Driver:
    if not isinstance(driver.engine, HearingEngine):
        pytest.skip("it hears files only, or nothing at all")
    assert bench.loaded.streams_input
    return driver


def samples(name: str) -> bytes:
    with wave.open(io.BytesIO(recording(name))) as file:
        assert file.getframerate() == RATE_HZ
        sound: bytes = file.readframes(file.getnframes())
    return sound


def live(turns: TurnRules | None) -> Job:
    rules = Live(rate_hz=RATE_HZ, turns=turns)
    return job(SpeechInput(audio=Blob(b""), streamed=True, live=rules, language="en"))


def hear(driver: Driver, one: Job, sound: bytes, *, step_s: float = 0.5) -> list[Turn]:
    """All that is told of ``sound``, which comes in pieces once the last has been used."""
    driver.admit(one)
    step = int(step_s * RATE_HZ) * 2
    pieces = [sound[at : at + step] for at in range(0, len(sound), step)]
    for number, data in enumerate(pieces):
        driver.engine.more(
            More(job=one.id, number=number, data=Blob(data), last=number == len(pieces) - 1)
        )
        driver.until(lambda used=number + 1: _used(driver, one) >= used)  # type: ignore[misc]
    driver.finish(one)
    return [event for event in driver.of(one) if isinstance(event, Turn)]


def _used(driver: Driver, one: Job) -> int:
    return max((event.pieces for event in driver.of(one) if isinstance(event, Consumed)), default=0)


def plain(text: str) -> str:
    return " ".join("".join(filter(str.isalnum, word)) for word in text.lower().split())


@pytest.mark.trained
@pytest.mark.parametrize("turns", [TurnRules(), None], ids=["found", "by the client"])
def test_words_are_told_once_and_are_those_of_the_file(
    hearing: Driver, turns: TurnRules | None
) -> None:
    told = hear(hearing, live(turns), samples("jfk.wav") + bytes(2 * RATE_HZ))
    for number in {turn.turn for turn in told}:
        own = [turn for turn in told if turn.turn == number]
        (ended,) = [turn for turn in own if turn.what == "ended"]
        assert "".join(turn.text for turn in own if turn.what == "words") == ended.text
        assert own[-1] is ended
    text = " ".join(turn.text for turn in told if turn.what == "ended")
    assert jiwer.wer(SAID, plain(text)) <= 0.15


def test_silence_says_nothing(hearing: Driver) -> None:
    assert hear(hearing, live(TurnRules()), bytes(20 * RATE_HZ)) == []


def test_a_session_that_is_dropped_leaves_nothing_to_do(hearing: Driver) -> None:
    one = live(TurnRules())
    hearing.admit(one)
    hearing.engine.more(More(job=one.id, number=0, data=Blob(samples("jfk.wav")[:60_000])))
    hearing.turn()
    hearing.engine.drop(one.id)
    hearing.settle()
    assert not any(isinstance(event, Done) for event in hearing.of(one))
