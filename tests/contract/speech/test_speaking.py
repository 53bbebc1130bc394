"""What engines that speak promise: it is heard, in each format, as soon as it is said."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from typing import get_args

import av
import jiwer
import pytest
from transformers.models.whisper.english_normalizer import EnglishTextNormalizer

from ipc.messages.errors import InvalidRequest
from ipc.messages.events import Audio, Done, SpeakResult
from ipc.messages.jobs import AudioFormat
from tests.contract.driver import Driver, speak, speech
from tests.contract.subjects import SPEAK_MODELS, WHISPER, Bench, Subject, real_model

MODELS = SPEAK_MODELS
pytestmark = pytest.mark.model

HEARER = Subject("ctranslate2", "speech", lambda _: real_model(WHISPER))
SENTENCES = (
    "The meeting starts at 9:30 a.m. in room 204.",
    "Dr. Smith paid $12.50 for two tickets to Boston.",
    "Flight 815 leaves Sydney on the 22nd of September at 2:15 p.m.",
    "My name is Eleanor Hughes and I live at 47 Maple Street.",
    "The temperature fell from 20 degrees to minus 5 within three hours.",
    "Please call Michael Turner on extension 4096 before noon.",
    "In 1969 Neil Armstrong walked on the moon.",
    "About 35% of the 1,200 members voted on Tuesday.",
    "The recipe needs 250 grams of flour and 3 eggs.",
    "George Washington was the first president of the United States.",
)
TEXT = "It is half past nine. The train to Boston is late. We will wait for it here."
# What could keep a reader busy for long, or break it.
HOSTILE = (
    *(
        "1" * 400,
        "1," * 200,
        "x" * 400,
        "'" * 400 + "a",
        "a." * 200,
        "[" * 400 + "a",
        "$" * 400 + "5",
    ),
    *("[a](/" + "\u0259" * 600 + "/)", "\u202e\u0301" * 300 + "a", "http://a.b/" + "?a=b&" * 60),
    *("½ ² ₂ ﬁ 1/2/3/4/5 --- a_b*c#d 10^6 2e9 1.2.3.4", "(" * 300 + ")" * 300 + " so"),
)


def words(text: str) -> str:
    """As both may be written: 9:30 and 9.30 are the same time."""
    normal = EnglishTextNormalizer({})  # type: ignore[no-untyped-call]
    return str(normal(re.sub(r"(?<=\d)[.:](?=\d)", " ", text)))


def said(driver: Driver, text: str, **asked: object) -> tuple[bytes, SpeakResult]:
    one = speak(text, **asked)
    driver.run(one)
    result = driver.result(one)
    assert isinstance(result, SpeakResult)
    return driver.sound(one), result


def test_what_is_said_is_heard(
    driver: Driver, bench: Bench, load: Callable[[Subject], Bench]
) -> None:
    if not bench.subject.trained:
        pytest.skip("its weights are random: pull the model")
    hearer = Driver(load(HEARER).engine)
    heard = []
    for sentence in SENTENCES:
        sound, _ = said(driver, sentence)
        one = speech(sound, language="en")
        hearer.run(one)
        heard.append(words(hearer.text(one)))
    assert jiwer.wer([words(sentence) for sentence in SENTENCES], heard) < 0.1, heard


@pytest.mark.parametrize("form", get_args(AudioFormat))
def test_a_file_is_as_long_as_it_says(driver: Driver, form: AudioFormat) -> None:
    sound, result = said(driver, TEXT, format=form)
    if form == "pcm":
        assert len(sound) / 48_000 == pytest.approx(result.duration_s)
        return
    with av.open(io.BytesIO(sound), "r") as container:
        seconds = sum(frame.samples / frame.rate for frame in container.decode(audio=0))
    assert seconds == pytest.approx(result.duration_s, abs=0.1)


def test_the_same_text_is_the_same_sound(driver: Driver) -> None:
    assert said(driver, TEXT)[0] == said(driver, TEXT)[0]


@pytest.mark.parametrize("speed", [0.25, 0.5, 0.75, 1.25, 1.5, 2.0, 3.0, 4.0])
def test_speed_changes_the_time(driver: Driver, speed: float) -> None:
    _, usual = said(driver, TEXT)
    _, result = said(driver, TEXT, speed=speed)
    assert result.duration_s == pytest.approx(usual.duration_s / speed, rel=0.03)


def test_the_first_sound_comes_before_the_last_sentence_is_made(driver: Driver) -> None:
    one = speak(TEXT)
    driver.admit(one)
    driver.until(lambda: bool(driver.sound(one)))
    assert not driver.ended(one)
    driver.finish(one)
    pieces = [event for event in driver.of(one) if isinstance(event, Audio)]
    assert len(pieces) >= 3
    assert isinstance(driver.of(one)[-1], Done)


def test_an_unknown_voice_is_refused_with_those_there_are(driver: Driver, bench: Bench) -> None:
    error = driver.refused(speak(TEXT, voice="nobody"))
    assert isinstance(error, InvalidRequest)
    assert error.param == "voice"
    assert bench.loaded.voices
    for voice in bench.loaded.voices:
        assert voice.name in error.message
        assert said(driver, "Hi.", voice=voice.name)[1].duration_s > 0.2


@pytest.mark.parametrize("text", ["你好世界", "😀 🎉", "...", "Привет, мир!", "नमस्ते", "\u200b"])
def test_what_would_be_silent_is_refused(driver: Driver, text: str) -> None:
    error = driver.refused(speak(text))
    assert isinstance(error, InvalidRequest)
    assert error.param == "input"
    assert "nothing would be heard" in error.message


def test_what_has_no_sounds_is_counted(driver: Driver, bench: Bench) -> None:
    if bench.subject.engine == "remote":
        pytest.skip("another server tells nothing beside the sound")
    _, result = said(driver, "The word 你好 means hello. 😀")
    assert result.left_out == 2


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: ascii(text[:8]))
def test_odd_texts_are_said_or_refused_and_harm_nobody(driver: Driver, text: str) -> None:
    other = speak("Still here.")
    driver.admit(other)
    try:
        driver.run(one := speak(text, format="pcm"))
        driver.result(one)
    except InvalidRequest:
        pass
    driver.finish(other)
    assert driver.sound(other)
