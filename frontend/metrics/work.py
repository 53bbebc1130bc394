"""What became of a job in its worker: its batch, its caches, and a chat's prefill and decode."""

from __future__ import annotations

from frontend.dispatch.stream import Stream
from frontend.metrics.series import Series
from ipc.messages.events import ChatResult, Done, SpeechResult
from ipc.messages.jobs import Task
from ipc.tasks import TASKS

# Tokens: from one to the longest context, as vLLM has them.
_TOKENS = (*(step * 10**power for power in range(5) for step in (1, 2, 5)), 100_000, 200_000)


class WorkMetrics:
    def __init__(self, series: Series) -> None:
        self._of = series.of
        self._batch_wait = series.histograms_by_task(
            "batch_wait_seconds", "From a worker's queue to its first step"
        )
        self._cache_hits = series.cache_counters("hits", "Texts that were computed before")
        self._cache_misses = series.cache_counters("misses", "Texts that had to be computed")
        self._padding = series.counter(
            "edge_serve_padding_tokens", "Tokens that filled batches of texts up to their longest"
        )
        self._dropped = series.counter(
            "edge_serve_speech_dropped",
            "Pieces of recordings whose words were left out, by the rule that found them",
            "rule",
        )
        self.finished = series.counter(
            "edge_serve_chats_finished",
            "Chats that have come to their end, by what ended them",
            "finish",
        )
        self.prefill = series.histogram(
            "edge_serve_prefill_seconds", "From a worker to a chat's first token"
        )
        self.decode = series.histogram(
            "edge_serve_decode_seconds", "From a chat's first token to its last"
        )
        self.prompt_sizes = series.histogram(
            "edge_serve_prompt_size_tokens", "Tokens: Of each prompt", _TOKENS
        )
        self.answer_sizes = series.histogram(
            "edge_serve_answer_size_tokens", "Tokens: Of each answer", _TOKENS
        )

    def observe(self, task: Task, model: str, done: Done) -> None:
        """What the worker told about a job."""
        if done.marks is not None and done.marks.began_s is not None:
            self._of(self._batch_wait[task], model).observe(done.marks.began_s)
        if TASKS[task].has_cache and done.cache_hits + done.cache_misses:
            self._of(self._cache_hits[task], model).inc(done.cache_hits)
            self._of(self._cache_misses[task], model).inc(done.cache_misses)
        if TASKS[task].has_cache:
            self._of(self._padding, model).inc(done.padding_tokens)
        if isinstance(done.result, SpeechResult):
            for rule, pieces in done.result.dropped.items():
                self._of(self._dropped, model, rule).inc(pieces)

    def observe_chat(self, model: str, stream: Stream, ended_at: float) -> None:
        """One that has come to its end, and where its time went."""
        assert stream.done is not None
        result = stream.done.result
        if not isinstance(result, ChatResult):
            return  # its prompt has only been counted
        self._of(self.finished, model, result.finish).inc()
        self._of(self.prompt_sizes, model).observe(result.usage.prompt_tokens)
        self._of(self.answer_sizes, model).observe(result.usage.completion_tokens)
        if stream.first_at is not None and stream.dispatched_at is not None:
            self._of(self.prefill, model).observe(stream.first_at - stream.dispatched_at)
            self._of(self.decode, model).observe(ended_at - stream.first_at)
