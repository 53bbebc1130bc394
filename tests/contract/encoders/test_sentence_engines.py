"""Vectors are those of sentence-transformers for the same folder, on every embedding engine."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from sentence_transformers import SentenceTransformer

from ipc.messages.errors import ContextTooLong
from ipc.messages.events import EmbedResult
from supervisor.models import to_safetensors
from tests.contract.checkpoints import tiny_sentence
from tests.contract.checkpoints.tiny_sentence import MAX_TOKENS, PROMPTS, WIDTH
from tests.contract.driver import Driver, embed
from tests.contract.subjects import Bench, Subject

ENGINES = ["torch", "openvino"]
CHECKPOINTS = ["minilm", "bge_m3", "embeddinggemma"]
# From nothing at all to more tokens than the sliding window sees, out of the order of lengths.
TEXTS = [
    "what does a cat eat",
    "",
    "panda bears live in china and eat bamboo on the river seine at night",
    "Grüße 👩‍🚀 世界",
    "cat",
    "the capital of france is paris, a city",
]
TOO_LONG = "the cat sleeps at night and " * 40

Vectors = npt.NDArray[np.float32]
Serve = Callable[..., Driver]


@pytest.fixture(scope="module", params=CHECKPOINTS)
def checkpoint(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository as its publisher laid it out."""
    build = getattr(tiny_sentence, request.param)
    folder: Path = build(tmp_path_factory.mktemp(request.param))
    return folder


@pytest.fixture(scope="module")
def truth(checkpoint: Path) -> SentenceTransformer:
    return SentenceTransformer(str(checkpoint), device="cpu", local_files_only=True)


@pytest.fixture(scope="module", params=ENGINES)
def serve(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Serve]:
    """Loads a folder into the engine under test, which is closed with the module."""
    loaded: list[Bench] = []
    scratch: dict[Path, Path] = {}  # one for each folder, so that it is converted once

    def load(folder: Path, **options: Any) -> Driver:
        if folder not in scratch:
            scratch[folder] = tmp_path_factory.mktemp(request.param)
        subject = Subject(request.param, "embed", lambda _: folder, options=options)
        loaded.append(Bench(subject, scratch[folder]))
        return Driver(loaded[-1].engine)

    yield load
    for bench in loaded:
        bench.engine.close()


def served(driver: Driver, *texts: str, dimensions: int | None = None) -> Vectors:
    """The vectors of ``texts``, asked for in one job."""
    one = embed(*texts, dimensions=dimensions)
    driver.run(one)
    found = driver.result(one)
    assert isinstance(found, EmbedResult)
    return np.frombuffer(found.vectors.data, "<f4").reshape(found.count, found.dimensions)


def assert_same(found: Vectors, expected: Vectors) -> None:
    assert found.shape == expected.shape
    lengths = np.linalg.norm(found, axis=1) * np.linalg.norm(expected, axis=1)
    assert (np.sum(found * expected, axis=1) / lengths > 0.9999).all()


def test_the_truth_tells_texts_apart(truth: SentenceTransformer) -> None:
    """Else vectors could be equal for no good reason."""
    vectors = truth.encode(TEXTS)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-4)
    cosines = vectors @ vectors.T
    np.fill_diagonal(cosines, 0)
    assert cosines.max() < 0.99


def test_vectors_are_those_of_sentence_transformers(
    serve: Serve, checkpoint: Path, truth: SentenceTransformer
) -> None:
    driver = serve(checkpoint)
    expected = truth.encode(TEXTS)
    assert_same(served(driver, *TEXTS), expected)
    assert_same(np.concatenate([served(driver, text) for text in TEXTS]), expected)


# The next two are about the reading of a folder, which all engines share.


@pytest.mark.parametrize("serve", ["torch"], indirect=True)
def test_so_are_they_when_sentence_transformers_has_saved_it_again(
    serve: Serve, truth: SentenceTransformer, tmp_path: Path
) -> None:
    """Its layout changes between releases; a model that was tuned has the newest."""
    truth.save(str(tmp_path / "again"))
    assert_same(served(serve(tmp_path / "again"), *TEXTS), truth.encode(TEXTS))


@pytest.mark.parametrize("serve", ["torch"], indirect=True)
@pytest.mark.parametrize("checkpoint", ["bge_m3"], indirect=True)
def test_so_are_they_when_its_weights_are_a_pickle_that_was_rewritten(
    serve: Serve, checkpoint: Path, truth: SentenceTransformer, tmp_path: Path
) -> None:
    """As BAAI/bge-m3 is published: pulling it takes the tensors out of `torch.save`'s file."""
    folder = tiny_sentence.pickle_weights(shutil.copytree(checkpoint, tmp_path / "pickled"))
    to_safetensors.convert(folder, lambda _what, _done, _total: None)
    assert not list(folder.glob("*.bin"))
    assert_same(served(serve(folder), *TEXTS), truth.encode(TEXTS))


def test_a_text_that_is_too_long_is_refused_unless_it_may_be_cut(
    serve: Serve, checkpoint: Path, truth: SentenceTransformer
) -> None:
    error = serve(checkpoint, truncate=False).refused(embed("cat", TOO_LONG))
    assert isinstance(error, ContextTooLong)
    assert str(MAX_TOKENS) in error.message
    cut = serve(checkpoint, truncate=True)
    assert_same(served(cut, "cat", TOO_LONG), truth.encode(["cat", TOO_LONG]))


@pytest.mark.parametrize("checkpoint", ["embeddinggemma"], indirect=True)
@pytest.mark.parametrize("name", PROMPTS)
def test_a_prompt_goes_before_each_text(
    serve: Serve, checkpoint: Path, truth: SentenceTransformer, name: str
) -> None:
    found = served(serve(checkpoint, prompt_name=name), *TEXTS)
    assert_same(found, truth.encode(TEXTS, prompt_name=name))
    bare = truth.encode(TEXTS)
    assert (np.sum(found * bare, axis=1) < 0.9999).all(), "the prompt makes no difference"


@pytest.mark.parametrize("checkpoint", ["embeddinggemma"], indirect=True)
def test_vectors_are_cut_short_and_normalised_again(
    serve: Serve, checkpoint: Path, truth: SentenceTransformer
) -> None:
    found = served(serve(checkpoint, matryoshka="32,16"), *TEXTS, dimensions=16)
    assert_same(found, truth.encode(TEXTS, truncate_dim=16, normalize_embeddings=True))
    assert found.shape[1] == 16 < WIDTH
    assert np.allclose(np.linalg.norm(found, axis=1), 1, atol=1e-4)
