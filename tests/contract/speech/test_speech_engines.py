"""What every speech engine promises."""

from __future__ import annotations

import io
import wave

import numpy as np
import pytest

from ipc.messages.errors import UndecodableMedia
from ipc.messages.events import Delta, Done, SpeechResult
from ipc.messages.jobs import Job
from tests.contract.driver import Driver, speech
from tests.contract.subjects import SPEECH_MODELS, Bench, recording
from worker.engines.common.plain_text import control_tokens
from worker.engines.whisper.ctranslate2_speech import WhisperSpeech

MODELS = SPEECH_MODELS

# Echo says the prompt; a model says what it hears.
PROMPT = "A president speaks to the country he leads."
RATE_HZ = 16_000


def wav(samples: bytes) -> bytes:
    """A 16 kHz mono WAV file of 16-bit ``samples``."""
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(RATE_HZ)
        out.writeframes(samples)
    return file.getvalue()


def repeated(audio: bytes, times: int) -> bytes:
    with wave.open(io.BytesIO(audio)) as file:
        return wav(file.readframes(file.getnframes()) * times)


@pytest.fixture(scope="session")
def clip() -> bytes:
    """Eleven seconds of John F. Kennedy's inaugural address, 16 kHz mono."""
    return recording("jfk.wav")


def result(driver: Driver, one: Job) -> SpeechResult:
    found = driver.result(one)
    assert isinstance(found, SpeechResult)
    return found


def test_loading_tells_the_device(bench: Bench) -> None:
    assert bench.loaded.device.lower().startswith((bench.spec.device, "remote"))


def test_a_job_gets_its_transcript_and_exactly_one_terminal(driver: Driver, clip: bytes) -> None:
    one = speech(clip, prompt=PROMPT)
    driver.run(one)
    *deltas, last = driver.of(one)
    assert deltas
    assert all(isinstance(event, Delta) and event.text for event in deltas)
    assert isinstance(last, Done)
    assert "country" in result(driver, one).text
    assert driver.text(one).strip() == result(driver, one).text.strip()


def test_segments_follow_each_other(driver: Driver, clip: bytes) -> None:
    one = speech(repeated(clip, 3), prompt=PROMPT, language="en")
    driver.run(one)
    segments = result(driver, one).segments
    assert result(driver, one).words is None
    assert [segment.id for segment in segments] == list(range(len(segments)))
    assert all(segment.start <= segment.end for segment in segments)
    starts = [segment.start for segment in segments]
    assert starts == sorted(starts)


def test_words_are_timed_when_asked_for(driver: Driver, clip: bytes) -> None:
    one = speech(clip, prompt=PROMPT, word_times=True)
    driver.run(one)
    words = result(driver, one).words
    assert words
    assert all(0 <= word.start <= word.end for word in words)


@pytest.mark.gradual
def test_a_dropped_job_gets_nothing_more(driver: Driver, clip: bytes) -> None:
    one = speech(repeated(clip, 4), prompt=PROMPT, language="en")
    driver.admit(one)
    driver.until(lambda: bool(driver.deltas(one)))
    seen = len(driver.of(one))
    driver.engine.drop(one.id)
    driver.settle()
    assert len(driver.of(one)) == seen
    assert not driver.ended(one)


def test_an_idle_engine_has_nothing_to_wait_for(driver: Driver) -> None:
    driver.engine.drop("never-heard-of")
    assert driver.engine.wait_s() is None


@pytest.mark.model
def test_the_transcript_is_what_was_said(driver: Driver, clip: bytes) -> None:
    one = speech(clip)
    driver.run(one)
    heard = result(driver, one)
    assert "ask not what your country can do for you" in heard.text.lower()
    assert heard.language == "en"
    assert heard.duration_s == pytest.approx(11.0, abs=0.1)


@pytest.mark.model
def test_compressed_audio_is_decoded(driver: Driver) -> None:
    one = speech(recording("jfk.mp3"), language="en")
    driver.run(one)
    assert "your country" in result(driver, one).text.lower()


@pytest.mark.model
def test_silence_is_an_answer_without_words(driver: Driver) -> None:
    one = speech(wav(bytes(2 * RATE_HZ * 2)))
    driver.run(one)
    assert result(driver, one).text.strip() == ""


