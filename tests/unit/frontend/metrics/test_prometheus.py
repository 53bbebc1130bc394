"""Series follow the models that are served."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest
from msgspec.structs import replace

from frontend.dispatch.budget import Budget
from frontend.dispatch.estimates.standing import Standing
from frontend.dispatch.stream import Stream
from frontend.http.request_context import RequestContext
from frontend.metrics.prometheus import Metrics
from ipc.messages.events import ChatResult, Delta, Done, Usage
from ipc.messages.spec import Spec
from tests.unit.frontend.http_fakes import (
    CHAT,
    EMBED,
    SPEECH,
    TRANSCRIPT,
    FakeControl,
    FakeDispatcher,
    report,
)


class Scraped:
    """Metrics of a server whose models come and go."""

    def __init__(self) -> None:
        self.fake = FakeDispatcher()
        self._metrics = Metrics(cast(Any, self.fake), cast(Any, FakeControl(None)), Budget(0))

    def answered(self, spec: Spec | None) -> None:
        """A request has ended; None: its model is unknown."""
        context = RequestContext.begin({"headers": []})
        context.status = 200
        if spec is not None:
            context.names(spec)
        self._metrics.observe(context, 0.5)

    def counted(self, context: RequestContext) -> str:
        """All series, once this request has ended."""
        self._metrics.observe(context, 0.5)
        return asyncio.run(self._metrics.render()).decode()

    def models(self) -> set[str]:
        """The models that have series now."""
        text = asyncio.run(self._metrics.render()).decode()
        return {line.split('model="')[1].split('"')[0] for line in text.splitlines() if _has(line)}


def _has(line: str) -> bool:
    return 'model="' in line


def test_series_of_a_model_that_has_left_are_gone() -> None:
    scraped = Scraped()
    scraped.answered(CHAT)
    scraped.answered(EMBED)
    assert {CHAT.name, EMBED.name} < scraped.models()
    del scraped.fake.specs[EMBED.name]
    assert EMBED.name not in scraped.models()
    assert CHAT.name in scraped.models()


def test_a_request_that_is_counted_after_its_model_has_left_leaves_no_series() -> None:
    scraped = Scraped()
    del scraped.fake.specs[EMBED.name]
    scraped.answered(EMBED)
    assert EMBED.name not in scraped.models()


def test_requests_for_unknown_models_are_counted_without_one() -> None:
    scraped = Scraped()
    scraped.answered(None)
    assert "" in scraped.models()


def test_series_are_bounded_where_nobody_scrapes() -> None:
    scraped = Scraped()
    for number in range(100):
        spec = Spec(name=f"org/{number}", task="embed", engine="echo", path="")
        scraped.fake.specs = {spec.name: spec}
        scraped.answered(spec)
    labels = {labels[0] for _, labels in scraped._metrics._series._found}
    assert labels == {"org/99"}


def test_a_model_that_comes_back_has_series_again() -> None:
    scraped = Scraped()
    scraped.answered(EMBED)
    del scraped.fake.specs[EMBED.name]
    scraped.models()
    scraped.fake.specs[EMBED.name] = EMBED
    scraped.answered(EMBED)
    assert EMBED.name in scraped.models()


def test_words_that_nobody_said_are_counted_by_rule() -> None:
    scraped = Scraped()
    context = RequestContext.begin({"headers": []})
    context.names(SPEECH)
    context.stream = stream = Stream("job", 10.0, lambda _: None, Budget(0).open())
    stream.dispatched_at = 10.0
    stream.done = Done("job", replace(TRANSCRIPT, dropped={"phrase": 2}))
    told = 'edge_serve_speech_dropped_total{model="org/speech",rule="phrase"} 2.0'
    assert told in scraped.counted(context)


def wait_told(position: int, start_s: float | None, wait_s: float) -> str:
    """What is counted of a request that was told this and has waited so long."""
    scraped = Scraped()
    context = RequestContext.begin({"headers": []})
    context.names(CHAT)
    context.stream = stream = Stream("job", 10.0, lambda _: None, Budget(0).open())
    stream.told = Standing(state="queued", position=position, start_s=start_s)
    stream.dispatched_at = 10.0 + wait_s
    return scraped.counted(context)


def test_how_wrong_a_wait_was_told_counts_by_a_quarter_or_300_ms() -> None:
    ok = 'edge_serve_eta_error_ratio_bucket{le="0.25",model="org/chat"} 1.0'
    assert ok in wait_told(2, 8.0, 10.0)
    assert ok not in wait_told(2, 8.0, 10.1)
    assert ok in wait_told(1, 0.1, 0.39)
    assert ok not in wait_told(1, 0.1, 0.5)


def test_who_has_not_waited_or_was_told_nothing_is_not_counted() -> None:
    for told in (wait_told(0, 0.0, 0.0), wait_told(2, None, 4.0)):
        assert "edge_serve_eta_error_ratio_bucket" not in told


# --- the same under vLLM's names ---


def chat_of(metrics: Metrics) -> None:
    """One chat that waited 1 s, was read in 2 s and written in 3 s."""
    context = RequestContext.begin({"headers": []})
    context.started_at, context.status = 10.0, 200
    context.names(CHAT)
    context.usage = Usage(
        prompt_tokens=7,
        completion_tokens=30,
        cached_tokens=4,
        guessed_tokens=16,
        accepted_tokens=11,
    )
    stream = Stream("job", 10.0, lambda _: None, Budget(0).open())
    stream.dispatched_at = 11.0
    stream.push(Delta("job", "hello"), 13.0)
    stream.push(Done("job", ChatResult(finish="stop", usage=context.usage)), 16.0)
    context.stream = stream
    metrics.observe(context, 6.0)


def text_of(*, vllm_names: bool) -> str:
    made = Metrics(
        cast(Any, FakeDispatcher()),
        cast(Any, FakeControl(None)),
        Budget(0),
        vllm_names=vllm_names,
    )
    chat_of(made)
    return asyncio.run(made.render()).decode()


@pytest.mark.parametrize(
    "line",
    [
        'vllm:prompt_tokens_total{engine="0",model_name="org/chat"} 7.0',
        'vllm:generation_tokens_total{engine="0",model_name="org/chat"} 30.0',
        'vllm:prefix_cache_queries_total{engine="0",model_name="org/chat"} 7.0',
        'vllm:prefix_cache_hits_total{engine="0",model_name="org/chat"} 4.0',
        'vllm:spec_decode_num_draft_tokens_total{engine="0",model_name="org/chat"} 16.0',
        'vllm:spec_decode_num_accepted_tokens_total{engine="0",model_name="org/chat"} 11.0',
        'vllm:request_success_total{engine="0",finished_reason="stop",model_name="org/chat"} 1.0',
        'vllm:num_requests_running{engine="0",model_name="org/chat"} 2.0',
        'vllm:num_requests_waiting{engine="0",model_name="org/chat"} 1.0',
        'vllm:request_queue_time_seconds_sum{engine="0",model_name="org/chat"} 1.0',
        'vllm:time_to_first_token_seconds_sum{engine="0",model_name="org/chat"} 3.0',
        'vllm:request_prefill_time_seconds_sum{engine="0",model_name="org/chat"} 2.0',
        'vllm:request_decode_time_seconds_sum{engine="0",model_name="org/chat"} 3.0',
        'vllm:e2e_request_latency_seconds_sum{engine="0",model_name="org/chat"} 6.0',
        'vllm:request_prompt_tokens_sum{engine="0",model_name="org/chat"} 7.0',
        'vllm:request_generation_tokens_count{engine="0",model_name="org/chat"} 1.0',
    ],
)
def test_boards_for_vllm_find_what_they_read(line: str) -> None:
    assert line in text_of(vllm_names=True).splitlines()


def test_they_are_left_out_where_nobody_wants_them() -> None:
    assert "vllm:" not in text_of(vllm_names=False)


def test_how_many_workers_there_should_be_is_told_where_their_number_varies() -> None:
    told = report(chat="ready", embed="ready")
    told["models"][0]["scaling"] = {"min": 1, "max": 3, "wanted": 2, "why": None}
    control = cast(Any, FakeControl(told))
    metrics = Metrics(cast(Any, FakeDispatcher()), control, Budget(0))
    text = asyncio.run(metrics.render()).decode()
    wanted = [line for line in text.splitlines() if line.startswith("edge_serve_replicas_wanted{")]
    assert wanted == ['edge_serve_replicas_wanted{model="org/chat"} 2.0']
