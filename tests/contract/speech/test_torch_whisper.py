"""What Whisper on torch promises beyond the contract: the tokens of transformers, the words of
CTranslate2, and refusals that say what to change."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer
from transformers import WhisperFeatureExtractor, WhisperForConditionalGeneration

from ipc.messages.errors import OutOfMemory
from ipc.messages.events import SpeechResult
from ipc.messages.spec import Spec
from tests.contract.checkpoints import tiny_whisper, unconverted
from tests.contract.driver import Driver, hear, speech
from tests.contract.subjects import WHISPER, real_model, recording
from worker.audio import decode
from worker.engine import LoadError
from worker.engines.whisper.ctranslate2_speech import WhisperSpeech
from worker.engines.whisper.model import Whisper
from worker.engines.whisper.torch_model import TorchWhisper
from worker.engines.whisper.torch_speech import TorchSpeech
from worker.hearing.engine import HearingEngine

SPANISH, ENGLISH, TRANSLATE, TRANSCRIBE, START = 50262, 50259, 50358, 50359, 50258
END, FIRST_TIME = 50257, 50364


def load(path: Path, **options: str | float | bool) -> TorchSpeech:
    engine = TorchSpeech()
    spec = Spec(name="w", task="speech", engine="torch", path=str(path), threads=1, options=options)
    engine.load(spec, lambda _: None)
    return engine


def heard(engine: HearingEngine, **asked: object) -> SpeechResult:
    return hear(Driver(engine), recording("jfk.wav"), **asked)


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return unconverted.whisper(real_model(WHISPER), tmp_path_factory.mktemp("whisper"))


@pytest.fixture(scope="module")
def engine(real: Path) -> Iterator[TorchSpeech]:
    engine = load(real)
    yield engine
    engine.close()


@pytest.fixture(scope="module")
def theirs(real: Path) -> WhisperForConditionalGeneration:
    """The same checkpoint, run by transformers."""
    return WhisperForConditionalGeneration.from_pretrained(real, dtype=torch.float32)


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    return tiny_whisper.whisper(tmp_path)


def search_of(engine: TorchSpeech) -> Any:
    assert isinstance(engine._model, Whisper)
    search = engine._model.search
    assert isinstance(search.model, TorchWhisper)
    return search


CASES = [
    ("jfk.wav", "en", ENGLISH, "transcribe"),
    ("13697_11991_000000.opus", "es", SPANISH, "translate"),
]


@pytest.mark.parametrize(("name", "language", "token", "task"), CASES)
def test_writes_the_tokens_that_transformers_writes(
    theirs: WhisperForConditionalGeneration,
    engine: TorchSpeech,
    name: str,
    language: str,
    token: int,
    task: str,
) -> None:
    samples = decode.decode(recording(name))[: 30 * decode.SAMPLE_RATE_HZ]
    features = WhisperFeatureExtractor()(samples, sampling_rate=16_000, return_tensors="pt")  # type: ignore[no-untyped-call]
    expected = theirs.generate(
        features.input_features, language=language, task=task, return_timestamps=True
    )
    ours = search_of(engine).model
    encoded = ours.encode(features.input_features[0].numpy())
    assert ours.detect_language(encoded)[0][0][0] == f"<|{language}|>"
    (found,) = ours.generate(
        encoded,
        [[START, token, TRANSLATE if task == "translate" else TRANSCRIBE]],
        max_length=224,
        suppress_tokens=theirs.generation_config.suppress_tokens,
        max_initial_timestamp_index=50,
    )
    control = range(END, FIRST_TIME)
    assert found.sequences_ids[0] == [at for at in expected[0].tolist() if at not in control]
    assert len(found.sequences_ids[0]) > 10


def test_hears_the_words_and_times_that_ctranslate2_hears(engine: TorchSpeech) -> None:
    converted = WhisperSpeech()
    options: dict[str, str | int | float | bool] = {"compute_type": "float32", "beam_size": 1}
    spec = Spec(
        name="w",
        task="speech",
        engine="ctranslate2",
        path=str(real_model(WHISPER)),
        threads=1,
        options=options,
    )
    converted.load(spec, lambda _: None)
    expected, found = (heard(one, word_times=True) for one in (converted, engine))
    converted.close()
    assert found.text == expected.text
    for ours, theirs in zip(found.segments, expected.segments, strict=True):
        assert ours.tokens == theirs.tokens
        assert ours.avg_logprob == pytest.approx(theirs.avg_logprob, abs=0.01)
        assert ours.no_speech_prob == pytest.approx(theirs.no_speech_prob, abs=0.01)
    assert found.words
    assert expected.words
    for said, word in zip(found.words, expected.words, strict=True):
        assert said.word == word.word
        assert said.start == pytest.approx(word.start, abs=0.05)
        assert said.probability == pytest.approx(word.probability, abs=0.02)


def test_features_are_those_of_transformers(engine: TorchSpeech) -> None:
    samples = np.resize(decode.decode(recording("jfk.wav")), 30 * decode.SAMPLE_RATE_HZ)
    expected = WhisperFeatureExtractor()(samples, sampling_rate=16_000)["input_features"][0]  # type: ignore[no-untyped-call]
    found = search_of(engine).feature_extractor(samples)[:, :3000]
    # The last two frames reach into what each puts behind the end.
    np.testing.assert_allclose(found[:, :-2], expected[:, :-2], atol=1e-3)


def whisper(folder: Path) -> TorchWhisper:
    model = WhisperForConditionalGeneration.from_pretrained(folder)
    return TorchWhisper(model, Tokenizer.from_file(str(folder / "tokenizer.json")))


def test_draws_at_next_to_no_temperature_are_the_likeliest_tokens(tiny: Path) -> None:
    model = whisper(tiny)
    encoded = model.encode(np.random.default_rng(4).normal(size=(80, 3000)).astype(np.float32))
    best, drawn, hot = (
        model.generate(
            encoded,
            [[START, ENGLISH, TRANSCRIBE]],
            max_length=20,
            suppress_tokens=[END],
            max_initial_timestamp_index=50,
            num_hypotheses=count,
            sampling_temperature=temperature,
        )[0]
        for count, temperature in ((1, 0.0), (5, 1e-4), (5, 1.0))
    )
    assert drawn.sequences_ids == best.sequences_ids != hot.sequences_ids
    assert drawn.scores == pytest.approx(best.scores, abs=1e-3)
    assert len(best.sequences_ids[0]) == 17


def test_heads_that_follow_the_sound_are_in_the_upper_layers_unless_named(tiny: Path) -> None:
    assert whisper(tiny)._heads == [(2, 0), (2, 1), (3, 0), (3, 1)]


def test_a_clip_that_finds_no_memory_fails_alone(
    engine: TorchSpeech, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    with monkeypatch.context() as patch:
        patch.setattr(TorchWhisper, "_decode", full)
        error = Driver(engine).refused(speech(recording("jfk.wav"), language="en"))
    assert isinstance(error, OutOfMemory)
    assert "country" in heard(engine, language="en").text


def test_a_checkpoint_of_another_kind_is_refused_by_name(tiny: Path) -> None:
    config = json.loads((tiny / "config.json").read_text())
    (tiny / "config.json").write_text(json.dumps(config | {"model_type": "bert"}))
    with pytest.raises(LoadError, match="is a bert model, not Whisper"):
        load(tiny)


def test_a_model_for_ctranslate2_is_refused() -> None:
    with pytest.raises(LoadError, match="take engine ctranslate2"):
        load(real_model(WHISPER))


def test_pickled_weights_are_refused(tiny: Path) -> None:
    (tiny / "model.safetensors").rename(tiny / "pytorch_model.bin")
    with pytest.raises(LoadError, match="convert them to safetensors"):
        load(tiny)


def test_an_option_of_another_engine_is_refused(tiny: Path) -> None:
    with pytest.raises(
        LoadError, match="beam_size: unknown; the options are dtype, max_audio_s, vad"
    ):
        load(tiny, beam_size=5)


def test_nothing_is_prepared(tiny: Path) -> None:
    before = sorted(tiny.iterdir())
    spec = Spec(name="w", task="speech", engine="torch", path=str(tiny), cache=str(tiny))
    TorchSpeech().prepare(spec, lambda _: None)
    assert sorted(tiny.iterdir()) == before
