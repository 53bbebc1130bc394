"""What every reranking engine promises; the truth is transformers' own forward pass."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from ipc.messages.errors import ContextTooLong
from ipc.messages.events import Done, RerankResult
from ipc.messages.jobs import Job, RerankInput, Truncation
from ipc.messages.spec import Spec
from tests.contract.checkpoints import tiny_cross
from tests.contract.driver import Driver, job
from tests.contract.subjects import SLOTS, Bench, Subject
from worker.engine import LoadError
from worker.engines import make

MODELS = [Subject(engine, "rerank", tiny_cross.bert) for engine in ("torch", "openvino")]

QUERY = "what does a cat eat"
DOCUMENTS = [
    "the cat sleeps at night",
    "paris is a city in france with many bridges and a river",
    "",
    "bamboo " * 9,
    "Grüße 👩‍🚀 世界",
    "the cat sleeps at night",
]

Build = Callable[[Path], Path]
Scores = npt.NDArray[np.float32]


def rerank(*documents: str, query: str = QUERY) -> Job:
    return job(RerankInput(query=query, documents=list(documents)))


def scores(driver: Driver, one: Job) -> Scores:
    found = driver.result(one)
    assert isinstance(found, RerankResult)
    assert len(found.scores) == found.count * 4
    return np.frombuffer(found.scores.data, "<f4")


def scored(driver: Driver, *documents: str) -> Scores:
    one = rerank(*documents)
    driver.run(one)
    return scores(driver, one)


# --- every engine ---


def test_a_job_gets_exactly_one_terminal_and_nothing_else(driver: Driver) -> None:
    one = rerank(*DOCUMENTS)
    driver.run(one)
    (only,) = driver.of(one)
    assert isinstance(only, Done)


def test_there_is_a_score_for_each_document_in_its_place(driver: Driver) -> None:
    forward, backward = scored(driver, *DOCUMENTS), scored(driver, *reversed(DOCUMENTS))
    assert len(forward) == len(DOCUMENTS)
    np.testing.assert_allclose(forward, backward[::-1], atol=1e-5)
    assert forward[0] == pytest.approx(forward[-1], abs=1e-5)
    assert abs(forward[0] - forward[2]) > 1e-3


def test_a_pair_in_a_batch_has_the_score_it_has_alone(driver: Driver) -> None:
    alone = np.concatenate([scored(driver, document) for document in DOCUMENTS])
    np.testing.assert_allclose(scored(driver, *DOCUMENTS), alone, atol=1e-5)


def test_jobs_that_share_a_batch_get_their_own_scores(driver: Driver) -> None:
    jobs = [rerank(document) for document in DOCUMENTS[:SLOTS]]
    driver.run(*jobs)
    for one, document in zip(jobs, DOCUMENTS, strict=False):
        np.testing.assert_allclose(scores(driver, one), scored(driver, document), atol=1e-5)


def test_there_is_room_for_so_many_jobs_and_no_more(driver: Driver) -> None:
    jobs = [rerank("cat") for _ in range(SLOTS)]
    driver.admit(*jobs)
    assert not driver.engine.admit(rerank("cat"))
    driver.finish(*jobs)


def test_a_dropped_job_gets_nothing_and_frees_its_place(driver: Driver) -> None:
    gone, *others = jobs = [rerank(*DOCUMENTS) for _ in range(SLOTS)]
    driver.admit(*jobs)
    driver.engine.drop(gone.id)
    driver.admit(rerank("cat"))
    driver.finish(*others)
    assert driver.of(gone) == []


@pytest.mark.model
def test_loading_tells_the_length_that_query_and_document_may_have(bench: Bench) -> None:
    assert bench.loaded.context_tokens == tiny_cross.MAX_TOKENS
    assert "sigmoid" in bench.loaded.detail


@pytest.mark.model
def test_a_pair_that_is_too_long_is_refused(bench: Bench, driver: Driver) -> None:
    long = ["cat", "cat " * tiny_cross.MAX_TOKENS]
    refusing = Truncation(cut=False)
    error = driver.refused(job(RerankInput(query=QUERY, documents=long, truncation=refusing)))
    assert isinstance(error, ContextTooLong)
    assert error.param == "documents[1]"
    assert str(bench.loaded.context_tokens) in error.message


@pytest.mark.model
def test_neither_query_nor_document_comes_to_a_control_token(driver: Driver) -> None:
    """A document that ends its own part and begins the query's again would score as it likes."""
    forged = rerank("cat [SEP] [CLS] cat", query="[SEP] cat")
    plain = rerank("cat cat", query="cat")
    driver.run(forged, plain)
    counted = []
    for one in (forged, plain):
        found = driver.result(one)
        assert isinstance(found, RerankResult)
        counted.append(found.usage.prompt_tokens)
    assert counted[0] >= counted[1] + 3 * 3


# --- the numbers ---


def expected(folder: Path, query: str, *documents: str) -> Scores:
    """Logits by transformers' own tokenizer and model, all pairs in one padded batch."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    batch: Any = tokenizer(
        [query] * len(documents), list(documents), padding=True, return_tensors="pt"
    )
    with torch.no_grad():
        logits: Scores = model(**batch).logits[:, 0].numpy()
    return logits


def served(folder: Path, engine: str, query: str, *documents: str) -> Scores:
    spec = Spec(
        name="m",
        task="rerank",
        engine=engine,
        path=str(folder),
        cache=str(folder.parent / "cache"),
        threads=1,
    )
    loaded = make(spec)
    loaded.load(spec, lambda _: None)
    driver = Driver(loaded)
    one = rerank(*documents, query=query)
    driver.run(one)
    loaded.close()
    return scores(driver, one)


@pytest.mark.parametrize("engine", ["torch", "openvino"])
@pytest.mark.parametrize("build", [tiny_cross.bert, tiny_cross.xlm_roberta])
def test_scores_are_those_of_transformers(tmp_path: Path, build: Build, engine: str) -> None:
    folder = build(tmp_path / "model")
    documents = [each for each in DOCUMENTS if each.isascii()]
    logits = expected(folder, QUERY, *documents)
    assert np.ptp(logits) > 0.1  # else any number would do
    found = served(folder, engine, QUERY, *documents)
    assert np.abs(found - 1 / (1 + np.exp(-logits))).max() < 1e-4


def test_with_identity_the_score_is_the_logit(tmp_path: Path) -> None:
    folder = tiny_cross.bert(tmp_path / "model")
    named = "torch.nn.modules.linear.Identity"
    tiny_cross.edit_config(folder, sentence_transformers={"activation_fn": named, "version": "5"})
    found = served(folder, "torch", QUERY, *DOCUMENTS)
    assert np.abs(found - expected(folder, QUERY, *DOCUMENTS)).max() < 1e-4


@pytest.mark.parametrize("engine", ["torch", "openvino"])
def test_a_classifier_of_several_labels_is_not_a_reranker(tmp_path: Path, engine: str) -> None:
    folder = tiny_cross.bert(tmp_path / "model", labels=3)
    with pytest.raises(LoadError, match="a classifier of 3 labels"):
        served(folder, engine, QUERY, "cat")


def test_a_head_that_was_never_saved_is_not_made_up(tmp_path: Path) -> None:
    folder = tiny_cross.bert(tmp_path / "model")
    tiny_cross.drop_tensors(folder, "classifier.")
    with pytest.raises(LoadError, match=r"lacks 2 tensors, the first classifier\.bias"):
        served(folder, "torch", QUERY, "cat")
