"""What whole answers of servers and their refusals are taken for: bodies in, outcomes out."""

from __future__ import annotations

import base64
import json
import struct
from typing import Any

import pytest

from ipc.messages.blob import Blob
from ipc.messages.errors import (
    ContextTooLong,
    DeadlineExceeded,
    InternalError,
    InvalidRequest,
    OutOfMemory,
    PayloadTooLarge,
    PoisonRequest,
    QueueFull,
    ServeError,
    Unavailable,
    UnsupportedParameter,
)
from ipc.messages.events import Usage, Word
from ipc.messages.jobs import EmbedInput, RerankInput, SpeechInput, Truncation
from worker.engines.common.server_errors import refusal
from worker.engines.upstream.speech import speech_result
from worker.engines.upstream.text import embed_body, embed_result, rerank_body, rerank_result


def body(**content: Any) -> bytes:
    return json.dumps(content).encode()


# --- refusals ------------------------------------------------------------------------------------

REFUSALS: list[tuple[int, dict[str, Any], type[ServeError]]] = [
    # what the client can change
    (400, {}, InvalidRequest),
    (400, {"type": "exceed_context_size_error"}, ContextTooLong),
    (400, {"message": "This model's maximum context length is 9"}, ContextTooLong),
    (413, {}, PayloadTooLarge),
    (501, {"type": "not_supported_error"}, UnsupportedParameter),
    (422, {}, InvalidRequest),
    # what the operator has to
    (307, {}, InternalError),
    (401, {}, InternalError),
    (402, {}, InternalError),
    (403, {}, InternalError),
    (404, {}, InternalError),
    (410, {}, InternalError),
    (429, {"code": "insufficient_quota"}, InternalError),
    # what a repeat may mend
    (408, {}, Unavailable),
    (409, {}, Unavailable),
    (425, {}, Unavailable),
    (429, {}, QueueFull),
    (502, {}, Unavailable),
    (503, {}, Unavailable),
    (503, {"code": "out_of_memory"}, OutOfMemory),
    (504, {}, Unavailable),
    (522, {}, Unavailable),
    (529, {}, Unavailable),
    # and what it would not
    (500, {}, InternalError),
    (500, {"code": "poison_request"}, PoisonRequest),
    (501, {}, InternalError),
    (504, {"code": "deadline_exceeded"}, DeadlineExceeded),
    (507, {}, InternalError),
]


@pytest.mark.parametrize(("status", "said", "kind"), REFUSALS)
def test_a_refusal_is_repeated_only_where_that_may_mend_it(
    status: int, said: dict[str, Any], kind: type[ServeError]
) -> None:
    error = refusal(status, body(error={"message": "why", **said}))
    assert type(error) is kind
    may_pass = isinstance(error, Unavailable | QueueFull)
    assert (error.retry_after_s is not None) is may_pass
    # What SDKs make of it.
    assert may_pass is (error.should_retry is None and error.status in (408, 409, 429, 503, 504))


@pytest.mark.parametrize(
    ("status", "header", "kind"),
    [
        (500, "true", Unavailable),
        (503, "false", InternalError),
        (429, "false", InternalError),
        (429, "true", QueueFull),
        (400, "false", InvalidRequest),
        (503, "perhaps", Unavailable),
    ],
)
def test_an_upstream_that_says_whether_to_repeat_is_believed(
    status: int, header: str, kind: type[ServeError]
) -> None:
    assert type(refusal(status, b"", should_retry=header)) is kind


def test_when_to_come_again_is_passed_on() -> None:
    assert refusal(503, b"", "7").retry_after_s == 7
    assert refusal(429, b"", "soon").retry_after_s == 1
    assert refusal(500, b"", "7").retry_after_s is None
    assert refusal(503, b"", "Thu, 26 Nov 2026 20:00:00 GMT").retry_after_s == 1


@pytest.mark.parametrize(
    "said",
    [
        b'{"error": {"message": "why"}}',
        b'{"error": "why"}',
        b'{"error": null, "detail": "why"}',
        b'{"message": "why"}',
    ],
)
def test_the_reason_is_found_wherever_it_stands(said: bytes) -> None:
    assert refusal(400, said).message == "why"


