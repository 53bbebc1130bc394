"""What `OnnxAsrSpeech` promises beyond the contract, on tiny models of each kind: batches, times of
words, languages, refusals, and the private parts of onnx-asr that it uses."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from ipc.messages.errors import InvalidRequest, UnsupportedParameter
from ipc.messages.spec import Spec
from tests.contract.checkpoints import exported_nemo, exported_whisper
from tests.contract.driver import Driver, hear, speech
from tests.contract.speech.test_whisper import audio
from tests.contract.subjects import SLOTS, Bench, Subject
from worker.audio import decode
from worker.audio.cut import Part, Piece
from worker.engine import LoadError
from worker.engines.onnx_asr import files
from worker.engines.onnx_asr.engine import OnnxAsrSpeech
from worker.engines.onnx_asr.load import load as open_model
from worker.engines.onnx_asr.model import OnnxAsr
from worker.hearing.model import Heard, Manner

KINDS = ("ctc", "rnnt", "tdt", "aed", "gigaam", "whisper")
TIMED = ("ctc", "rnnt", "tdt", "gigaam")
WRITTEN = ("rnnt", "tdt", "aed", "whisper")  # token by token
MODELS = [
    Subject(
        "onnx-asr",
        "speech",
        lambda scratch: exported_nemo.unpack("aed", scratch),
        trained=False,
        options={"languages": "en,de"},
        which="canary",
    )
]

pytestmark = pytest.mark.model

Kept = Callable[[str], Path]


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Kept:
    """The folder with the model of a kind."""

    def unpack(kind: str) -> Path:
        folder = tmp_path_factory.mktemp(kind)
        if kind == "whisper":
            return exported_whisper.unpack(folder)
        return exported_nemo.unpack(kind, folder)  # type: ignore[arg-type]

    return unpack


@pytest.fixture(scope="module")
def model(kept: Kept) -> Callable[[str], OnnxAsr]:
    opened: dict[str, OnnxAsr] = {}

    def once(kind: str) -> OnnxAsr:
        if kind not in opened:
            recogniser = open_model(files.find(str(kept(kind))), None, "cpu", 1)
            opened[kind] = OnnxAsr(recogniser, "cpu", threads=1, slots=SLOTS)
        return opened[kind]

    return once


@pytest.fixture(scope="module")
def pieces() -> list[Piece]:
    """Of different lengths, one of them next to nothing."""
    samples = decode.decode(audio("jfk"))
    cut = [samples[:48_000], samples[60_000:88_000], samples[:100]]
    return [Piece(one, [Part(0, one.size)], []) for one in cut]


def without_times(heard: Heard) -> tuple[str, list[int], float]:
    return heard.text, heard.tokens, round(heard.avg_logprob, 3)


@pytest.mark.parametrize("kind", KINDS)
def test_a_piece_in_company_is_heard_as_it_is_alone(
    model: Callable[[str], OnnxAsr], pieces: list[Piece], kind: str
) -> None:
    together = model(kind).hear(pieces, Manner("en"), lambda _: True)
    alone = [model(kind).hear([piece], Manner("en"), lambda _: True)[0] for piece in pieces]
    assert [without_times(one) for one in together] == [without_times(one) for one in alone]
    assert together[0].tokens
    assert together[0].language == "en"


@pytest.mark.parametrize("kind", TIMED)
def test_words_are_timed_in_their_order(
    model: Callable[[str], OnnxAsr], pieces: list[Piece], kind: str
) -> None:
    (heard,) = model(kind).hear(pieces[:1], Manner("en", times=True), lambda _: True)
    assert "".join(word.text for word in heard.words) == heard.text
    assert [token for word in heard.words for token in word.tokens] == heard.tokens
    assert all(0 <= word.start <= word.end <= pieces[0].seconds for word in heard.words)
    assert all(word.end <= following.start for word, following in pairwise(heard.words))
    assert all(0 <= word.probability <= 1 for word in heard.words)


@pytest.mark.parametrize("kind", KINDS)
def test_what_nobody_waits_for_is_not_heard(
    model: Callable[[str], OnnxAsr], pieces: list[Piece], kind: str
) -> None:
    (alone,) = model(kind).hear(pieces[1:2], Manner("en"), lambda _: True)
    left, kept = model(kind).hear(pieces[:2], Manner("en"), lambda at: at == 1)
    assert without_times(kept) == without_times(alone)
    assert left.text == ""


@pytest.mark.parametrize("kind", WRITTEN)
def test_one_that_is_left_in_between_ends_there(
    model: Callable[[str], OnnxAsr], pieces: list[Piece], kind: str
) -> None:
    asked = 0

    def wanted(_: int) -> bool:
        nonlocal asked
        asked += 1
        return asked <= 6

    (whole,) = model(kind).hear(pieces[:1], Manner("en"), lambda _: True)
    (left,) = model(kind).hear(pieces[:1], Manner("en"), wanted)
    assert len(left.tokens) <= 6 < len(whole.tokens)
    assert whole.tokens[: len(left.tokens)] == left.tokens


def test_whisper_finds_the_language_among_those_that_it_knows(
    model: Callable[[str], OnnxAsr], pieces: list[Piece]
) -> None:
    whisper = model("whisper")
    assert set(whisper.languages) == set(exported_whisper.LANGUAGES)
    (heard,) = whisper.hear(pieces[:1], Manner(None), lambda _: True)
    assert heard.language in exported_whisper.LANGUAGES
    assert 0 <= heard.no_speech_prob <= 1


@pytest.mark.parametrize("kind", ["aed", "whisper"])
def test_a_translation_is_asked_for_in_another_way(
    model: Callable[[str], OnnxAsr], pieces: list[Piece], kind: str
) -> None:
    (said,) = model(kind).hear(pieces[:1], Manner("de"), lambda _: True)
    (translated,) = model(kind).hear(pieces[:1], Manner("de", translate=True), lambda _: True)
    assert said.avg_logprob != translated.avg_logprob
    assert translated.language == "de"


# --- through the engine: a Canary ---


def test_a_canary_hears_its_first_language_and_says_so(driver: Driver) -> None:
    assert hear(driver, audio("jfk")).language == "en"
    assert hear(driver, audio("jfk"), language="de").language == "de"


def test_a_translation_from_nobody_knows_what_is_refused(driver: Driver) -> None:
    error = driver.refused(speech(audio("jfk"), translate=True))
    assert isinstance(error, InvalidRequest)
    assert error.param == "language"


def test_what_is_not_in_the_entrys_languages_is_refused(driver: Driver) -> None:
    error = driver.refused(speech(audio("jfk"), language="fr"))
    assert isinstance(error, InvalidRequest)
    assert "it knows en, de" in error.message


@pytest.mark.parametrize(
    ("asked", "param"),
    [
        ({"prompt": "A speech."}, "prompt"),
        ({"temperature": 0.5}, "temperature"),
        ({"word_times": True}, "timestamp_granularities"),
    ],
)
def test_what_it_lacks_is_refused_by_name(
    driver: Driver, asked: dict[str, object], param: str
) -> None:
    error = driver.refused(speech(audio("jfk"), **asked))
    assert isinstance(error, UnsupportedParameter)
    assert error.param == param


def test_what_is_loaded_says_its_libraries(bench: Bench) -> None:
    assert bench.loaded.detail.startswith("nemo-conformer-aed, f32, onnx-asr 0.12.")
    assert bench.loaded.languages == ["en", "de"]
    assert bench.loaded.translates


# --- what cannot be loaded ---


def load(path: Path, device: str = "cpu", **options: str) -> None:
    spec = Spec(
        name="m",
        task="speech",
        engine="onnx-asr",
        path=str(path),
        device=device,
        options=options,
    )
    OnnxAsrSpeech().load(spec, lambda _: None)


@pytest.mark.parametrize("broken", ["encoder-model.onnx", "vocab.txt"])
def test_a_broken_file_is_a_permanent_failure(kept: Kept, broken: str) -> None:
    folder = kept("tdt")
    (folder / broken).write_bytes((folder / broken).read_bytes()[:101])
    with pytest.raises(LoadError, match=r"cannot be loaded|does not run") as failed:
        load(folder)
    assert failed.value.permanent


def test_two_precisions_are_one_too_many(kept: Kept) -> None:
    folder = kept("ctc")
    shutil.copy(folder / "model.onnx", folder / "model.int8.onnx")
    with pytest.raises(
        LoadError, match=r"several models \(nemo-conformer-ctc in f32, nemo-conformer-ctc in int8\)"
    ):
        load(folder)


def test_a_language_without_a_token_is_refused(kept: Kept) -> None:
    with pytest.raises(LoadError, match="the vocabulary has no ja"):
        load(kept("aed"), languages="en,ja")


def test_a_whisper_of_english_alone_is_refused(kept: Kept) -> None:
    folder = kept("whisper")
    described = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**described, "vocab_size": 51_864}))
    with pytest.raises(LoadError, match="English alone"):
        load(folder)


def test_a_gpu_wants_another_onnx_runtime(kept: Kept) -> None:
    with pytest.raises(LoadError, match="onnxruntime-gpu"):
        load(kept("ctc"), device="cuda")


# --- what is private in onnx-asr 0.12 ---

PARTS = {
    "ctc": {"_vocab", "_decode_tokens", "_subsampling_factor", "window_step"},
    "tdt": {"_decode", "_create_state", "_blank_idx", "_vocab_size"},
    "aed": {"_decode", "_tokens", "_transcribe_input", "_eos_token_id"},
    "whisper": {"_decode", "_decode_tokens", "_tokens", "_vocab", "_transcribe_input"},
}


@pytest.mark.parametrize("kind", PARTS)
def test_the_private_parts_are_there(model: Callable[[str], OnnxAsr], kind: str) -> None:
    asr = model(kind)._recogniser._asr  # type: ignore[attr-defined]
    assert not [name for name in PARTS[kind] if not hasattr(asr, name)]
