"""What every embedding engine promises."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import openvino
import pytest

from ipc.messages.errors import ContextTooLong, InvalidRequest
from ipc.messages.events import Done, EmbedResult
from ipc.messages.jobs import Job
from tests.contract.driver import Driver, embed
from tests.contract.subjects import EMBED_MODELS, MINILM, SLOTS, Bench, Subject, real_model
from worker.engine import LoadError

MODELS = EMBED_MODELS

TEXTS = [
    "cat",
    "The cat sits on the mat and looks out of the window.",
    "Grüße 👩‍🚀 世界",
    "tax law " * 60,
    "A kitten is a young cat.",
    "cat",
]


def vectors(driver: Driver, one: Job) -> npt.NDArray[np.float32]:
    """The rows of a job's result, checked for shape."""
    found = driver.result(one)
    assert isinstance(found, EmbedResult)
    assert len(found.vectors) == found.count * found.dimensions * 4
    return np.frombuffer(found.vectors.data, "<f4").reshape(found.count, found.dimensions)


def embedded(driver: Driver, *texts: str) -> npt.NDArray[np.float32]:
    one = embed(*texts)
    driver.run(one)
    return vectors(driver, one)


def test_loading_tells_the_dimensions(bench: Bench) -> None:
    assert bench.loaded.dimensions
    assert bench.loaded.device.lower().startswith((bench.spec.device, "remote"))


def test_a_job_gets_exactly_one_terminal_and_nothing_else(driver: Driver) -> None:
    one = embed(*TEXTS)
    driver.run(one)
    (only,) = driver.of(one)
    assert isinstance(only, Done)


def test_there_is_a_unit_vector_for_each_text(bench: Bench, driver: Driver) -> None:
    rows = embedded(driver, *TEXTS)
    assert rows.shape == (len(TEXTS), bench.loaded.dimensions)
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1.0, atol=1e-4)


def test_vectors_stand_in_the_order_of_the_texts(driver: Driver) -> None:
    forward, backward = embedded(driver, *TEXTS), embedded(driver, *reversed(TEXTS))
    assert (np.sum(forward * backward[::-1], axis=1) > 0.9999).all()
    assert np.dot(forward[0], forward[5]) > 0.9999
    assert np.dot(forward[0], forward[3]) < 0.99


def test_a_text_in_a_batch_has_the_vector_it_has_alone(driver: Driver) -> None:
    batch = embedded(driver, *TEXTS)
    alone = np.concatenate([embedded(driver, text) for text in TEXTS])
    assert (np.sum(batch * alone, axis=1) > 0.9999).all()


def test_jobs_that_share_a_batch_get_their_own_vectors(driver: Driver) -> None:
    jobs = [embed(text) for text in TEXTS[:SLOTS]]
    driver.run(*jobs)
    for one, text in zip(jobs, TEXTS, strict=False):
        assert np.dot(vectors(driver, one)[0], embedded(driver, text)[0]) > 0.9999


def test_usage_counts_the_tokens(driver: Driver) -> None:
    short, long = embed("cat"), embed(*TEXTS)
    driver.run(short, long)
    counts = []
    for one in (short, long):
        found = driver.result(one)
        assert isinstance(found, EmbedResult)
        counts.append(found.usage.prompt_tokens)
    assert 0 < counts[0] < counts[1]


def test_only_the_models_own_number_of_dimensions_can_be_asked_for(
    bench: Bench, driver: Driver
) -> None:
    driver.run(embed("cat", dimensions=bench.loaded.dimensions))
    error = driver.refused(embed("cat", dimensions=5))
    assert isinstance(error, InvalidRequest)
    assert str(bench.loaded.dimensions) in error.message


def test_there_is_room_for_so_many_jobs_and_no_more(driver: Driver) -> None:
    jobs = [embed("cat") for _ in range(SLOTS)]
    driver.admit(*jobs)
    assert not driver.engine.admit(embed("cat"))
    driver.finish(*jobs)


