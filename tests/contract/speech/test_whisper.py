"""What `WhisperSpeech` promises beyond the contract: words, languages, turns, refusals."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, NamedTuple

import jiwer
import numpy as np
import numpy.typing as npt
import pytest
import yaml
from faster_whisper import WhisperModel
from faster_whisper.audio import pad_or_trim
from tokenizers import AddedToken, Tokenizer

from bench.words import spoken as words_said
from ipc.facts.samples import wav
from ipc.messages.errors import InvalidRequest
from ipc.messages.jobs import Vad
from ipc.messages.spec import Spec
from tests.contract.driver import DEADLINE_S, Driver, hear, speech
from tests.contract.speech.test_speech_engines import spoken
from tests.contract.subjects import CHECKOUT, WHISPER, Subject, real_model, recording
from worker.audio import decode
from worker.engine import LoadError
from worker.engines.whisper.ctranslate2_model import Search, prompt_tokenizer
from worker.engines.whisper.ctranslate2_speech import WhisperSpeech
from worker.engines.whisper.openvino_encoder import Encoder
from worker.hearing import model as hearing

MODELS = [Subject("ctranslate2", "speech", lambda _: real_model(WHISPER))]
RECORDINGS = yaml.safe_load((CHECKOUT / "tests" / "recordings.yaml").read_text())
# Shares of wrong words, in Japanese and Chinese of characters: as measured for whisper-base, with
# room for one more.
MAX_WORD_ERRORS = {
    "ar": 0.34,
    "de": 0.23,
    "en": 0.07,
    "es": 0.22,
    "fr": 0.2,
    "it": 0.1,
    "ja": 0.45,
    "pt": 0.1,
    "sv": 0.25,
    "vi": 0.28,
    "zh": 0.5,
}

pytestmark = pytest.mark.model


def audio(name: str) -> bytes:
    path = next(entry["path"] for entry in RECORDINGS if entry["name"] == name)
    return recording(Path(path).name)


def words(text: str, language: str = "en") -> str:
    return " ".join(words_said(text.lower().replace("mr.", "mister"), language))


@pytest.mark.parametrize("entry", RECORDINGS, ids=lambda entry: str(entry["name"]))
def test_hears_the_words_and_the_language(driver: Driver, entry: dict[str, Any]) -> None:
    heard = hear(driver, audio(entry["name"]))
    assert heard.language == entry["language"]
    assert heard.duration_s == pytest.approx(entry["seconds"], abs=0.1)
    said, found = (words(text, heard.language) for text in (entry["text"], heard.text))
    assert jiwer.wer(said, found) <= MAX_WORD_ERRORS[heard.language], heard.text


@pytest.mark.parametrize("name", [entry["name"] for entry in RECORDINGS if "english" in entry])
def test_translates_into_english(driver: Driver, name: str) -> None:
    wanted = next(entry["english"] for entry in RECORDINGS if entry["name"] == name)
    said = words(hear(driver, audio(name), translate=True).text).split()
    # Processors round differently, so two of them need not choose every word alike.
    assert len(set(wanted) & set(said)) > len(set(wanted)) / 2


def test_a_request_says_what_a_voice_is(driver: Driver) -> None:
    assert hear(driver, audio("jfk"), language="en", vad=Vad(threshold=1.0)).text == ""
    asked = Vad(threshold=0.5, silence_ms=300, padding_ms=100)
    heard = hear(driver, audio("jfk"), language="en", vad=asked)
    assert "your country" in heard.text
    assert heard.segments[0].start < heard.segments[-1].end <= heard.duration_s


def test_takes_a_language_by_its_english_name(driver: Driver) -> None:
    assert hear(driver, audio("testar"), language="Swedish").language == "sv"


def test_an_unknown_language_is_refused_with_examples(driver: Driver) -> None:
    error = driver.refused(speech(audio("jfk"), language="klingon"))
    assert isinstance(error, InvalidRequest)
    assert error.param == "language"
    assert "en, de, es" in error.message


def test_times_in_a_prompt_are_text_where_the_checkpoint_lists_them_as_words() -> None:
    found = Tokenizer.from_file(str(real_model(WHISPER, "tokenizer.json")))
    found.add_tokens([AddedToken(f"<|{at / 50:.2f}|>", normalized=False) for at in range(1501)])
    assert found.encode("<|30.00|>", add_special_tokens=False).ids == [51_864]
    tokenizer = prompt_tokenizer(found)
    assert max(tokenizer.encode("<|0.00|> so <|30.00|>", add_special_tokens=False).ids) < 50_257


@pytest.mark.parametrize("before", [[], [50_000] * 223], ids=["alone", "prompted"])
def test_a_text_may_have_all_the_tokens_that_it_is_given(driver: Driver, before: list[int]) -> None:
    search = driver.engine._model.search  # type: ignore[attr-defined]
    prompt = [*before, 50_258, 50_259, 50_359, 50_363]  # English, as it is said, without times
    states = search.encode(np.zeros((1, 80, 1_000), np.float32))
    without_end = {"suppress_tokens": [50_257], "beam_size": 1}
    (found,) = search.model.generate(states, [prompt], max_length=len(prompt) + 60, **without_end)
    assert 60 <= len(found.sequences_ids[0]) <= 61


def test_a_short_clip_does_not_wait_for_a_long_one(driver: Driver) -> None:
    readings = b"".join(spoken(audio(f"austen-{name}")) for name in ("0870", "0880", "0890"))
    long = speech(wav(3 * (spoken(audio("jfk")) + readings)), language="en")
    short = speech(audio("austen-0880"), language="en")
    driver.admit(long, short)
    driver.finish(short)
    assert not driver.ended(long)
    driver.finish(long)
    assert driver.text(long).lower().count("your country") == 6
    assert driver.text(long).lower().count("young man") == 3
    assert "young man" in driver.text(short)


def test_what_was_skipped_of_a_piece_is_heard_in_its_halves(
    driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    readings = b"".join(spoken(audio(f"austen-{name}")) for name in ("0870", "0880", "0890"))
    wanted = hear(driver, wav(readings), language="en").text
    model = driver.engine._model  # type: ignore[attr-defined]
    first_try = model._first_try

    def skipping(states: Any, count: int, tokenizer: Any, options: Any) -> list[hearing.Heard]:
        """As whisper-base now and then begins in the middle of a piece."""
        found: list[hearing.Heard] = first_try(states, count, tokenizer, options)
        if count > 1:
            return found
        left = found[0].tokens[-12:]
        return [found[0]._replace(tokens=left, text=tokenizer.decode(left))]

    monkeypatch.setattr(model, "_first_try", skipping)
    heard = hear(driver, wav(readings), language="en", word_times=True)
    assert jiwer.wer(words(wanted), words(heard.text)) < 0.1, heard.text
    assert heard.segments[0].start < 1.0


FOUR = ("jfk", "austen-0870", "austen-0890", "sorpresa")


def test_clips_in_company_are_heard_as_they_are_alone(driver: Driver) -> None:
    alone = [hear(driver, audio(name), word_times=True) for name in FOUR]
    together = [speech(audio(name), word_times=True) for name in FOUR]
    driver.run(*together)
    assert [driver.result(one) for one in together] == alone


def test_a_clip_dropped_while_a_piece_is_in_hand_frees_its_place(driver: Driver) -> None:
    for _ in range(3):
        jobs = [speech(audio(name), language="en") for name in FOUR]
        driver.admit(*jobs)
        driver.until(lambda: driver.engine._running)  # type: ignore[attr-defined]
        for one in jobs:
            driver.engine.drop(one.id)
    driver.settle()
    assert driver.events == []


def test_a_piece_that_does_not_end_breaks_the_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = load(real_model(WHISPER), stall_s=0.1)
    freed = threading.Event()
    monkeypatch.setattr(Search, "encode", lambda *_: freed.wait(DEADLINE_S))
    driver = Driver(engine)
    driver.admit(speech(audio("jfk"), language="en"))
    try:
        with pytest.raises(RuntimeError, match=r"more than 0\.1 s"):
            driver.settle()
    finally:
        freed.set()
        engine.close()


class Heard(NamedTuple):
    """What CTranslate2 makes of ``features``, in float32 and in 8 bits."""

    features: npt.NDArray[np.float32]
    exact: npt.NDArray[np.float32]
    quantised: npt.NDArray[np.float32]


@pytest.fixture(scope="module")
def encoded() -> list[Heard]:
    exact, quantised = (
        WhisperModel(
            str(real_model(WHISPER)), device="cpu", compute_type=kind, local_files_only=True
        )
        for kind in ("float32", "int8")
    )
    clips = [pad_or_trim(exact.feature_extractor(decode.decode(audio(name)))) for name in FOUR]
    return [
        Heard(clip, *(np.array(model.encode(clip)) for model in (exact, quantised)))
        for clip in clips
    ]


@pytest.mark.parametrize(("precision", "most"), [("f32", 0.001), ("bf16", 0.05)])
def test_the_encoder_is_nearer_to_float32_than_8_bits_are(
    encoded: list[Heard], precision: str, most: float
) -> None:
    encode = Encoder(real_model(WHISPER) / "model.bin", threads=2, at_once=2, precision=precision)
    for clip in encoded:
        off = np.std(encode(clip.features) - clip.exact)
        assert off < np.std(clip.quantised - clip.exact)
        assert off < most * np.std(clip.exact)


def load(path: Path, stall_s: float = 60.0, **options: str | float | bool) -> WhisperSpeech:
    engine = WhisperSpeech()
    spec = Spec(
        name="w",
        task="speech",
        engine="ctranslate2",
        path=str(path),
        stall_s=stall_s,
        options=options,
    )
    engine.load(spec, lambda _: None)
    return engine


def test_a_clip_over_the_models_limit_is_refused() -> None:
    engine = load(real_model(WHISPER), max_audio_s=5)
    error = Driver(engine).refused(speech(audio("jfk")))
    assert isinstance(error, InvalidRequest)
    assert "longer than the 5 s" in error.message


def test_an_encoder_that_does_not_exist_is_refused_with_those_that_do() -> None:
    with pytest.raises(
        LoadError, match="'onnx' is not one of 'auto', 'openvino', 'openvino_bf16', 'ctranslate2'"
    ):
        load(real_model(WHISPER), encoder="onnx")


@pytest.mark.parametrize("lost", ["model.bin", "config.json", "tokenizer.json"])
def test_a_missing_file_is_named(tmp_path: Path, lost: str) -> None:
    for file in real_model(WHISPER).iterdir():
        if file.name != lost:
            (tmp_path / file.name).symlink_to(file.resolve())
    with pytest.raises(LoadError, match=re.escape(lost)) as failed:
        load(tmp_path)
    assert failed.value.permanent


@pytest.mark.parametrize("broken", ["model.bin", "tokenizer.json", "vocabulary.txt"])
def test_a_broken_file_is_a_permanent_failure(tmp_path: Path, broken: str) -> None:
    for file in real_model(WHISPER).iterdir():
        target = tmp_path / file.name
        if file.name == broken:
            target.write_bytes(file.read_bytes()[:1000])
        else:
            target.symlink_to(file.resolve())
    with pytest.raises(LoadError) as failed:
        load(tmp_path)
    assert failed.value.permanent
    assert str(tmp_path) in failed.value.reason


WITHOUT_TORCH = """
import sys
from pathlib import Path
from ipc.messages.blob import Blob
from ipc.messages.events import Done
from ipc.messages.jobs import Job, SpeechInput
from ipc.messages.spec import Spec
from worker.engines.whisper.ctranslate2_speech import WhisperSpeech
engine = WhisperSpeech()
engine.load(Spec(name="w", task="speech", engine="ctranslate2", path=sys.argv[1]), print)
audio = Blob(sys.stdin.buffer.read())
engine.admit(Job(id="1", model="w", input=SpeechInput(audio=audio), deadline_at=0.0))
events = []
while engine.wait_s() == 0:
    events += engine.step()
assert isinstance(events[-1], Done) and "country" in events[-1].result.text, events
heavy = {"torch", "transformers"} & set(sys.modules)
assert not heavy, heavy
"""


def test_a_speech_worker_never_imports_torch() -> None:
    subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH, str(real_model(WHISPER))],
        input=audio("jfk"),
        cwd=CHECKOUT,
        timeout=120,
        check=True,
    )
