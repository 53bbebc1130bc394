"""A Hugging Face Whisper checkpoint is converted once, and then says what transformers says."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import ctranslate2
import numpy as np
import pytest
import torch
from ctranslate2.converters import TransformersConverter
from transformers import WhisperForConditionalGeneration

from ipc.facts.samples import tone_wav
from ipc.messages.events import SpeechResult
from ipc.messages.spec import Spec
from tests.contract.checkpoints import tiny_whisper
from tests.contract.driver import Driver, speech
from worker.engine import LoadError
from worker.engines.whisper.ctranslate2_speech import WhisperSpeech
from worker.engines.whisper.openvino_encoder import Encoder

START = [50258, 50259, 50359, 50363]  # start of transcript, English, transcribe, no timestamps
STEPS = 12


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_whisper.whisper(tmp_path_factory.mktemp("whisper"))


@pytest.fixture(scope="module")
def converted(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The weights that the checkpoint is converted to."""
    cache = tmp_path_factory.mktemp("cache")
    WhisperSpeech().prepare(spec(checkpoint, cache), lambda _: None)
    (weights,) = cache.rglob("model.bin")
    return weights


def spec(path: Path, cache: Path) -> Spec:
    return Spec(
        name="acme/whisper",
        task="speech",
        engine="ctranslate2",
        path=str(path),
        cache=str(cache),
        options={"compute_type": "float32", "vad": False},
    )


def greedy(model: WhisperForConditionalGeneration, features: torch.Tensor) -> list[int]:
    tokens = torch.tensor([START])
    with torch.no_grad():
        for _ in range(STEPS):
            logits = model(input_features=features, decoder_input_ids=tokens).logits[0, -1]
            tokens = torch.cat([tokens, logits.argmax().view(1, 1)], dim=1)
    return tokens[0, len(START) :].tolist()


def test_the_conversion_writes_the_tokens_that_transformers_writes(
    checkpoint: Path, converted: Path
) -> None:
    spectrogram = np.random.default_rng(4).normal(size=(1, 80, 3000)).astype(np.float32)
    ours = ctranslate2.models.Whisper(str(converted.parent), compute_type="float32")
    (found,) = ours.generate(
        ctranslate2.StorageView.from_array(spectrogram),
        [START],
        beam_size=1,
        max_length=4 * STEPS,
        suppress_blank=False,
        suppress_tokens=[],
    )
    model: Any = WhisperForConditionalGeneration.from_pretrained(checkpoint)
    expected = greedy(model, torch.from_numpy(spectrogram))
    assert found.sequences_ids[0][:STEPS] == expected
    assert len(set(expected)) > 1, "one token over and over would show little"


def test_a_checkpoint_is_converted_when_it_is_first_loaded_and_then_served(
    checkpoint: Path, tmp_path: Path
) -> None:
    stages: list[str] = []
    for _ in range(2):
        engine = WhisperSpeech()
        loaded = engine.load(spec(checkpoint, tmp_path), stages.append)
        driver = Driver(engine)
        one = speech(tone_wav(1.0), language="en")
        driver.run(one)
        found = driver.result(one)
        assert isinstance(found, SpeechResult)
        assert found.duration_s == pytest.approx(1.0)
        assert "en" in (loaded.languages or [])
        engine.close()
    assert stages.count("converting") == 1


def test_the_encoder_says_what_that_of_transformers_says(checkpoint: Path, converted: Path) -> None:
    spectrogram = np.random.default_rng(4).normal(size=(80, 3000)).astype(np.float32)
    found = Encoder(converted, threads=1, at_once=1, precision="f32")(spectrogram)
    model: Any = WhisperForConditionalGeneration.from_pretrained(checkpoint)
    with torch.no_grad():
        expected = model.model.encoder(torch.from_numpy(spectrogram)[None]).last_hidden_state
    assert found.shape == expected.shape
    assert np.std(found - expected.numpy()) < 0.001 * expected.std().item()


def test_weights_kept_in_8_bits_are_encoded_by_ctranslate2(
    checkpoint: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "int8"
    TransformersConverter(str(checkpoint)).convert(str(folder), quantization="int8")
    shutil.copy(checkpoint / "tokenizer.json", folder)
    with pytest.raises(ValueError, match="in 8 bits"):
        Encoder(folder / "model.bin", threads=1, at_once=1, precision="f32")
    engine = WhisperSpeech()
    loaded = engine.load(spec(folder, tmp_path), lambda _: None)
    engine.close()
    assert "OpenVINO" not in loaded.detail


def test_pickled_weights_are_not_converted(checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    for name in ("config.json", "tokenizer.json"):
        shutil.copy(checkpoint / name, tmp_path / "old")
    (tmp_path / "old/pytorch_model.bin").write_bytes(b"\x80\x04.")
    with pytest.raises(LoadError, match=r"nor a checkpoint in safetensors"):
        WhisperSpeech().load(spec(tmp_path / "old", tmp_path), lambda _: None)


def test_a_checkpoint_of_another_kind_is_refused_by_name(checkpoint: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(checkpoint, other)
    config = json.loads((other / "config.json").read_text())
    (other / "config.json").write_text(json.dumps(config | {"model_type": "bert"}))
    with pytest.raises(LoadError, match="is a bert model, not Whisper"):
        WhisperSpeech().load(spec(other, tmp_path), lambda _: None)
