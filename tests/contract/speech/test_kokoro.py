"""Kokoro's files: two layouts, the voices that are read aloud, and files that are wrong."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from ipc.messages.errors import InvalidRequest
from ipc.messages.spec import Loaded, Spec
from tests.contract.checkpoints import exported_kokoro
from tests.contract.checkpoints.tiny import truncate
from tests.contract.driver import Driver, speak
from worker.engine import LoadError
from worker.engines.kokoro.engine import KokoroSpeech


@pytest.fixture
def hub(tmp_path: Path) -> Path:
    folder = tmp_path / "hub"
    folder.mkdir()
    return exported_kokoro.unpack(folder)


@pytest.fixture
def archive(tmp_path: Path, hub: Path) -> Path:
    """As the package kokoro-onnx has it."""
    folder = tmp_path / "archive"
    folder.mkdir()
    return exported_kokoro.as_kokoro_onnx(folder, hub)


def loaded(path: Path) -> tuple[KokoroSpeech, Loaded]:
    engine = KokoroSpeech()
    spec = Spec(name="m", task="speak", engine="kokoro", path=str(path), threads=1)
    return engine, engine.load(spec, lambda _: None)


def said(path: Path, text: str, voice: str | None = None) -> bytes:
    driver = Driver(loaded(path)[0])
    one = speak(text, voice=voice, format="pcm")
    driver.run(one)
    driver.result(one)
    return driver.sound(one)


def test_both_layouts_are_the_same_model(hub: Path, archive: Path) -> None:
    assert said(hub, "Hello there.") == said(archive, "Hello there.")
    assert said(hub, "Hello there.") == said(hub / "onnx" / "model.onnx", "Hello there.")
    assert said(hub, "Hello there.", "fable") != said(hub, "Hello there.", "af_heart")


def test_voices_that_nobody_can_read_for_are_left_out_and_refused(hub: Path) -> None:
    engine, found = loaded(hub)
    languages = {voice.name: voice.language for voice in found.voices or ()}
    assert languages == {"af_heart": "en-US", "bm_fable": "en-GB"}
    assert found.detail == "ONNX Runtime; voices of other languages left out: 1"
    error = Driver(engine).refused(speak("Hello.", voice="jf_alpha"))
    assert isinstance(error, InvalidRequest)
    assert "af_heart" in error.message


def test_phonemes_that_are_none_are_not_said(hub: Path) -> None:
    error = Driver(loaded(hub)[0]).refused(speak("[hello](/ɧɧ/)"))
    assert isinstance(error, InvalidRequest)
    assert "nothing would be heard" in error.message


def test_a_long_sentence_is_said_in_parts(hub: Path) -> None:
    driver = Driver(loaded(hub)[0])
    one = speak("So " + "we walked on and on " * 30 + "home.", format="pcm")
    driver.admit(one)
    driver.until(lambda: bool(driver.sound(one)))
    first = len(driver.sound(one))
    driver.finish(one)
    assert first < len(driver.sound(one)) / 3


def _no_model(folder: Path) -> None:
    (folder / "onnx" / "model.onnx").unlink()


def _two_models(folder: Path) -> None:
    (folder / "model_q8.onnx").write_bytes((folder / "onnx" / "model.onnx").read_bytes())


def _no_graph(folder: Path) -> None:
    (folder / "onnx" / "model.onnx").write_bytes(b"no graph")


def _no_voices(folder: Path) -> None:
    for file in (folder / "voices").iterdir():
        file.unlink()


def _short_voice(folder: Path) -> None:
    np.zeros(100, np.float32).tofile(folder / "voices" / "af_heart.bin")


def _cut_voice(folder: Path) -> None:
    file = folder / "voices" / "af_heart.bin"
    file.write_bytes(file.read_bytes()[:-3])


def _no_english(folder: Path) -> None:
    for name in ("af_heart", "bm_fable"):
        (folder / "voices" / f"{name}.bin").unlink()


def _no_archive(folder: Path) -> None:
    (folder / "voices-v1.0.bin").write_bytes(b"no archive")


def _other_phonemes(folder: Path) -> None:
    (folder / "tokenizer.json").write_text(json.dumps({"model": {"vocab": {"a": 1}}}))


def _cut_tokenizer(folder: Path) -> None:
    truncate(folder / "tokenizer.json")


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (_no_model, "has no .onnx file"),
        (_two_models, "set path to one of model_q8.onnx, onnx/model.onnx"),
        (_no_graph, "model.onnx cannot be loaded"),
        (_no_voices, "has no voices"),
        (_short_voice, "voice af_heart .* has 100 numbers"),
        (_cut_voice, "af_heart.bin is damaged"),
        (_no_english, "has no English voice, only jf_alpha"),
        (_no_archive, "voices-v1.0.bin cannot be read"),
        (_other_phonemes, "has no number for"),
        (_cut_tokenizer, "tokenizer.json is damaged"),
    ],
)
def test_wrong_files_are_told(hub: Path, wrong: object, told: str) -> None:
    assert callable(wrong)
    wrong(hub)
    with pytest.raises(LoadError, match=told):
        loaded(hub)
