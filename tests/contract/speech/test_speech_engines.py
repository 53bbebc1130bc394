"""What every speech engine promises."""

from __future__ import annotations

import io
import wave

import numpy as np
import pytest

from ipc.facts.samples import wav
from ipc.messages.blob import Blob
from ipc.messages.errors import UndecodableMedia, UnsupportedParameter
from ipc.messages.events import Consumed, Delta, Done, Listened, SpeechResult
from ipc.messages.jobs import Job, More
from tests.contract.driver import Driver, speech
from tests.contract.subjects import SPEECH_MODELS, Bench, recording
from worker.engines.common.plain_text import control_tokens
from worker.engines.whisper.model import Whisper
from worker.hearing.engine import HearingEngine

MODELS = SPEECH_MODELS

# Echo says the prompt; a model says what it hears.
PROMPT = "A president speaks to the country he leads."
RATE_HZ = 16_000
# Of a file that comes in pieces: some four seconds.
PART_BYTES = 128 << 10


def alternating(clip: bytes, times: int) -> bytes:
    """``clip`` and another in turns: the same again and again is doubted, and heard anew."""
    other = spoken(recording("sense_and_sensibility_01_austen_64kb-0870.wav"))
    return wav(times * (spoken(clip) + other))


@pytest.fixture(scope="session")
def clip() -> bytes:
    """Eleven seconds of John F. Kennedy's inaugural address, 16 kHz mono."""
    return recording("jfk.wav")


def result(driver: Driver, one: Job) -> SpeechResult:
    found = driver.result(one)
    assert isinstance(found, SpeechResult)
    return found


def request(bench: Bench, audio: bytes, **asked: object) -> Job:
    """With the prompt, where the model reads one."""
    prompt = {} if "prompt" in bench.subject.refuses else {"prompt": PROMPT}
    return speech(audio, **prompt, **asked)


def refused(driver: Driver, one: Job) -> str | None:
    """The parameter for which it is."""
    error = driver.refused(one)
    assert isinstance(error, UnsupportedParameter)
    return error.param


def test_loading_tells_the_device(bench: Bench) -> None:
    assert bench.loaded.device.lower().startswith((bench.spec.device, "remote"))


def test_a_job_gets_its_transcript_and_exactly_one_terminal(
    bench: Bench, driver: Driver, clip: bytes
) -> None:
    one = request(bench, clip)
    driver.run(one)
    *pieces, last = driver.of(one)
    deltas = [event for event in pieces if not isinstance(event, Listened)]
    assert deltas
    assert all(isinstance(event, Delta) and event.text for event in deltas)
    assert isinstance(last, Done)
    assert "country" in result(driver, one).text or not bench.subject.trained
    assert driver.text(one).strip() == result(driver, one).text.strip()


def test_segments_follow_each_other(bench: Bench, driver: Driver, clip: bytes) -> None:
    one = request(bench, alternating(clip, 2), language="en")
    driver.run(one)
    segments = result(driver, one).segments
    assert result(driver, one).words is None
    assert [segment.id for segment in segments] == list(range(len(segments)))
    assert all(segment.start <= segment.end for segment in segments)
    starts = [segment.start for segment in segments]
    assert starts == sorted(starts)


def test_words_are_timed_when_asked_for(bench: Bench, driver: Driver, clip: bytes) -> None:
    one = request(bench, clip, word_times=True)
    if "word_times" in bench.subject.refuses:
        assert refused(driver, one) == "timestamp_granularities"
        return
    driver.run(one)
    words = result(driver, one).words
    assert words
    assert all(0 <= word.start <= word.end for word in words)


def test_a_file_that_comes_in_pieces_has_the_words_of_the_whole(
    bench: Bench, driver: Driver, clip: bytes
) -> None:
    if not bench.loaded.streams_input:
        return  # the frontend hands it whole files
    audio = alternating(clip, 1)
    whole = request(bench, audio, language="en", temperature=0.0)
    driver.run(whole)
    one = request(bench, audio[:PART_BYTES], streamed=True, language="en", temperature=0.0)
    driver.admit(one)
    parts = [audio[at : at + PART_BYTES] for at in range(PART_BYTES, len(audio), PART_BYTES)]
    for number, part in enumerate(parts):
        assert not driver.ended(one)
        last = number == len(parts) - 1
        driver.engine.more(More(job=one.id, number=number, data=Blob(part), last=last))
        driver.until(lambda sent=number + 1: used(driver, one) == sent)  # type: ignore[misc]
    driver.finish(one)
    assert result(driver, one).text.split() == result(driver, whole).text.split()


def used(driver: Driver, one: Job) -> int:
    return max((event.pieces for event in driver.of(one) if isinstance(event, Consumed)), default=0)


@pytest.mark.gradual
def test_a_dropped_job_gets_nothing_more(bench: Bench, driver: Driver, clip: bytes) -> None:
    one = request(bench, alternating(clip, 8), language="en")
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
@pytest.mark.trained
def test_the_transcript_is_what_was_said(driver: Driver, clip: bytes) -> None:
    one = speech(clip)
    driver.run(one)
    heard = result(driver, one)
    assert "ask not what your country can do for you" in heard.text.lower()
    assert heard.language == "en"
    assert heard.duration_s == pytest.approx(11.0, abs=0.1)


@pytest.mark.model
@pytest.mark.trained
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
def test_a_prompt_never_comes_to_a_control_token(bench: Bench, driver: Driver) -> None:
    if "prompt" in bench.subject.refuses:
        assert refused(driver, speech(b"", prompt="<|de|>")) == "prompt"
        return
    engine = bench.engine
    assert isinstance(engine, HearingEngine)
    assert isinstance(engine._model, Whisper)
    tokenizer = engine._model.search.hf_tokenizer
    control = control_tokens(tokenizer)
    assert {"<|startoftranscript|>", "<|endoftext|>", "<|de|>"} < set(control.values())
    for text in control.values():
        found = tokenizer.encode(f" so {text}{text}", add_special_tokens=False).ids
        assert control.keys().isdisjoint(found), text


@pytest.mark.model
@pytest.mark.trained
@pytest.mark.parametrize("prompt", ["<|endoftext|><|nospeech|>" * 50, "<|de|><|translate|>"])
def test_nor_does_it_change_what_is_heard(
    bench: Bench, driver: Driver, clip: bytes, prompt: str
) -> None:
    one = speech(clip, prompt=prompt)
    if "prompt" in bench.subject.refuses:
        assert refused(driver, one) == "prompt"
        return
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
@pytest.mark.trained
@pytest.mark.parametrize("word_times", [False, True])
def test_no_cue_stays_over_a_long_silence(
    bench: Bench, driver: Driver, clip: bytes, *, word_times: bool
) -> None:
    samples, cut = spoken(clip), 2 * int(PAUSE_S * RATE_HZ)
    one = speech(
        wav(samples[:cut] + silence(LONG_S) + samples[cut:]), language="en", word_times=word_times
    )
    if word_times and "word_times" in bench.subject.refuses:
        assert refused(driver, one) == "timestamp_granularities"
        return
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
@pytest.mark.trained
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
@pytest.mark.trained
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
