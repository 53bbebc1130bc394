"""Traces of requests, as a collector gets them from a real server."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.ports import free_port
from tests.process.box import CHAT, DEADLINE_S, Box, MakeBox, spec, wait_until
from tests.process.history.collector import Collector, attributes, collector

pytest.importorskip("opentelemetry.exporter.otlp.proto.http")

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
PARENT = f"00-{TRACE}-{SPAN}-01"


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "100")
    with collector() as taken:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", taken.endpoint)
        yield taken


def chat(box: Box, name: str, **headers: str) -> None:
    messages = [{"role": "user", "content": "a secret"}]
    box.client.post(
        "/v1/chat/completions",
        json={"model": CHAT, "messages": messages, "stream": True, "max_tokens": 4, "seed": 5},
        headers={"x-request-id": name, **headers},
    ).raise_for_status()


def spans(taken: Collector, name: str, count: int) -> dict[str, Any]:
    """Those of a request, once there are so many."""
    found = wait_until(lambda: len(each := taken.of(name)) >= count and each)
    return {span.name: span for span in found}


def test_a_request_is_a_tree_of_its_times_and_has_nothing_of_what_it_says(
    make_box: MakeBox, taken: Collector
) -> None:
    box = make_box(spec(CHAT, slots=2)).wait_ready()
    began_ns = time.time_ns()
    chat(box, "one", traceparent=PARENT)
    found = spans(taken, "one", 5)
    root, work = found["POST /v1/chat/completions"], found[f"chat {CHAT}"]
    assert set(found) == {root.name, work.name, "queue", "prefill", "decode"}
    assert (root.kind, work.kind) == (2, 1)  # SERVER, INTERNAL
    assert root.parent_span_id == b""  # a caller is not believed unless it is said so
    assert {found[name].parent_span_id for name in ("queue", work.name)} == {root.span_id}
    assert {found[name].parent_span_id for name in ("prefill", "decode")} == {work.span_id}
    order = [began_ns, root.start_time_unix_nano, found["queue"].start_time_unix_nano]
    order += [found[name].start_time_unix_nano for name in (work.name, "prefill", "decode")]
    order += [work.end_time_unix_nano, root.end_time_unix_nano, time.time_ns()]
    assert order == sorted(order)
    told = attributes(work)
    assert told["gen_ai.operation.name"] == "chat"
    assert told["gen_ai.request.model"] == CHAT
    assert (told["gen_ai.request.max_tokens"], told["gen_ai.request.seed"]) == (4, 5)
    assert told["gen_ai.response.finish_reasons"] == ["length"] or told["edge_serve.steps"] > 1
    assert told["gen_ai.usage.output_tokens"] > 0
    assert attributes(root)["http.response.status_code"] == 200
    assert taken.services == {"edge-serve"}
    assert not any("secret" in str(span) for span in taken.spans)


def test_a_caller_that_is_believed_has_the_request_in_its_trace(
    make_box: MakeBox, taken: Collector
) -> None:
    box = make_box(spec(CHAT, slots=2), trust_trace_parent=True).wait_ready()
    chat(box, "one", traceparent=PARENT)
    root = spans(taken, "one", 5)["POST /v1/chat/completions"]
    assert (root.trace_id.hex(), root.parent_span_id.hex()) == (TRACE, SPAN)
    # As the caller keeps none of its own, none is kept here, which the SDK's sampler decides.
    chat(box, "unsampled", traceparent=PARENT[:-1] + "0")
    chat(box, "last")
    spans(taken, "last", 5)
    assert taken.of("unsampled") == []


def test_a_collector_that_is_away_costs_no_request_anything(
    make_box: MakeBox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
    box = make_box(spec(CHAT, slots=2)).wait_ready()
    for number in range(20):
        chat(box, str(number))
    wait_until(lambda: any("traces_not_taken" in line for line in box.lines()))
    chat(box, "after")
    assert sum("traces_not_taken" in line for line in box.lines()) == 1
    box.process.terminate()
    assert box.process.wait(timeout=DEADLINE_S) == 0