def test_a_reason_that_cannot_be_read_leaves_the_status() -> None:
    assert refusal(400, b"<h1>\xe9</h1>").message == "the upstream answered with status 400"


# --- embeddings ----------------------------------------------------------------------------------

TWO = EmbedInput(texts=["a", "b"])
PACKED = [base64.b64encode(struct.pack("<2f", *row)).decode() for row in ((1.0, 2.0), (3.0, 4.0))]


@pytest.mark.parametrize(
    "data",
    [
        [{"index": 0, "embedding": [1, 2]}, {"index": 1, "embedding": [3.0, 4]}],
        [{"index": 1, "embedding": [3, 4]}, {"index": 0, "embedding": [1, 2]}],
        [{"embedding": [1, 2]}, {"embedding": [3, 4]}],
        [{"index": None, "embedding": [1, 2]}, {"index": None, "embedding": [3, 4]}],
        [{"index": 1.0, "embedding": PACKED[1]}, {"index": 0.0, "embedding": PACKED[0]}],
    ],
)
@pytest.mark.parametrize("usage", [{"prompt_tokens": 5}, {"prompt_tokens": 5.0}, None, "?"])
def test_vectors_are_those_of_the_texts(data: list[Any], usage: Any) -> None:
    result = embed_result(body(data=data, usage=usage), TWO)
    assert struct.unpack("<4f", result.vectors.data) == (1.0, 2.0, 3.0, 4.0)
    assert result.usage.prompt_tokens == (5 if isinstance(usage, dict) else 0)


ROW = {"index": 0, "embedding": [1, 2]}
NOT_A_NUMBER = base64.b64encode(struct.pack("<2f", 1.0, float("nan"))).decode()


@pytest.mark.parametrize(
    "data",
    [
        [],
        [ROW],
        [ROW, ROW],
        [ROW, {"index": 2, "embedding": [1, 2]}],
        [ROW, {"index": 1, "embedding": [1, 2, 3]}],
        [ROW, {"index": 1, "embedding": []}],
        [ROW, {"index": 1, "embedding": None}],
        [ROW, {"index": 1, "embedding": [1, 1e39]}],
        [ROW, {"index": 1, "embedding": NOT_A_NUMBER}],
        [ROW, {"index": 1, "embedding": "?"}],
        [{"embedding": ""}, {"embedding": ""}],
    ],
)
def test_vectors_that_cannot_be_meant_are_an_error(data: list[Any]) -> None:
    with pytest.raises(InternalError):
        embed_result(body(data=data), TWO)


def test_vectors_of_another_size_than_asked_for_are_an_error() -> None:
    asked = EmbedInput(texts=["a"], dimensions=1)
    with pytest.raises(InternalError, match="2 dimensions in place of 1"):
        embed_result(body(data=[ROW]), asked)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ({"error": {"message": "boom", "code": 400}}, InvalidRequest),
        ({"error": "boom"}, InternalError),
        ({"object": "error", "message": "boom", "code": 503}, Unavailable),
    ],
)
def test_an_error_with_the_status_of_a_success_is_one(
    answer: dict[str, Any], kind: type[ServeError]
) -> None:
    for read in (
        lambda said: embed_result(said, TWO),
        lambda said: rerank_result(said, 2),
        lambda said: speech_result(said, SpeechInput(audio=Blob(b""))),
    ):
        with pytest.raises(ServeError, match="boom") as failed:
            read(body(**answer))
        assert type(failed.value) is kind


# --- rerank --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "answer",
    [
        {"results": [{"index": 1, "relevance_score": 0.5}, {"index": 0, "relevance_score": 0.25}]},
        {"data": [{"index": 1, "relevance_score": 0.5}, {"index": 0, "relevance_score": 0.25}]},
        {"results": [{"index": 1, "score": 0.5}, {"index": 0, "score": 0.25}], "usage": []},
    ],
)
def test_scores_are_those_of_the_documents(answer: dict[str, Any]) -> None:
    assert struct.unpack("<2f", rerank_result(body(**answer), 2).scores.data) == (0.25, 0.5)


