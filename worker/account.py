"""What a worker has done since it started, as its heartbeats tell."""

from __future__ import annotations

from ipc.messages.control import Counters
from ipc.messages.events import Done, Event, Failed, Piece, SpeechResult


class Account:
    """Running totals of one worker, written by the engine's thread alone."""

    def __init__(self) -> None:
        self.progress = 0
        self.jobs = 0
        self.failed = 0
        self.work_s = 0.0
        self.prompt_tokens = 0
        self.completion_tokens = 0
        self.padding_tokens = 0
        self.cache_hits = 0
        self.cache_misses = 0
        self.guessed_tokens = 0
        self.accepted_tokens = 0

    def count(self, event: Event) -> None:
        if isinstance(event, Failed):
            self.failed += 1
        elif isinstance(event, Piece):
            self.completion_tokens += event.tokens
        elif isinstance(event, Done):
            self.jobs += 1
            self.cache_hits += event.cache_hits
            self.cache_misses += event.cache_misses
            self.padding_tokens += event.padding_tokens
            usage = event.result.usage
            self.guessed_tokens += usage.guessed_tokens
            self.accepted_tokens += usage.accepted_tokens
            if not isinstance(event.result, SpeechResult):
                self.prompt_tokens += usage.prompt_tokens

    def counters(self, in_flight: int) -> Counters:
        return Counters(
            progress=self.progress,
            in_flight=in_flight,
            jobs=self.jobs,
            failed=self.failed,
            work_s=self.work_s,
            prompt_tokens=self.prompt_tokens,
            completion_tokens=self.completion_tokens,
            padding_tokens=self.padding_tokens,
            cache_hits=self.cache_hits,
            cache_misses=self.cache_misses,
            guessed_tokens=self.guessed_tokens,
            accepted_tokens=self.accepted_tokens,
        )
