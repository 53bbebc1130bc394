"""Live sound echoed: whoever makes a noise speaks the words of the prompt, one for each piece.

A piece that is all zeros is silence, and ends a turn at once. It knows no rates and no durations:
a millisecond is 48 bytes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from ipc.messages.events import Event, SpeechResult, Turn, Usage
from ipc.messages.jobs import Job, More, SpeechInput

_BYTES_A_MS = 48


class LiveEcho:
    """One job of it."""

    def __init__(self, job: Job) -> None:
        assert isinstance(job.input, SpeechInput)
        self._job = job.id
        self._asked = job.input
        self._turn = 0
        self._words: deque[str] = deque()
        self._said = ""
        self._bytes = self._since = 0
        self._speaking = False

    def take(self, more: More, text: str) -> list[Event]:
        """What a piece brings; the words of a turn are those of ``text``."""
        return [*self._heard(more.data.data, text), *self._told(more)]

    def result(self) -> SpeechResult:
        seconds = self._bytes / _BYTES_A_MS / 1000
        return SpeechResult(
            text="", language="en", duration_s=seconds, segments=[], words=None, usage=Usage()
        )

    def _heard(self, data: bytes, text: str) -> Iterator[Event]:
        assert self._asked.live is not None
        self._bytes += len(data)
        detects = self._asked.live.turns is not None
        if any(data):
            if not self._speaking:
                self._speaking, self._words = True, deque(text.split())
                if detects:
                    yield self._event("started")
            if self._words:
                word = f" {self._words.popleft()}" if self._said else self._words.popleft()
                self._said += word
                yield self._event("words", word)
        elif data and self._speaking and detects:
            yield self._event("stopped")
            yield from self._end()

    def _told(self, more: More) -> Iterator[Event]:
        if isinstance(more.said, SpeechInput):
            self._asked = more.said
        elif more.said == "commit" or (more.last and self._speaking):
            yield from self._end()
        elif more.said == "clear":
            yield self._event("cleared")
            self._begin()

    def _end(self) -> Iterator[Event]:
        yield self._event("committed")
        if rest := " ".join(self._words):
            rest = f" {rest}" if self._said else rest
            self._said += rest
            yield self._event("words", rest)
        yield Turn(
            self._job,
            self._turn,
            "ended",
            self._said,
            at_ms=(self._bytes - self._since) // _BYTES_A_MS,
        )
        self._begin()

    def _begin(self) -> None:
        self._turn += 1
        self._said, self._speaking, self._since = "", False, self._bytes
        self._words.clear()

    def _event(self, what: str, text: str = "") -> Turn:
        return Turn(self._job, self._turn, what, text, at_ms=self._bytes // _BYTES_A_MS)  # type: ignore[arg-type]
