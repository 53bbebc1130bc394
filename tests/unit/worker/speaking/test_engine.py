"""Speech out over a speaker that says tones: turns, ends, refusals."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from ipc.messages.errors import InternalError, InvalidRequest
from ipc.messages.events import Audio, Done, Event, Failed, SpeakResult
from ipc.messages.jobs import ChatInput, Job, Sampling, SpeakInput
from ipc.messages.spec import Loaded, Spec, Voice
from worker.audio.decode import Samples
from worker.engine import Stage
from worker.speaking.engine import SpeakingEngine
from worker.speaking.speaker import Traits
from worker.speaking.voices import OPENAI_VOICES, voice_called, with_openai_names

RATE_HZ = 8_000
WORD_S = 0.25
ids = itertools.count()


class Tones:
    """Says a tone for each word, with silence around it. ``broken`` is what it makes no sound of,
    ``odd`` what its rules fail on."""

    traits = Traits(rate_hz=RATE_HZ, frame_samples=80)

    def __init__(self) -> None:
        self.said: list[tuple[str, str]] = []

    def load(self, spec: Spec, stage: Stage) -> Loaded:
        stage("tones")
        return Loaded(device=spec.device, voices=[Voice(name="low"), Voice(name="high")])

    def readable(self, text: str) -> tuple[str, int]:
        return text.replace("ß", ""), text.count("ß")

    def sentences(self, paragraph: str) -> Sequence[str]:
        return paragraph.replace(". ", ".|").split("|")

    def phonemes(self, text: str, _voice: str) -> Sequence[str]:
        if "odd" in text:
            raise InvalidRequest("cannot be read", param="input")
        return [text] if any(character.isalpha() for character in text) else []

    def say(self, phonemes: str, voice: str) -> tuple[Samples, int]:
        self.said.append((phonemes, voice))
        if "broken" in phonemes:
            return np.full(100, np.nan, np.float32), 1
        words = len(phonemes.split())
        at = np.arange(round(words * WORD_S * RATE_HZ)) / RATE_HZ
        sound = (0.5 * np.sin(2 * np.pi * 440 * at)).astype(np.float32)
        return np.pad(sound, RATE_HZ // 2), words

    def close(self) -> None:
        pass


class Box:
    """A loaded engine and its speaker."""

    def __init__(self) -> None:
        self.speaker = Tones()
        self.engine = SpeakingEngine(self.speaker)
        spec = Spec(name="m", task="speak", engine="tones", path="", slots=2)
        self.engine.load(spec, lambda _: None)

    def admit(self, text: str, **asked: Any) -> str:
        job_id = f"job-{next(ids)}"
        asked_for = SpeakInput(text=text, **{"format": "pcm", **asked})
        job = Job(id=job_id, model="m", input=asked_for, deadline_at=0)
        assert self.engine.admit(job)
        return job_id

    def run(self) -> list[Event]:
        events: list[Event] = []
        while self.engine.wait_s() is not None:
            events += self.engine.step()
        return events

    def said(self, text: str, **asked: Any) -> tuple[Samples, SpeakResult]:
        """The sound of one text, in ``pcm``, and its end."""
        self.admit(text, **asked)
        *pieces, done = self.run()
        assert isinstance(done, Done)
        assert isinstance(done.result, SpeakResult)
        assert all(isinstance(piece, Audio) for piece in pieces)
        data = b"".join(piece.data.data for piece in pieces if isinstance(piece, Audio))
        return (np.frombuffer(data, "<i2") / 32767).astype(np.float32), done.result


@pytest.fixture
def box() -> Box:
    return Box()


def test_a_text_is_said_sentence_by_sentence(box: Box) -> None:
    job = box.admit("One two. Three. Four.")
    first = box.engine.step()
    assert [type(event) for event in first] == [Audio]
    assert [words for words, _ in box.speaker.said] == ["One two."]
    (*_, done) = box.run()
    assert isinstance(done, Done)
    assert done.job == job
    assert [words for words, _ in box.speaker.said] == ["One two.", "Three.", "Four."]


def test_the_sound_is_as_long_as_the_result_says(box: Box) -> None:
    samples, result = box.said("One two. Three.")
    assert samples.size / RATE_HZ == result.duration_s
    assert result.usage.prompt_tokens == 3
    assert result.duration_s == pytest.approx(3 * WORD_S + 0.3, abs=0.15)


def test_sentences_are_joined_in_silence_and_none_is_lost_at_the_ends(box: Box) -> None:
    samples, _ = box.said("One. Two.")
    loud = np.abs(samples) > 0.05
    edges = np.flatnonzero(np.diff(loud.astype(int)) != 0)
    assert loud.any()
    pause_s = np.diff(edges).max() / RATE_HZ
    assert pause_s == pytest.approx(0.3, abs=0.1)
    assert abs(samples[0]) < 0.01
    assert abs(samples[-1]) < 0.01


@pytest.mark.parametrize("speed", [0.25, 0.5, 0.8, 1.5, 2.0, 4.0])
def test_speed_changes_the_time_of_words_and_pauses(box: Box, speed: float) -> None:
    usual, _ = box.said("One two three. Four five six.")
    samples, _ = box.said("One two three. Four five six.", speed=speed)
    assert samples.size == pytest.approx(usual.size / speed, rel=0.06)


def test_texts_take_turns(box: Box) -> None:
    long = box.admit("One. Two. Three. Four.")
    short = box.admit("Five.")
    ends = [event.job for event in box.run() if isinstance(event, Done)]
    assert ends == [short, long]
    assert [words for words, _ in box.speaker.said[:3]] == ["One.", "Five.", "Two."]


def test_a_full_engine_takes_no_more(box: Box) -> None:
    box.admit("One.")
    box.admit("Two.")
    job = Job(id="third", model="m", input=SpeakInput(text="Three."), deadline_at=0)
    assert not box.engine.admit(job)


def test_a_dropped_text_is_not_said_on(box: Box) -> None:
    job = box.admit("One. Two. Three.")
    box.engine.step()
    box.engine.drop(job)
    box.engine.drop("unknown")
    assert box.engine.wait_s() is None
    assert len(box.speaker.said) == 1


@pytest.mark.parametrize(
    ("text", "why"),
    [("...", "has no words"), (" \n ", "is blank"), ("ßß", "has 2 letters"), ("odd", "read")],
)
def test_a_text_of_which_nothing_would_be_heard_is_refused(box: Box, text: str, why: str) -> None:
    with pytest.raises(InvalidRequest, match=why) as refused:
        box.admit(text)
    assert refused.value.param == "input"
    assert box.engine.wait_s() is None


def test_what_is_silent_in_a_text_is_passed_over_and_letters_are_counted(box: Box) -> None:
    _, result = box.said("... \nOne ßß. \n!!!")
    assert result.left_out == 2
    assert len(box.speaker.said) == 1


def test_a_part_that_cannot_be_read_ends_its_job_alone(box: Box) -> None:
    bad = box.admit("One. Two. odd.")
    good = box.admit("One. Two.")
    ends = {event.job: event for event in box.run() if not isinstance(event, Audio)}
    assert isinstance(ends[bad], Failed)
    assert isinstance(ends[good], Done)


def test_sound_that_is_none_ends_its_job(box: Box) -> None:
    job = box.admit("One. broken.")
    *_, end = box.run()
    assert isinstance(end, Failed)
    assert (end.job, end.error.code) == (job, InternalError.code)


def test_other_work_is_refused(box: Box) -> None:
    job = Job(id="x", model="m", input=ChatInput(sampling=Sampling(max_tokens=1)), deadline_at=0)
    with pytest.raises(InvalidRequest, match="speaks texts"):
        box.engine.admit(job)


def test_an_unknown_voice_is_refused_with_those_there_are(box: Box) -> None:
    with pytest.raises(InvalidRequest, match="no voice 'bob'; it has low, high") as refused:
        box.admit("One.", voice="bob")
    assert refused.value.param == "voice"


def test_voices_are_found_by_name_in_any_case_and_the_first_without(box: Box) -> None:
    box.said("One.", voice=" HIGH")
    box.said("One.")
    assert [voice for _, voice in box.speaker.said] == ["high", "low"]


def test_openai_s_names_stand_for_the_nearest_voice() -> None:
    voices = [Voice(name="heart"), Voice(name="fable")]
    found = with_openai_names(voices, {"ballad": "fable", "onyx": "not-here"})
    assert voice_called("ballad", found) == "fable"
    assert voice_called("fable", found) == "fable"
    assert voice_called("onyx", found) == voice_called("alloy", found) == "heart"
    names = {name for voice in found for name in (voice.name, *voice.aliases)}
    assert names == {"heart", *OPENAI_VOICES}
