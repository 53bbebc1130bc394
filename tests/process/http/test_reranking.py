"""Rerank, llama.cpp's embeddings and the embedding cache, through real processes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.process.box import EMBED, RERANK, Box, MakeBox, spec, wait_until

DOCUMENTS = ["a panda", "a small panda bear", "paris"]


@pytest.fixture(scope="module")
def small_box(module_box: MakeBox) -> Box:
    return module_box(spec(RERANK), spec(EMBED)).wait_ready()


def rerank(box: Box, path: str = "/v1/rerank", **changes: Any) -> Any:
    body = {"model": RERANK, "query": "small panda", "documents": DOCUMENTS, **changes}
    return box.client.post(path, json=body)


def metric(box: Box, name: str, model: str) -> float:
    """The value of a series of ``model``, 0 where there is none yet."""
    lines = box.client.get("/metrics").text.splitlines()
    wanted = f'{name}{{model="{model}"}} '
    return next((float(line.rpartition(" ")[2]) for line in lines if line.startswith(wanted)), 0.0)


def wait_for_metric(box: Box, name: str, model: str, value: float) -> None:
    """A request is counted once it has ended, which its client may see first."""
    wait_until(lambda: metric(box, name, model) == value)


@pytest.mark.parametrize("path", ["/v1/rerank", "/rerank"])
def test_documents_come_back_in_the_order_of_their_relevance(small_box: Box, path: str) -> None:
    answer = rerank(small_box, path, return_documents=True)
    assert answer.status_code == 200
    assert answer.json()["results"] == [
        {"index": 1, "relevance_score": 1.0, "document": {"text": "a small panda bear"}},
        {"index": 0, "relevance_score": 0.5, "document": {"text": "a panda"}},
        {"index": 2, "relevance_score": 0.0, "document": {"text": "paris"}},
    ]


def test_top_n_is_how_many(small_box: Box) -> None:
    assert [found["index"] for found in rerank(small_box, top_n=1).json()["results"]] == [1]


def test_a_reranker_is_listed_with_what_it_can_do(small_box: Box) -> None:
    listed = small_box.client.get(f"/v1/models/{RERANK}").json()
    assert listed["capabilities"] == ["rerank"]


def test_another_models_route_is_named(small_box: Box) -> None:
    answer = rerank(small_box, model=EMBED)
    assert answer.status_code == 400
    assert "/v1/embeddings" in answer.json()["error"]["message"]


def test_what_the_engine_refuses_is_told(small_box: Box) -> None:
    assert rerank(small_box, query="/deny it").status_code == 400


def test_reranking_is_measured(make_box: MakeBox) -> None:
    box = make_box(spec(RERANK)).wait_ready()
    assert rerank(box).status_code == rerank(box).status_code == 200
    for name in ("request_latency", "request_queue_wait", "batch_wait"):
        wait_for_metric(box, f"rerank_{name}_seconds_count", RERANK, 2)


@pytest.mark.parametrize("path", ["/embedding", "/embeddings"])
def test_llama_cpps_routes_answer_from_the_only_embedding_model(small_box: Box, path: str) -> None:
    answer = small_box.client.post(path, json={"content": ["a", "b"]})
    assert [item["index"] for item in answer.json()] == [0, 1]
    usual = small_box.embed("a", "b").json()["data"]
    for item, same in zip(answer.json(), usual, strict=True):
        assert item["embedding"][0] == pytest.approx(same["embedding"], abs=1e-6)


def test_with_two_embedding_models_one_must_be_named(make_box: MakeBox) -> None:
    box = make_box(spec(EMBED), spec("echo/embed-2")).wait_ready()
    answer = box.client.post("/embedding", json={"content": "a"})
    assert answer.status_code == 400
    assert "echo/embed, echo/embed-2" in answer.json()["error"]["message"]
    named = box.client.post("/embedding", json={"content": "a", "model": "echo/embed-2"})
    assert named.status_code == 200


# --- the cache -----------------------------------------------------------------------------------


@pytest.fixture
def forwards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the tests' engine notes each text that it computes; workers can import it."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    file = tmp_path / "forwards"
    file.touch()
    return file


def lengths(forwards: Path, cache_items: int) -> Any:
    options = {"forwards": str(forwards)}
    return spec(
        EMBED, engine="tests.process.http.lengths.Lengths", options=options, cache_items=cache_items
    )


def test_a_repeated_text_is_computed_once_and_counted(make_box: MakeBox, forwards: Path) -> None:
    box = make_box(lengths(forwards, cache_items=8)).wait_ready()
    forwards.write_text("")  # the warm-up's
    for texts in (("a", "bb"), ("bb", "ccc"), ("ccc", "a")):
        data = box.embed(*texts).json()["data"]
        assert [item["embedding"] for item in data] == [[len(text)] for text in texts]
    assert len(forwards.read_text()) == 3
    wait_for_metric(box, "embedding_cache_hits_total", EMBED, 3)
    wait_for_metric(box, "embedding_cache_misses_total", EMBED, 3)
    wait_for_metric(box, "embedding_batch_wait_seconds_count", EMBED, 3)
    wait_until(lambda: box.replica(EMBED)["cache_hits"] == box.replica(EMBED)["cache_misses"] == 3)


def test_without_a_cache_each_text_is_computed_anew(make_box: MakeBox, forwards: Path) -> None:
    box = make_box(lengths(forwards, cache_items=0)).wait_ready()
    forwards.write_text("")
    for _ in range(2):
        box.embed("a", "bb")
    assert len(forwards.read_text()) == 4
    assert "embedding_cache_hits_total{" not in box.client.get("/metrics").text


def test_tokens_of_embeddings_are_not_told_where_that_is_switched_off(make_box: MakeBox) -> None:
    box = make_box(spec(EMBED), embedding_usage=False).wait_ready()
    assert box.embed("one two").json()["usage"] == {"prompt_tokens": 0, "total_tokens": 0}