@pytest.mark.parametrize(
    "results",
    [
        None,
        [{"index": 0, "score": 1}],
        [{"index": 0, "score": 1}, {"index": 0, "score": 2}],
        [{"index": 0, "score": 1}, {"index": 1, "score": None}],
        [{"index": 0, "score": 1}, {"index": 1, "score": 1e39}],
        [{"index": 0, "score": 1}, {"index": 1, "score": 1}, {"index": 1, "score": 2}],
    ],
)
def test_scores_that_cannot_be_meant_are_an_error(results: Any) -> None:
    with pytest.raises(InternalError):
        rerank_result(body(results=results), 2)


# --- speech --------------------------------------------------------------------------------------

HEARD = SpeechInput(audio=Blob(b""), word_times=True)
WORD = {"word": "Hello", "start": 0.5, "end": 1}


@pytest.mark.parametrize(
    "answer",
    [
        {"text": "Hello", "duration": 2.0, "words": [WORD]},
        {"text": "Hello", "duration": "2.0", "segments": [{"text": "Hello", "words": [WORD]}]},
        {"segments": [{"text": "Hello", "start": 0, "end": 2, "words": [WORD]}], "text": None},
        {"text": "Hello", "segments": None, "usage": {"seconds": 2}, "words": [WORD]},
    ],
)
def test_a_transcript_is_read_wherever_its_parts_stand(answer: dict[str, Any]) -> None:
    result = speech_result(body(**answer), HEARD)
    assert (result.text, result.duration_s) == ("Hello", 2.0)
    assert result.words == [Word("Hello", 0.5, 1.0)]
    assert [segment.text for segment in result.segments] == ["Hello"]


def test_silence_is_a_transcript() -> None:
    result = speech_result(body(text="", duration=3), HEARD)
    assert (result.text, result.segments, result.words) == ("", [], [])


def test_word_times_that_were_asked_for_are_not_left_out_in_silence() -> None:
    with pytest.raises(UnsupportedParameter, match="no word times"):
        speech_result(body(text="Hello", words=None), HEARD)


@pytest.mark.parametrize("answer", [{}, {"text": 5}, {"segments": "?"}, {"text": None}])
def test_a_transcript_without_text_is_an_error(answer: dict[str, Any]) -> None:
    with pytest.raises(InternalError):
        speech_result(body(**answer), SpeechInput(audio=Blob(b"")))


def test_bad_counts_undo_no_transcript() -> None:
    asked = SpeechInput(audio=Blob(b""))
    used = {"input_tokens": None, "output_tokens": 2.0, "seconds": -1}
    assert speech_result(body(text="a", usage=used), asked).usage == Usage(completion_tokens=2)
    assert speech_result(body(text="a\ud83d", usage="?"), asked).text == "a\ufffd"


# --- what is asked -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (Truncation(), {}),
        (Truncation(cut=False), {"truncate": False}),
        (Truncation(cut=True), {"truncate": True, "truncate_prompt_tokens": -1}),
        (Truncation(cut=True, tokens=9), {"truncate": True, "truncate_prompt_tokens": 9}),
        (
            Truncation(cut=True, side="left"),
            {
                "truncate": True,
                "truncate_prompt_tokens": -1,
                "truncation_direction": "left",
                "truncation_side": "left",
            },
        ),
    ],
)
def test_what_becomes_of_long_texts_is_passed_on(asked: Truncation, said: dict[str, Any]) -> None:
    embed = embed_body(EmbedInput(texts=["a"], truncation=asked), "m")
    assert embed == {"model": "m", "input": ["a"], "encoding_format": "base64", **said}
    rerank = rerank_body(RerankInput(query="q", documents=["a"], truncation=asked), "m")
    assert rerank == {"model": "m", "query": "q", "documents": ["a"], **said}


def test_how_much_of_a_document_is_read_is_passed_on_and_raw_scores_are_refused() -> None:
    asked = RerankInput(query="q", documents=["a"], document_tokens=9, activation="Sigmoid")
    assert rerank_body(asked, "m")["max_tokens_per_doc"] == 9
    with pytest.raises(UnsupportedParameter) as refused:
        rerank_body(RerankInput(query="q", documents=["a"], activation="Identity"), "m")
    assert refused.value.param == "raw_scores"
