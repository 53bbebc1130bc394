"""What Prometheus reads: counts and times of requests, and at each scrape the state of the fleet.

The label ``model`` only ever holds the name of a model that is served, so clients cannot make new
series. Those of a model that has left go before new ones are made, and at each scrape.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.metrics import MetricWrapperBase

from frontend.api.remote_images import FetchMetrics
from frontend.dispatch.budget import Budget
from frontend.dispatch.control import Control
from frontend.dispatch.dispatcher import Dispatcher
from frontend.dispatch.estimates.standing import Standing
from frontend.dispatch.stream import Stream
from frontend.http.answer_stream import OnGap
from frontend.http.request_context import RequestContext
from frontend.vllm_metrics import UnderVllmNames
from ipc.messages.events import ChatResult, Done, SpeechResult
from ipc.messages.jobs import Task
from ipc.tasks import TASKS

ANSWER_S = 2.0
# Series of so many keys at most, since this process started; others are counted together.
MOST_KEYS, OTHER_KEYS = 100, "(others)"

# One more series for each counter and histogram, which nobody reads.
disable_created_metrics()  # type: ignore[no-untyped-call]

# Seconds: from a lane's hand-over in under a millisecond to a long transcription.
_BUCKETS = (
    *(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5),
    *(1, 2.5, 5, 10, 30, 60, 120, 300, 600),
)
# Up to four times as long as was told.
_RATIOS = (0.05, 0.1, 0.25, 0.5, 0.75, 1, 2, 4)
# A wait is told rightly within a quarter of it, or 300 ms.
_LEAST_TOLD_S = 1.2
# Tokens: from one to the longest context, as vLLM has them.
_TOKENS = (*(step * 10**power for power in range(5) for step in (1, 2, 5)), 100_000, 200_000)


class Metrics:
    """One registry of our own: nothing that a library registers globally gets in."""

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
        # Finding a series by its labels takes longer than adding to it, and there are few of them.
        self._found: dict[tuple[MetricWrapperBase, tuple[object, ...]], Any] = {}
        self._registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self._latency = _by_task(
            registry, "request_latency_seconds", "From request to the answer's end"
        )
        self._queue_wait = _by_task(
            registry, "request_queue_wait_seconds", "From admission to a worker"
        )
        self._batch_wait = _by_task(
            registry, "batch_wait_seconds", "From a worker's queue to its first step"
        )
        self._cache_hits = _cache(registry, "hits", "Texts that were computed before")
        self._cache_misses = _cache(registry, "misses", "Texts that had to be computed")
        self._first = _histogram(
            registry, "edge_serve_time_to_first_token_seconds", "From admission to the first event"
        )
        self._gap = _histogram(
            registry, "edge_serve_inter_token_latency_seconds", "Between two batches of tokens"
        )
        self._eta_error = Histogram(
            "edge_serve_eta_error_ratio",
            "By what the wait of a request that had to wait differed from what it was told, over "
            "that, or over 1.2 s where that is less: 0.25 stands for 25 %, or 300 ms",
            ("model",),
            registry=registry,
            buckets=_RATIOS,
        )
        self._migrations = Counter(
            "edge_serve_migrations",
            "Answers that another worker had to go on with, and how they have ended",
            ("model", "outcome"),
            registry=registry,
        )
        self._live_turns = Counter(
            "edge_serve_live_turns",
            "Turns of live speech by how they ended: ok, revised (a last look at one had other "
            "words than were told), or the code of an error",
            ("model", "outcome"),
            registry=registry,
        )
        self._requests = Counter(
            "edge_serve_requests",
            "Requests by outcome",
            ("model", "task", "status"),
            registry=registry,
        )
        self._prompt = Counter(
            "edge_serve_prompt_tokens", "Tokens read", ("model",), registry=registry
        )
        self._generated = Counter(
            "edge_serve_generation_tokens", "Tokens written", ("model",), registry=registry
        )
        self._cached = Counter(
            "edge_serve_cached_prompt_tokens",
            "Tokens of prompts that were read before",
            ("model",),
            registry=registry,
        )
        self._guessed = Counter(
            "edge_serve_guessed_tokens",
            "Tokens of answers that were guessed before the model was asked",
            ("model",),
            registry=registry,
        )
        self._accepted = Counter(
            "edge_serve_accepted_tokens",
            "Guessed tokens that the model found right",
            ("model",),
            registry=registry,
        )
        self._finished = Counter(
            "edge_serve_chats_finished",
            "Chats that have come to their end, by what ended them",
            ("model", "finish"),
            registry=registry,
        )
        self._prefill = _histogram(
            registry, "edge_serve_prefill_seconds", "From a worker to a chat's first token"
        )
        self._decode = _histogram(
            registry, "edge_serve_decode_seconds", "From a chat's first token to its last"
        )
        self._prompt_sizes = _sizes(registry, "edge_serve_prompt_size_tokens", "Of each prompt")
        self._answer_sizes = _sizes(registry, "edge_serve_answer_size_tokens", "Of each answer")
        self._key_tokens = Counter(
            "edge_serve_key_tokens",
            "Tokens that each key has used: prompt, cached (of these), completion",
            ("model", "key", "kind"),
            registry=registry,
        )
        self._keys: set[str] = set()
        self._padding = Counter(
            "edge_serve_padding_tokens",
            "Tokens that filled batches of texts up to their longest",
            ("model",),
            registry=registry,
        )
        self._dropped = Counter(
            "edge_serve_speech_dropped",
            "Pieces of recordings whose words were left out, by the rule that found them",
            ("model", "rule"),
            registry=registry,
        )
        self._lines = Counter(
            "edge_serve_batch_lines",
            "Lines of batches by what was answered; the same line comes again after gave_way",
            ("model", "outcome"),
            registry=registry,
        )
        self.remote_images = FetchMetrics(registry)
        self._queue = {
            key: _gauge(registry, f"edge_serve_{name}", text, "model")
            for key, name, text in (
                ("depth", "requests_waiting", "Requests in the queue"),
                ("in_flight", "requests_running", "Requests that a worker holds"),
                ("bytes", "queue_bytes", "Bytes of the requests in the queue"),
                ("oldest_s", "queue_oldest_seconds", "Age of the oldest request in the queue"),
                ("limit", "queue_limit", "How many requests may wait"),
                ("eta_s", "queue_eta_seconds", "When a request would be begun that came now"),
            )
        }
        self._budget = budget
        self._held = Gauge(
            "edge_serve_held_bytes", "Memory that requests hold in the frontend", registry=registry
        )
        Gauge("edge_serve_held_bytes_limit", "How much they may hold", registry=registry).set(
            budget.limit_bytes
        )
        self._supervisor_up = Gauge(
            "edge_serve_supervisor_up", "Whether the supervisor answered", registry=registry
        )
        self._worker_up = _worker(registry, "up", "Whether the worker is ready")
        self._worker_rss = _worker(registry, "resident_memory_bytes", "Resident memory")
        self._worker_cpu = _worker(registry, "cpu_percent", "Share of one processor, in percent")
        self._worker_restarts = _worker(registry, "restarts", "Restarts since the server started")
        self._replicas_wanted = _gauge(
            registry,
            "edge_serve_replicas_wanted",
            "Workers that a model should have now whose number varies",
            "model",
        )
        if vllm_names:
            registry.register(UnderVllmNames(self._by_vllm_names()))

    def _by_vllm_names(self) -> dict[str, MetricWrapperBase]:
        """As in vLLM 0.11, docs/usage/metrics.md."""
        return {
            "vllm:num_requests_running": self._queue["in_flight"],
            "vllm:num_requests_waiting": self._queue["depth"],
            "vllm:prompt_tokens": self._prompt,
            "vllm:generation_tokens": self._generated,
            "vllm:prefix_cache_queries": self._prompt,
            "vllm:prefix_cache_hits": self._cached,
            "vllm:spec_decode_num_draft_tokens": self._guessed,
            "vllm:spec_decode_num_accepted_tokens": self._accepted,
            "vllm:request_success": self._finished,
            "vllm:request_prompt_tokens": self._prompt_sizes,
            "vllm:request_generation_tokens": self._answer_sizes,
            "vllm:time_to_first_token_seconds": self._first,
            "vllm:inter_token_latency_seconds": self._gap,
            "vllm:e2e_request_latency_seconds": self._latency["chat"],
            "vllm:request_queue_time_seconds": self._queue_wait["chat"],
            "vllm:request_prefill_time_seconds": self._prefill,
            "vllm:request_decode_time_seconds": self._decode,
        }

    def observe(self, context: RequestContext, seconds: float) -> None:
        """Count a request that has ended, ``seconds`` after it began."""
        model, task = context.model or "", context.task
        self._series(self._requests, model, task or "", context.status).inc()
        if task is None:
            return
        self._series(self._latency[task], model).observe(seconds)
        self._count_tokens(context, model)
        stream = context.stream
        if stream is None:
            return
        if stream.dispatched_at is not None:
            wait_s = stream.dispatched_at - stream.submitted_at
            self._series(self._queue_wait[task], model).observe(wait_s)
            if (ratio := _eta_error(stream.told, wait_s)) is not None:
                self._series(self._eta_error, model).observe(ratio)
        if stream.migrations:
            outcome = "ok" if stream.done is not None else context.error or "ok"
            self._series(self._migrations, model, outcome).inc(stream.migrations)
        if stream.first_at is not None:
            self._series(self._first, model).observe(stream.first_at - stream.submitted_at)
        if stream.done is not None and stream.dispatched_at is not None:
            self._observe_work(task, model, stream.done)
            if task == "chat":
                self._observe_chat(model, stream, context.started_at + seconds)

    def count_live_turn(self, model: str, outcome: str) -> None:
        """A turn of live speech has ended."""
        self._series(self._live_turns, model, outcome).inc()

    def _observe_chat(self, model: str, stream: Stream, ended_at: float) -> None:
        """One that has come to its end, and where its time went."""
        assert stream.done is not None
        result = stream.done.result
        if not isinstance(result, ChatResult):
            return  # its prompt has only been counted
        self._series(self._finished, model, result.finish).inc()
        self._series(self._prompt_sizes, model).observe(result.usage.prompt_tokens)
        self._series(self._answer_sizes, model).observe(result.usage.completion_tokens)
        if stream.first_at is not None and stream.dispatched_at is not None:
            self._series(self._prefill, model).observe(stream.first_at - stream.dispatched_at)
            self._series(self._decode, model).observe(ended_at - stream.first_at)

    def observe_line(self, context: RequestContext) -> None:
        """Count a line of a batch. How long it took says nothing of what clients meet."""
        model = context.model or ""
        self._series(self._lines, model, context.error or "ok").inc()
        self._count_tokens(context, model)

    def _count_tokens(self, context: RequestContext, model: str) -> None:
        usage = context.usage
        if usage is None:
            return
        cached = usage.cached_tokens or 0
        self._series(self._prompt, model).inc(usage.prompt_tokens)
        self._series(self._generated, model).inc(usage.completion_tokens)
        self._series(self._cached, model).inc(cached)
        if usage.guessed_tokens:
            self._series(self._guessed, model).inc(usage.guessed_tokens)
            self._series(self._accepted, model).inc(usage.accepted_tokens)
        if context.key is not None:
            key = self._known(context.key)
            self._series(self._key_tokens, model, key, "prompt").inc(usage.prompt_tokens)
            self._series(self._key_tokens, model, key, "cached").inc(cached)
            self._series(self._key_tokens, model, key, "completion").inc(usage.completion_tokens)

    def _known(self, key: str) -> str:
        """The label of a key: its name, or that of all others where there are too many."""
        if key not in self._keys and len(self._keys) < MOST_KEYS:
            self._keys.add(key)
        return key if key in self._keys else OTHER_KEYS

    def _observe_work(self, task: Task, model: str, done: Done) -> None:
        """What the worker told about a job."""
        if done.marks is not None and done.marks.began_s is not None:
            self._series(self._batch_wait[task], model).observe(done.marks.began_s)
        if TASKS[task].has_cache and done.cache_hits + done.cache_misses:
            self._series(self._cache_hits[task], model).inc(done.cache_hits)
            self._series(self._cache_misses[task], model).inc(done.cache_misses)
        if TASKS[task].has_cache:
            self._series(self._padding, model).inc(done.padding_tokens)
        if isinstance(done.result, SpeechResult):
            for rule, pieces in done.result.dropped.items():
                self._series(self._dropped, model, rule).inc(pieces)

    def on_gap(self, model: str) -> OnGap:
        """Takes the seconds between two batches of ``model``'s tokens."""
        observe: OnGap = self._series(self._gap, model).observe
        return observe

    async def render(self) -> bytes:
        """Every series in Prometheus' text form, the fleet's sampled now."""
        report = await self._control.health(ANSWER_S)
        self._forget_departed()
        for model, facts in self._dispatcher.queues().items():
            for key, gauge in self._queue.items():
                self._series(gauge, model).set(facts[key])
        self._held.set(self._budget.held_bytes)
        self._supervisor_up.set(report is not None)
        self._set_workers(report["models"] if report else [])
        return generate_latest(self._registry)

    def _series(self, metric: MetricWrapperBase, model: str, *labels: object) -> Any:
        key = (metric, (model, *labels))
        found = self._found.get(key)
        if found is None:
            self._forget_departed()
            found = self._found[key] = metric.labels(model, *labels)
        return found

    def _forget_departed(self) -> None:
        """Drop the series of models that are no longer served. A request that is counted after its
        model has left makes one again, until the next time."""
        kept = {"", *self._dispatcher.queues()}
        for metric, labels in [key for key in self._found if key[1][0] not in kept]:
            metric.remove(*labels)
            del self._found[metric, labels]

    def _set_workers(self, models: Iterable[dict[str, Any]]) -> None:
        gauges = [self._worker_up, self._worker_rss, self._worker_cpu, self._worker_restarts]
        # A worker that is gone, or of which nothing is known, has no values: not its last ones.
        for gauge in [*gauges, self._replicas_wanted]:
            gauge.clear()
        for model in models:
            if scaling := model.get("scaling"):
                self._replicas_wanted.labels(model["name"]).set(scaling["wanted"])
            for replica in model["replicas"]:
                labels = (model["name"], replica["replica"])
                self._worker_up.labels(*labels).set(replica["state"] == "ready")
                self._worker_rss.labels(*labels).set(replica.get("rss_mb", 0) * 2**20)
                self._worker_cpu.labels(*labels).set(replica.get("cpu_percent", 0))
                self._worker_restarts.labels(*labels).set(replica["restarts"])