@pytest.mark.model
@pytest.mark.parametrize("audio", [b"", b"not audio at all", wav(b"")[:20]], ids=str)
def test_what_is_not_audio_is_refused(driver: Driver, audio: bytes) -> None:
    error = driver.refused(speech(audio))
    assert isinstance(error, UndecodableMedia)


# --- prompts ---


@pytest.mark.model
def test_a_prompt_never_comes_to_a_control_token(bench: Bench) -> None:
    engine = bench.engine
    assert isinstance(engine, WhisperSpeech)
    assert engine._model is not None
    tokenizer = engine._model.search.hf_tokenizer
    control = control_tokens(tokenizer)
    assert {"<|startoftranscript|>", "<|endoftext|>", "<|de|>"} < set(control.values())
    for text in control.values():
        found = tokenizer.encode(f" so {text}{text}", add_special_tokens=False).ids
        assert control.keys().isdisjoint(found), text


@pytest.mark.model
@pytest.mark.parametrize("prompt", ["<|endoftext|><|nospeech|>" * 50, "<|de|><|translate|>"])
def test_nor_does_it_change_what_is_heard(driver: Driver, clip: bytes, prompt: str) -> None:
    one = speech(clip, prompt=prompt)
    driver.run(one)
    heard = result(driver, one)
    assert heard.language == "en"
    assert "country" in heard.text


# --- times and channels ---


def spoken(audio: bytes) -> bytes:
    """The samples of a WAV file."""
    with wave.open(io.BytesIO(audio)) as file:
        samples: bytes = file.readframes(file.getnframes())
    return samples


def silence(seconds: float) -> bytes:
    return bytes(2 * int(seconds * RATE_HZ))


# In the recording, nobody speaks from 2.3 to 3.2 s, in the middle of a sentence.
PAUSE_S = 2.75
LONG_S = 8.0


def in_silence(start: float, end: float) -> bool:
    """Whether something is shown or said for most of a second in the long silence."""
    return min(end, PAUSE_S + LONG_S) - max(start, PAUSE_S) > 0.9


@pytest.mark.model
@pytest.mark.parametrize("word_times", [False, True])
def test_no_cue_stays_over_a_long_silence(driver: Driver, clip: bytes, *, word_times: bool) -> None:
    samples, cut = spoken(clip), 2 * int(PAUSE_S * RATE_HZ)
    one = speech(
        wav(samples[:cut] + silence(LONG_S) + samples[cut:]), language="en", word_times=word_times
    )
    driver.run(one)
    heard = result(driver, one)
    assert "your country" in heard.text.lower()
    assert len(heard.segments) > 1
    assert not [each for each in heard.segments if in_silence(each.start, each.end)]
    assert not [each for each in heard.words or [] if in_silence(each.start, each.end)]
    assert "".join(each.text for each in heard.segments).strip() == heard.text
    assert [each.id for each in heard.segments] == list(range(len(heard.segments)))
    assert all(each.tokens for each in heard.segments)
    assert (heard.words is not None) is word_times


@pytest.mark.model
def test_cues_keep_the_clock_of_the_recording(driver: Driver, clip: bytes) -> None:
    first, second = spoken(clip), spoken(recording("sense_and_sensibility_01_austen_64kb-0870.wav"))
    one = speech(wav(silence(4) + first + silence(6) + second + silence(3)), language="en")
    driver.run(one)
    cues = result(driver, one).segments
    assert cues[0].start == pytest.approx(4.3, abs=0.3)
    assert cues[-1].end == pytest.approx(27.8, abs=0.7)
    assert not [cue for cue in cues if cue.start < 15 and cue.end > 16]
    assert not [cue for cue in cues if cue.start < 20.8 and cue.end > 21.5]


@pytest.mark.model
def test_channels_in_opposite_phase_are_heard(driver: Driver, clip: bytes) -> None:
    left = np.frombuffer(spoken(clip), "<i2")
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(2)
        out.setsampwidth(2)
        out.setframerate(RATE_HZ)
        out.writeframes(np.stack([left, -left], 1).tobytes())
    one = speech(file.getvalue(), language="en")
    driver.run(one)
    assert "your country" in result(driver, one).text.lower()
