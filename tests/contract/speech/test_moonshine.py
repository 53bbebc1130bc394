"""What `MoonshineSpeech` promises beyond the contract: words, batches, refusals, bounds."""

from __future__ import annotations

import shutil
from pathlib import Path

import jiwer
import numpy as np
import pytest

from ipc.messages.errors import InvalidRequest
from ipc.messages.spec import Spec
from tests.contract.driver import Driver, hear, speech
from tests.contract.speech.test_whisper import RECORDINGS, audio, words
from tests.contract.subjects import MOONSHINE, SLOTS, Bench, Subject, real_model
from worker.audio import decode
from worker.audio.cut import Part, Piece
from worker.engine import LoadError
from worker.engines.moonshine import files
from worker.engines.moonshine.engine import MoonshineSpeech
from worker.engines.moonshine.model import Moonshine
from worker.engines.moonshine.search import Hypothesis
from worker.hearing.model import Heard, Manner

MODELS = [Subject("moonshine", "speech", lambda _: real_model(MOONSHINE))]
ENGLISH = [entry for entry in RECORDINGS if entry["language"] == "en"]
# As measured, with room for one word more.
MAX_WORD_ERRORS = 0.15

pytestmark = pytest.mark.model


@pytest.mark.parametrize("entry", ENGLISH, ids=lambda entry: str(entry["name"]))
def test_hears_the_words(driver: Driver, entry: dict[str, str]) -> None:
    heard = hear(driver, audio(entry["name"]))
    assert heard.language == "en"
    assert jiwer.wer(words(entry["text"]), words(heard.text)) <= MAX_WORD_ERRORS, heard.text


def test_clips_in_company_are_heard_as_they_are_alone(driver: Driver) -> None:
    names = [str(entry["name"]) for entry in ENGLISH[:SLOTS]]
    alone = [hear(driver, audio(name)).text for name in names]
    together = [speech(audio(name)) for name in names]
    driver.run(*together)
    assert [driver.text(one).strip() for one in together] == alone


def test_another_language_is_refused_by_name(driver: Driver) -> None:
    error = driver.refused(speech(audio("jfk"), language="de"))
    assert isinstance(error, InvalidRequest)
    assert error.param == "language"
    assert "knows only English" in error.message


def test_a_translation_is_refused(driver: Driver) -> None:
    error = driver.refused(speech(audio("jfk"), translate=True))
    assert "cannot translate" in error.message


def test_a_temperature_draws_words(driver: Driver) -> None:
    heard = hear(driver, audio("jfk"), temperature=0.1)
    assert "your country" in heard.text
    assert {segment.temperature for segment in heard.segments} == {0.1}


# --- the model alone ---


@pytest.fixture(scope="module")
def moonshine() -> Moonshine:
    return Moonshine(files.find(str(real_model(MOONSHINE))), ["en"], threads=1, slots=1)


@pytest.fixture(scope="module")
def piece() -> Piece:
    samples = decode.decode(audio("jfk"))
    return Piece(samples, [Part(0, samples.size)], [])


def test_one_that_nobody_waits_for_is_not_heard_to_its_end(
    moonshine: Moonshine, piece: Piece
) -> None:
    alone = moonshine.hear([piece], Manner("en"), lambda _: True)
    left, kept = moonshine.hear([piece, piece], Manner("en"), lambda at: at == 1)
    assert kept.text == alone[0].text
    assert len(left.tokens) <= 1


def test_what_is_doubtful_is_tried_again_hotter_as_long_as_somebody_waits(
    moonshine: Moonshine, piece: Piece, monkeypatch: pytest.MonkeyPatch
) -> None:
    make = moonshine._heard
    temperatures: list[float] = []

    def doubtful_at_first(found: Hypothesis, manner: Manner, temperature: float) -> Heard:
        temperatures.append(temperature)
        heard = make(found, manner, temperature)
        return heard._replace(avg_logprob=-2.0) if temperature < 0.4 else heard

    monkeypatch.setattr(moonshine, "_heard", doubtful_at_first)
    (heard,) = moonshine.hear([piece], Manner("en"), lambda _: True)
    assert temperatures == [0.0, 0.2, 0.4]
    assert heard.temperature == 0.4
    temperatures.clear()
    moonshine.hear([piece], Manner("en"), lambda _: not temperatures)
    assert temperatures == [0.0]


@pytest.mark.parametrize("samples", [1, 512, 1_600])
def test_the_shortest_sounds_are_heard(moonshine: Moonshine, samples: int) -> None:
    silence = Piece(np.zeros(samples, np.float32), [Part(0, samples)], [])
    (heard,) = moonshine.hear([silence], Manner("en"), lambda _: True)
    assert len(heard.tokens) <= 194


# --- what cannot be loaded ---


def load(path: Path, **options: str | int | float | bool) -> None:
    spec = Spec(name="m", task="speech", engine="moonshine", path=str(path), options=options)
    MoonshineSpeech().load(spec, lambda _: None)


def test_what_is_loaded_says_its_library(bench: Bench) -> None:
    assert bench.loaded.detail.startswith("Moonshine, ONNX Runtime 1.")
    assert bench.loaded.languages == ["en"]
    assert not bench.loaded.translates


@pytest.mark.parametrize("lost", ["encoder_model.ort", "decoder_model_merged.ort", "tokenizer.bin"])
def test_a_missing_file_is_named(tmp_path: Path, lost: str) -> None:
    for file in real_model(MOONSHINE).iterdir():
        if file.name != lost:
            (tmp_path / file.name).symlink_to(file.resolve())
    with pytest.raises(LoadError, match=lost) as failed:
        load(tmp_path)
    assert failed.value.permanent


@pytest.mark.parametrize("broken", ["encoder_model.ort", "tokenizer.bin"])
def test_a_broken_file_is_a_permanent_failure(tmp_path: Path, broken: str) -> None:
    for file in real_model(MOONSHINE).iterdir():
        shutil.copy(file, tmp_path)
    (tmp_path / broken).write_bytes((tmp_path / broken).read_bytes()[:1001])
    with pytest.raises(LoadError, match=broken) as failed:
        load(tmp_path)
    assert failed.value.permanent


def test_a_language_that_is_none_is_refused() -> None:
    with pytest.raises(LoadError, match="'klingon' is not the code of a language"):
        load(real_model(MOONSHINE), language="klingon")
