"""Where nobody speaks nothing is written, and a word that was said stays."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from ipc.facts.samples import wav
from ipc.messages.events import SpeechResult
from ipc.messages.spec import Spec
from tests.bench.sound.noises import LOUD, noise
from tests.bench.sound.readings import READERS, aloud, speaker_of
from tests.contract.driver import Driver, speech
from tests.contract.subjects import HIBARI, WHISPER, real_model
from worker.audio.decode import SAMPLE_RATE_HZ, Samples
from worker.engines.whisper.ctranslate2_speech import WhisperSpeech

pytestmark = pytest.mark.model

NOISES = ("silence", "white", "hum", "breath", "tune")


@pytest.fixture(scope="module", params=[True, False], ids=["filtered", "unfiltered"])
def driver(request: pytest.FixtureRequest) -> Iterator[Driver]:
    engine = WhisperSpeech()
    path = str(real_model(WHISPER))
    options = {"vad": request.param}
    engine.load(
        Spec(name="w", task="speech", engine="ctranslate2", path=path, options=options),
        lambda _: None,
    )
    yield Driver(engine)
    engine.close()


def heard(driver: Driver, samples: Samples) -> SpeechResult:
    one = speech(wav((samples * 32767).astype("<i2").tobytes()), language="en")
    driver.run(one)
    found = driver.result(one)
    assert isinstance(found, SpeechResult)
    return found


@pytest.mark.parametrize("kind", NOISES)
def test_nothing_is_written_of_a_noise(driver: Driver, kind: str) -> None:
    found = heard(driver, noise(kind, 5.0, LOUD))
    assert found.text == ""
    assert found.segments == []


@pytest.mark.parametrize("text", ["Thank you.", "Yes.", "Thanks for watching!"])
def test_a_word_that_was_said_stays(driver: Driver, text: str) -> None:
    voice = Spec(name="v", task="speak", engine="hibari", path=str(real_model(HIBARI)))
    pause = np.zeros(SAMPLE_RATE_HZ // 2, np.float32)
    said = np.concatenate([pause, aloud(text, READERS[0], speaker_of(voice)), pause])
    found = heard(driver, said)
    assert found.text.lower().strip(" .!") == text.lower().strip(" .!")
    assert found.dropped == {}
