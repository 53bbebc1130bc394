"""What Prometheus reads: counts and times of requests; at each scrape, how the fleet stands."""

from __future__ import annotations

from prometheus_client import generate_latest
from prometheus_client.metrics import MetricWrapperBase

from frontend.api.remote_images import FetchMetrics
from frontend.dispatch.budget import Budget
from frontend.dispatch.control import Control
from frontend.dispatch.dispatcher import Dispatcher
from frontend.http.answer_stream import OnGap
from frontend.http.request_context import RequestContext
from frontend.metrics.fleet import FleetMetrics
from frontend.metrics.requests import RequestMetrics
from frontend.metrics.series import Series
from frontend.metrics.tokens import TokenMetrics
from frontend.metrics.vllm_names import UnderVllmNames
from frontend.metrics.work import WorkMetrics

ANSWER_S = 2.0


class Metrics:
    """All metrics of a server, as those who count and those who scrape meet them."""

    def __init__(
        self,
        dispatcher: Dispatcher,
        control: Control,
        budget: Budget,
        *,
        vllm_names: bool = True,
    ) -> None:
        self._dispatcher = dispatcher
        self._control = control
        self._series = Series(dispatcher.queues)
        self._requests = RequestMetrics(self._series)
        self._tokens = TokenMetrics(self._series)
        self._work = WorkMetrics(self._series)
        self._fleet = FleetMetrics(self._series, budget)
        self.remote_images = FetchMetrics(self._series.registry)
        if vllm_names:
            self._series.registry.register(UnderVllmNames(self._by_vllm_names()))

    def _by_vllm_names(self) -> dict[str, MetricWrapperBase]:
        """As in vLLM 0.11, docs/usage/metrics.md."""
        requests, tokens, work, queue = self._requests, self._tokens, self._work, self._fleet.queue
        return {
            "vllm:num_requests_running": queue["in_flight"],
            "vllm:num_requests_waiting": queue["depth"],
            "vllm:prompt_tokens": tokens.prompt,
            "vllm:generation_tokens": tokens.generated,
            "vllm:prefix_cache_queries": tokens.prompt,
            "vllm:prefix_cache_hits": tokens.cached,
            "vllm:spec_decode_num_draft_tokens": tokens.guessed,
            "vllm:spec_decode_num_accepted_tokens": tokens.accepted,
            "vllm:request_success": work.finished,
            "vllm:request_prompt_tokens": work.prompt_sizes,
            "vllm:request_generation_tokens": work.answer_sizes,
            "vllm:time_to_first_token_seconds": requests.first,
            "vllm:inter_token_latency_seconds": requests.gap,
            "vllm:e2e_request_latency_seconds": requests.latency["chat"],
            "vllm:request_queue_time_seconds": requests.queue_wait["chat"],
            "vllm:request_prefill_time_seconds": work.prefill,
            "vllm:request_decode_time_seconds": work.decode,
        }

    def observe(self, context: RequestContext, seconds: float) -> None:
        """Count a request that has ended, ``seconds`` after it began."""
        model, task, stream = context.model or "", context.task, context.stream
        self._requests.count(context, model)
        if task is None:
            return
        self._series.of(self._requests.latency[task], model).observe(seconds)
        self._tokens.count(context, model)
        if stream is None:
            return
        self._requests.observe_waits(task, model, stream, context)
        if stream.done is not None and stream.dispatched_at is not None:
            self._work.observe(task, model, stream.done)
            if task == "chat":
                self._work.observe_chat(model, stream, context.started_at + seconds)

    def count_live_turn(self, model: str, outcome: str) -> None:
        """A turn of live speech has ended."""
        self._requests.count_live_turn(model, outcome)

    def observe_line(self, context: RequestContext) -> None:
        """Count a line of a batch. How long it took says nothing of what clients meet."""
        model = context.model or ""
        self._requests.count_line(context, model)
        self._tokens.count(context, model)

    def on_gap(self, model: str) -> OnGap:
        """Takes the seconds between two batches of ``model``'s tokens."""
        return self._requests.on_gap(model)

    async def render(self) -> bytes:
        """Every series in Prometheus' text form, the fleet's sampled now."""
        report = await self._control.health(ANSWER_S)
        self._series.forget_departed()
        self._fleet.set(self._dispatcher.queues(), report)
        return generate_latest(self._series.registry)
