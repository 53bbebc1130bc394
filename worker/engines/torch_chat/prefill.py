"""Reading prompts: a bounded number of tokens in each step, of several prompts at once."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from worker.chat.prefixes.shared import shared_tokens
from worker.engines.torch_chat.answer import Answer
from worker.engines.torch_chat.attention import Batch, Span, Spans
from worker.engines.torch_chat.flash import of_spans
from worker.engines.torch_chat.kv import KeyValues, to_device
from worker.engines.torch_chat.kv_segments import MIN_SHARED_TOKENS, SegmentAllocator
from worker.engines.torch_chat.language_model import LanguageModel


@dataclass(frozen=True, slots=True)
class Chunk:
    """The next ``count`` tokens of an answer's prompt."""

    answer: Answer
    count: int

    @property
    def ends(self) -> bool:
        return self.answer.read + self.count == len(self.answer.prompt)


class Prefill:
    """The prompts that are being read, at most ``step_tokens`` tokens in a step.

    One that is not read to its end waits behind the others, so a long one does not hold up short
    ones. One that begins like another waits until that is read so far, and shares it.
    """

    def __init__(
        self,
        language_model: LanguageModel,
        kv: KeyValues,
        segments: SegmentAllocator,
        step_tokens: int,
        *,
        flash: bool,
    ) -> None:
        self._language_model = language_model
        self._kv = kv
        self._segments = segments
        self._step_tokens = step_tokens
        self._flash = flash
        self._waiting: deque[Answer] = deque()
        self._reading: deque[Answer] = deque()

    def __bool__(self) -> bool:
        return bool(self._waiting or self._reading)

    def add(self, answer: Answer) -> None:
        self._waiting.append(answer)

    def remove(self, answer: Answer) -> None:
        for queue in (self._waiting, self._reading):
            if answer in queue:
                queue.remove(answer)

    def next_chunks(self) -> list[Chunk]:
        """What to read in this step. Gives segments to prompts that wait, first come, first served,
        and copies the keys and values of what they share with others."""
        while self._waiting and not self._is_about_to_share(self._waiting[0]):
            if not self._place(self._waiting[0]):
                break
            self._reading.append(self._waiting.popleft())
        return plan(self._reading, self._step_tokens)

    def read(self, chunks: list[Chunk]) -> torch.Tensor | None:
        """Read ``chunks``; returns the logits [prompts, vocabulary] after those that end here.

        Raises `torch.OutOfMemoryError`, and then nothing has been read.
        """
        if chunks[0].answer.images:
            found: torch.Tensor | None = self._read_images(chunks[0].answer)
        else:
            found = self._read_texts(chunks)
        for chunk in chunks:
            answer = chunk.answer
            answer.read += chunk.count
            self._reading.remove(answer)
            if answer.read < len(answer.prompt):
                self._reading.append(answer)
            if answer.segment is not None and not answer.pictured:
                answer.segment.tokens = answer.prompt[: answer.read]
        return found

    def _is_about_to_share(self, answer: Answer) -> bool:
        """Whether another prompt that begins the same is being read, but not so far yet."""
        others = [] if answer.pictured else [one for one in self._reading if not one.pictured]
        ahead = [shared_tokens(one.prompt, answer.prompt) - one.read for one in others]
        return max(ahead, default=0) >= MIN_SHARED_TOKENS

    def _place(self, answer: Answer) -> bool:
        allocation = self._segments.place([] if answer.pictured else answer.prompt, answer.size)
        if allocation is None:
            return False
        self._kv.copy(allocation.source, allocation.segment.start, allocation.shared)
        answer.segment, answer.read = allocation.segment, allocation.shared
        answer.cached = allocation.shared
        return True

    def _read_texts(self, chunks: list[Chunk]) -> torch.Tensor | None:
        ids: list[int] = []
        positions: list[int] = []
        spans: list[Span] = []
        last: list[int] = []
        for chunk in chunks:
            answer, end = chunk.answer, chunk.answer.read + chunk.count
            spans.append(Span(len(ids), chunk.count, answer.start, end))
            ids += answer.prompt[answer.read : end]
            positions += range(answer.read, end)
            if chunk.ends:
                last.append(len(ids) - 1)
        device = self._language_model.device
        logits = self._language_model.logits(
            to_device(ids, device),
            to_device(positions, device),
            self._batch(spans),
            to_device(last or [0], device),
        )
        return logits if last else None

    def _batch(self, spans: list[Span]) -> Batch:
        device = self._language_model.device
        if self._flash:
            return of_spans(self._kv, spans, device)
        return Spans(self._kv, spans, self._segments.unit, device)

    def _read_images(self, answer: Answer) -> torch.Tensor:
        ids = to_device(answer.prompt, self._language_model.device)
        logits, cache, answer.shift = self._language_model.read_images(ids, answer.images)
        self._kv.fill(answer.start, cache)
        answer.images = {}
        return logits


def plan(reading: Sequence[Answer], step_tokens: int) -> list[Chunk]:
    """The chunks of a step: from the front of the line, until ``step_tokens`` are full. A prompt
    with images is read whole and alone."""
    chunks: list[Chunk] = []
    left = step_tokens
    for answer in reading:
        count = len(answer.prompt) - answer.read
        if answer.images:
            if not chunks:
                return [Chunk(answer, count)]
            break
        chunks.append(Chunk(answer, min(count, left)))
        left -= chunks[-1].count
        if left == 0:
            break
    return chunks