def _eta_error(told: Standing | None, wait_s: float) -> float | None:
    """How wrong it was what a request was told of its wait, for one that had to wait."""
    if told is None or not told.position or told.start_s is None:
        return None
    return abs(wait_s - told.start_s) / max(told.start_s, _LEAST_TOLD_S)


def _histogram(registry: CollectorRegistry, name: str, text: str) -> Histogram:
    return Histogram(name, text, ("model",), registry=registry, buckets=_BUCKETS)


def _sizes(registry: CollectorRegistry, name: str, text: str) -> Histogram:
    return Histogram(name, f"Tokens: {text}", ("model",), registry=registry, buckets=_TOKENS)


def _by_task(registry: CollectorRegistry, name: str, text: str) -> dict[Task, Histogram]:
    return {
        task: _histogram(registry, f"{each.metric_prefix}_{name}", text)
        for task, each in TASKS.items()
    }


def _cache(registry: CollectorRegistry, name: str, text: str) -> dict[Task, Counter]:
    return {
        task: Counter(f"{each.metric_prefix}_cache_{name}", text, ("model",), registry=registry)
        for task, each in TASKS.items()
        if each.has_cache
    }


def _gauge(registry: CollectorRegistry, name: str, text: str, *labels: str) -> Gauge:
    return Gauge(name, text, labels, registry=registry)


def _worker(registry: CollectorRegistry, name: str, text: str) -> Gauge:
    return _gauge(registry, f"edge_serve_worker_{name}", text, "model", "replica")