def test_a_dropped_job_gets_nothing_and_frees_its_place(driver: Driver) -> None:
    gone, *others = jobs = [embed(*TEXTS) for _ in range(SLOTS)]
    driver.admit(*jobs)
    driver.engine.drop(gone.id)
    driver.admit(embed("cat"))
    driver.finish(*others)
    assert driver.of(gone) == []


def test_an_idle_engine_has_nothing_to_wait_for(driver: Driver) -> None:
    driver.engine.drop("never-heard-of")
    assert driver.engine.wait_s() is None
    embedded(driver, "cat")
    assert driver.engine.wait_s() is None


@pytest.mark.model
def test_near_meanings_have_near_vectors(driver: Driver) -> None:
    cat, kitten, tax = embedded(driver, "a cat", "a kitten", "the income tax law of 1986")
    assert np.dot(cat, kitten) > 0.5 > 0.3 > np.dot(cat, tax)


def test_an_empty_text_has_a_vector_among_the_others(driver: Driver) -> None:
    rows = embedded(driver, "cat", "", "dog")
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1.0, atol=1e-4)
    assert (np.sum(rows[::2] * embedded(driver, "cat", "dog"), axis=1) > 0.9999).all()


def tokens(driver: Driver, one: Job) -> int:
    driver.run(one)
    found = driver.result(one)
    assert isinstance(found, EmbedResult)
    return found.usage.prompt_tokens


@pytest.mark.model
def test_a_text_that_is_too_long_is_cut_or_refused_as_the_request_says(driver: Driver) -> None:
    """all-MiniLM-L6-v2 takes 256 tokens, and cuts by itself."""
    long = "cat " * 300
    assert tokens(driver, embed("cat", long)) == 3 + 256
    assert tokens(driver, embed(long, cut=True, tokens=100)) == 100
    error = driver.refused(embed("cat", long, cut=False))
    assert isinstance(error, ContextTooLong)
    assert "256 tokens. However, input 1 has 302 tokens" in error.message
    assert "`truncate: true`" in error.message


@pytest.mark.model
def test_a_text_never_comes_to_a_control_token(driver: Driver) -> None:
    """Brackets and names are tokens of their own; what is forged would be one token."""
    for name in ("[CLS]", "[SEP]", "[MASK]", "[PAD]", "[UNK]", "</s>", "<|endoftext|>"):
        bare, forged = embed("cat dog"), embed(f"cat {name} dog")
        assert tokens(driver, forged) >= tokens(driver, bare) + 3, name


# --- precision ---


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder, and so one conversion, for all precisions."""
    return tmp_path_factory.mktemp("precision")


def loaded(engine: str, scratch: Path, **options: str) -> Bench:
    subject = Subject(engine, "embed", lambda _: real_model(MINILM))
    return Bench(subject, scratch, **options)


def test_vectors_in_bfloat16_are_those_in_float32(scratch: Path) -> None:
    texts = [*TEXTS, *(" ".join(TEXTS[1:3] * times) for times in range(1, 12))]
    rows = []
    for precision in ("f32", "bf16"):
        bench = loaded("openvino", scratch, precision=precision)
        assert precision in bench.loaded.detail
        rows.append(embedded(Driver(bench.engine), *texts))
        bench.engine.close()
    exact, quick = rows
    assert np.sum(exact * quick, axis=1).min() > 0.9999
    # What a search compares: the similarities of texts with each other.
    assert np.abs(exact @ exact.T - quick @ quick.T).max() < 0.005


def test_auto_is_bfloat16_where_the_processor_has_it(scratch: Path) -> None:
    native = openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    bench = loaded("openvino", scratch, precision="auto")
    assert bench.loaded.detail.endswith("bf16" if "BF16" in native else "f32")
    bench.engine.close()


@pytest.mark.parametrize("engine", ["openvino", "torch"])
def test_an_option_that_is_not_known_is_refused(scratch: Path, engine: str) -> None:
    with pytest.raises(LoadError, match="precision: 'int8' is not one of 'f32', 'bf16'"):
        loaded(engine, scratch, precision="int8")
    with pytest.raises(LoadError, match="dtype: unknown; the options are matryoshka, precision"):
        loaded(engine, scratch, dtype="bfloat16")
