"""The spans of a request: what was when, within what, and by the conventions' names."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from frontend.dispatch.estimates.shape import Shape
from frontend.history.request_record import Earlier, RequestRecord
from frontend.traces.spans import Span, spans_of
from ipc.messages.events import Usage

AT_S = 1_800_000_000.0
CHAT = RequestRecord(
    id="a",
    time_s=AT_S,
    method="POST",
    path="/v1/chat/completions",
    stage="ended",
    client="10.0.0.1",
    key="ann",
    model="org/chat",
    task="chat",
    streams=True,
    submitted_s=1.0,
    load_s=0.0,
    dispatched_s=2.0,
    began_s=2.5,
    read_s=4.0,
    worked_s=7.0,
    first_s=4.5,
    total_s=8.0,
    attempt=1,
    worker_pid=77,
    steps=9,
    status=200,
    finish="stop",
    usage=Usage(prompt_tokens=7, completion_tokens=5, cached_tokens=3, reasoning_tokens=2),
    shape=Shape(kind="chat", n=2, max_tokens=9, temperature=0.5, top_p=1.0, top_k=0, seed=3),
)


def told(record: RequestRecord) -> list[tuple[str, float, float, str | None]]:
    """Each span's name, its times since the request came, and what it is within."""
    spans = spans_of(record)
    return [
        (
            *(span.name, span.began_s - AT_S, span.ended_s - AT_S),
            None if span.parent is None else spans[span.parent].name,
        )
        for span in spans
    ]


def named(record: RequestRecord, name: str) -> Span:
    return next(span for span in spans_of(record) if span.name == name)


def test_a_chat_waits_reads_and_writes() -> None:
    root = "POST /v1/chat/completions"
    assert told(CHAT) == [
        (root, 0.0, 8.0, None),
        ("queue", 1.0, 2.0, root),
        ("chat org/chat", 2.0, 7.0, root),
        ("prefill", 2.5, 4.0, "chat org/chat"),
        ("decode", 4.0, 7.0, "chat org/chat"),
    ]


def test_a_load_is_within_the_wait_for_it() -> None:
    assert told(replace(CHAT, load_s=0.5))[2] == ("load", 1.0, 1.5, "queue")


def test_what_it_tells_has_the_names_of_the_conventions() -> None:
    assert named(CHAT, "chat org/chat").attributes == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "edge-serve",
        "gen_ai.request.model": "org/chat",
        "gen_ai.response.model": "org/chat",
        "gen_ai.request.stream": True,
        "gen_ai.request.max_tokens": 9,
        "gen_ai.request.temperature": 0.5,
        "gen_ai.request.top_p": 1.0,
        "gen_ai.request.top_k": 0,
        "gen_ai.request.seed": 3,
        "gen_ai.request.choice.count": 2,
        "gen_ai.response.finish_reasons": ["stop"],
        "gen_ai.response.time_to_first_chunk": 4.5,
        "gen_ai.usage.input_tokens": 7,
        "gen_ai.usage.output_tokens": 5,
        "gen_ai.usage.cache_read.input_tokens": 3,
        "gen_ai.usage.reasoning.output_tokens": 2,
        "edge_serve.attempt": 1,
        "edge_serve.worker_pid": 77,
        "edge_serve.steps": 9,
    }
    assert spans_of(CHAT)[0].attributes == {
        "http.request.method": "POST",
        "url.path": "/v1/chat/completions",
        "http.response.status_code": 200,
        "edge_serve.request_id": "a",
        "edge_serve.key": "ann",
    }


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"path": "/v1/completions"}, "text_completion org/chat"),
        ({"task": "embed", "model": "e"}, "embeddings e"),
        ({"task": "rerank", "model": "r"}, "rerank r"),
        ({"task": "speech", "model": "w"}, "transcription w"),
        ({"task": "speak", "model": "v"}, "speech v"),
    ],
    ids=str,
)
def test_the_work_is_called_by_what_was_asked(changes: dict[str, Any], name: str) -> None:
    assert name in [span.name for span in spans_of(replace(CHAT, **changes))]


def test_what_was_refused_has_one_span_that_says_why() -> None:
    refused = replace(
        CHAT, status=400, error="invalid_value", submitted_s=None, dispatched_s=None, total_s=0.1
    )
    (span,) = spans_of(refused)
    assert (span.attributes["error.type"], span.failed) == ("invalid_value", None)


def test_what_never_had_a_worker_waited_to_its_end() -> None:
    late = replace(CHAT, status=503, error="queue_timeout", dispatched_s=None)
    assert told(late)[1] == ("queue", 1.0, 8.0, "POST /v1/chat/completions")
    assert len(spans_of(late)) == 2
    assert spans_of(late)[0].failed == "queue_timeout"


def test_what_a_worker_took_down_with_it_has_no_phases_and_the_error() -> None:
    crashed = replace(
        CHAT, status=503, error="worker_crashed", began_s=None, read_s=None, worked_s=None
    )
    assert told(crashed)[-1] == ("chat org/chat", 2.0, 8.0, "POST /v1/chat/completions")
    assert spans_of(crashed)[-1].failed == "worker_crashed"


def test_an_attempt_that_was_given_back_is_one_of_its_own_and_the_next_follows_it() -> None:
    again = replace(
        CHAT,
        earlier=(Earlier(1.25, 1.5, "given_back"),),
        attempt=2,
    )
    root = "POST /v1/chat/completions"
    assert told(again)[:5] == [
        (root, 0.0, 8.0, None),
        ("queue", 1.0, 1.25, root),
        ("chat org/chat", 1.25, 1.5, root),
        ("queue", 1.5, 2.0, root),
        ("chat org/chat", 2.0, 7.0, root),
    ]
    first, second = (span for span in spans_of(again) if span.name == "chat org/chat")
    assert (first.failed, first.after) == ("given_back", None)
    assert (second.failed, second.after) == (None, 2)


def test_the_attempt_of_a_worker_that_died_is_one_of_its_own_and_the_next_goes_on() -> None:
    on = replace(
        CHAT, earlier=(Earlier(2.0, 4.0, "worker_died"),), resumed_s=5.0, began_s=5.0, read_s=5.5
    )
    root, chat = "POST /v1/chat/completions", "chat org/chat"
    assert told(on) == [
        (root, 0.0, 8.0, None),
        ("queue", 1.0, 2.0, root),
        (chat, 2.0, 4.0, root),
        ("queue", 4.0, 5.0, root),
        (chat, 5.0, 7.0, root),
        ("prefill", 5.0, 5.5, chat),
        ("decode", 5.5, 7.0, chat),
    ]
    first, second = (span for span in spans_of(on) if span.name == chat)
    assert (first.failed, second.failed, second.after) == ("worker_died", None, 2)
