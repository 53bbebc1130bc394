"""POST /v1/rerank, and llama.cpp's two routes for embeddings, in front of a scripted dispatcher."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from starlette.testclient import TestClient

from frontend.api.rerank.request import RERANK_PATHS
from frontend.api.rerank.score import SCORE_PATHS
from ipc.messages.jobs import EmbedInput, RerankInput, Truncation
from tests.unit.frontend.http_fakes import FakeDispatcher, application, embeds, ranks

SCORES = struct.pack("<4f", 0.25, 0.75, 0.25, 0.5)
DOCUMENTS = ["a", "b", "c", "d"]
BODY = {"model": "org/rerank", "query": "q", "documents": DOCUMENTS}


def ask(path: str, body: dict[str, Any], fake: FakeDispatcher) -> Any:
    return TestClient(application(fake)).post(path, json=body)


def rerank(**changes: Any) -> Any:
    return ask("/v1/rerank", {**BODY, **changes}, FakeDispatcher(ranks(SCORES)))


@pytest.mark.parametrize("path", RERANK_PATHS)
def test_the_best_come_first_and_equals_stay_in_order(path: str) -> None:
    answer = ask(path, BODY, FakeDispatcher(ranks(SCORES)))
    body = answer.json()
    assert body["results"] == [
        {"index": 1, "relevance_score": 0.75},
        {"index": 3, "relevance_score": 0.5},
        {"index": 0, "relevance_score": 0.25},
        {"index": 2, "relevance_score": 0.25},
    ]
    assert body["model"] == "org/rerank"
    assert body["usage"] == {"prompt_tokens": 7, "total_tokens": 7}
    assert body["meta"] == {"billed_units": {"search_units": 1}}
    assert body["id"] == f"rerank-{answer.headers['x-request-id']}"


def test_top_n_cuts_the_answer_and_may_be_too_large() -> None:
    assert [found["index"] for found in rerank(top_n=2).json()["results"]] == [1, 3]
    assert len(rerank(top_n=99).json()["results"]) == 4


def test_documents_come_back_when_asked_for_however_they_were_sent() -> None:
    documents = [{"text": "a"}, "b", {"text": "c", "title": "x"}, ""]
    found = rerank(documents=documents, top_n=2, return_documents=True).json()["results"]
    assert [result["document"] for result in found] == [{"text": "b"}, {"text": ""}]


def test_the_worker_gets_the_texts() -> None:
    fake = FakeDispatcher(ranks(SCORES))
    ask("/rerank", {**BODY, "documents": ["a", {"text": "b"}]}, fake)
    assert fake.asked == [RerankInput(query="q", documents=["a", "b"])]


def test_the_worker_gets_how_much_of_each_text_to_read() -> None:
    fake = FakeDispatcher(ranks(SCORES))
    ask("/v2/rerank", {**BODY, "max_tokens_per_doc": 9, "truncate": True}, fake)
    wanted = RerankInput(
        query="q", documents=DOCUMENTS, document_tokens=9, truncation=Truncation(cut=True)
    )
    assert fake.asked == [wanted]


# --- the form of text-embeddings-inference -------------------------------------------------------

TEXTS = {"query": "q", "texts": ["a", "b", "", "d"]}


def test_texts_are_answered_by_a_bare_array() -> None:
    answer = ask("/rerank", TEXTS, FakeDispatcher(ranks(SCORES)))
    assert answer.json() == [
        {"index": 1, "score": 0.75},
        {"index": 3, "score": 0.5},
        {"index": 0, "score": 0.25},
        {"index": 2, "score": 0.25},
    ]


def test_texts_come_back_when_asked_for() -> None:
    answer = ask("/rerank", {**TEXTS, "return_text": True}, FakeDispatcher(ranks(SCORES)))
    assert [result["text"] for result in answer.json()] == ["b", "d", "a", ""]


@pytest.mark.parametrize(("raw", "activation"), [(True, "Identity"), (False, "Sigmoid")])
def test_scores_are_raw_when_asked_for_and_else_between_0_and_1(raw: bool, activation: Any) -> None:
    fake = FakeDispatcher(ranks(SCORES))
    body = {**TEXTS, "raw_scores": raw, "truncate": True, "truncation_direction": "Left"}
    ask("/rerank", {**body, "model": "org/rerank"}, fake)
    wanted = RerankInput(
        query="q",
        documents=["a", "b", "", "d"],
        truncation=Truncation(cut=True, side="left"),
        activation=activation,
    )
    assert fake.asked == [wanted]


TEXT_MISTAKES = [
    ({"texts": []}, "texts", "at least 1 item"),
    ({"texts": ["a", 3]}, "texts[1]", "a string or an object with a `text`"),
    ({"query": ""}, "query", "must not be empty"),
    ({"raw_scores": "yes"}, "raw_scores", "true or false"),
    ({"model": "org/embed"}, "model", "served elsewhere"),
]


@pytest.mark.parametrize(("changes", "param", "message"), TEXT_MISTAKES)
def test_a_mistake_in_that_form_is_named(changes: dict[str, Any], param: str, message: str) -> None:
    answer = ask("/rerank", {**TEXTS, **changes}, FakeDispatcher(ranks(SCORES)))
    error = answer.json()["error"]
    assert (answer.status_code, error["param"]) == (400, param)
    assert message in error["message"]


MISTAKES = [
    ({"query": ""}, "query", "must not be empty"),
    ({"max_tokens_per_doc": 0}, "max_tokens_per_doc", "at least 1"),
    ({"max_chunks_per_doc": 10}, "max_chunks_per_doc", "not supported"),
    ({"rank_fields": ["title"]}, "rank_fields", "not supported"),
    ({"truncate": "MIDDLE"}, "truncate", "must be one of"),
    ({"query": None}, "query", "must be a string"),
    ({"documents": []}, "documents", "at least 1 item"),
    ({"documents": "a"}, "documents", "must be an array"),
    ({"documents": [1]}, "documents[0]", "a string or an object with a `text`"),
    ({"documents": ["a", {"title": "b"}]}, "documents[1].text", "is required"),
    ({"documents": ["a", {"text": 3}]}, "documents[1].text", "must be a string"),
    ({"documents": ["a"] * 5}, "documents", "at most 4 items"),
    ({"documents": ["a" * 101]}, "documents[0]", "at most 100 characters"),
    ({"top_n": 0}, "top_n", "at least 1"),
    ({"model": "org/embed"}, "model", "served elsewhere"),
]


@pytest.mark.parametrize(("changes", "param", "message"), MISTAKES)
def test_a_mistake_is_named(changes: dict[str, Any], param: str, message: str) -> None:
    answer = rerank(**changes)
    error = answer.json()["error"]
    assert (answer.status_code, error["param"]) == (400, param)
    assert message in error["message"]


# --- llama.cpp's embeddings ----------------------------------------------------------------------


@pytest.mark.parametrize("path", SCORE_PATHS)
@pytest.mark.parametrize("query", ["q", ["q"]])
@pytest.mark.parametrize("names", [("text_1", "text_2"), ("queries", "documents")])
def test_scores_come_in_the_order_of_the_texts(
    path: str, query: Any, names: tuple[str, str]
) -> None:
    fake = FakeDispatcher(ranks(SCORES))
    answer = ask(path, {"model": "org/rerank", names[0]: query, names[1]: DOCUMENTS}, fake)
    assert [(each["index"], each["score"]) for each in answer.json()["data"]] == [
        (0, 0.25),
        (1, 0.75),
        (2, 0.25),
        (3, 0.5),
    ]
    assert answer.json()["usage"] == {"prompt_tokens": 7, "total_tokens": 7}
    assert fake.asked == [RerankInput(query="q", documents=DOCUMENTS)]


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"text_2": "a"}, "queries"),
        ({"text_1": "q"}, "documents"),
        ({"text_1": ["q", "r"], "text_2": ["a", "b"]}, "text_1"),
        ({"text_1": "q", "text_2": ["a", 1]}, "text_2[1]"),
    ],
)
def test_what_cannot_be_scored_is_told_with_its_place(body: dict[str, Any], param: str) -> None:
    answer = ask("/score", body, FakeDispatcher(ranks(SCORES)))
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)


def test_a_missing_text_is_told_by_both_of_its_names() -> None:
    told = ask("/score", {"text_1": "q"}, FakeDispatcher(ranks(SCORES))).json()["error"]["message"]
    assert told == "`documents`, or `text_2`, is required"


def plain(body: dict[str, Any], path: str = "/embedding", texts: int = 1) -> Any:
    fake = FakeDispatcher(embeds(struct.pack("<2f", 3.0, 4.0) * texts, texts))
    return ask(path, body, fake), fake


@pytest.mark.parametrize("path", ["/embedding", "/embeddings"])
def test_an_array_of_vectors_of_length_one(path: str) -> None:
    answer, fake = plain({"content": ["a", "b"]}, path, texts=2)
    assert [item["index"] for item in answer.json()] == [0, 1]
    for item in answer.json():
        (vector,) = item["embedding"]
        assert vector == pytest.approx([0.6, 0.8])
    assert fake.asked == [EmbedInput(texts=["a", "b"])]


@pytest.mark.parametrize(
    "body",
    [
        {"content": "a"},
        {"input": "a"},
        {"content": {"prompt_string": "a"}},
        {"content": [{"content": "a"}]},
        {"content": "a", "model": "org/embed", "embd_normalize": 2},
    ],
)
def test_a_text_may_be_sent_in_several_forms(body: dict[str, Any]) -> None:
    answer, fake = plain(body)
    assert answer.status_code == 200
    assert fake.asked == [EmbedInput(texts=["a"])]


PLAIN_MISTAKES = [
    ({}, "content", "is required"),
    ({"content": [1, 2]}, "content", "token ids"),
    ({"input": ["a", 3]}, "input[1]", "must be a string"),
    ({"content": {"image": "x"}}, "content.prompt_string", "must be a string"),
    ({"content": "a", "embd_normalize": -1}, "embd_normalize", "not supported"),
    ({"content": {"prompt_string": "a", "multimodal_data": ["x"]}}, "multimodal_data", "not supp"),
    ({"content": "a", "model": "org/chat"}, "model", "served elsewhere"),
]


@pytest.mark.parametrize(("body", "param", "message"), PLAIN_MISTAKES)
def test_a_mistake_in_a_plain_request_is_named(
    body: dict[str, Any], param: str, message: str
) -> None:
    answer, _ = plain(body)
    error = answer.json()["error"]
    assert (answer.status_code, error["param"]) == (400, param)
    assert message in error["message"]


# --- usage and metrics ---------------------------------------------------------------------------


@pytest.mark.parametrize(("counted", "tokens"), [(True, 7), (False, 0)])
def test_tokens_of_embeddings_are_told_unless_switched_off(counted: bool, tokens: int) -> None:
    fake = FakeDispatcher(embeds(struct.pack("<2f", 3.0, 4.0), 1))
    client = TestClient(application(fake, embedding_usage=counted))
    answer = client.post("/v1/embeddings", json={"model": "org/embed", "input": "a"})
    assert answer.json()["usage"] == {"prompt_tokens": tokens, "total_tokens": tokens}
    # The log and the metrics still know.
    assert 'edge_serve_prompt_tokens_total{model="org/embed"} 7.0' in client.get("/metrics").text
