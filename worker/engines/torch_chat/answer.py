"""One request on the torch engine: how far its prompt is read, then how far its text is written."""

from __future__ import annotations

from ipc.messages.events import Event
from ipc.messages.jobs import Sampling
from worker.chat.generation import Generation
from worker.chat.vocabulary import Vocabulary
from worker.engines.torch_chat.attention import Span
from worker.engines.torch_chat.kv_segments import Segment
from worker.engines.torch_chat.prompts import Prompt
from worker.engines.torch_chat.sampling import Choice


class Answer:
    """``limit`` is how many tokens it may have.

    The device is ahead of the host by a step: ``begun`` counts the tokens that were or are being
    picked, ``written`` holds those that have come to the host.
    """

    def __init__(
        self,
        job_id: str,
        prompt: Prompt,
        sampling: Sampling,
        *,
        limit: int,
        vocabulary: Vocabulary,
        ends: frozenset[int],
    ) -> None:
        self.job_id = job_id
        self.prompt = prompt.tokens
        self.images = prompt.images  # what the model takes beside the prompt, until it is read
        self.pictured = bool(prompt.images)
        self.limit = limit
        self.choice = Choice.of(sampling, ends)
        self.segment: Segment | None = None
        self.read = 0
        self.shift = 0  # of the positions that follow the prompt
        self.begun = 0
        self.written: list[int] = []
        self.ended = False
        self._generation = Generation(
            job_id,
            sampling,
            prompt_tokens=len(prompt.tokens),
            limit=limit,
            vocabulary=vocabulary,
            ends=ends,
        )

    @property
    def start(self) -> int:
        """Where its segment begins; it has one once its prompt is being read."""
        assert self.segment is not None
        return self.segment.start

    @property
    def size(self) -> int:
        """The places it needs, for all that it may come to."""
        return len(self.prompt) + self.limit

    @property
    def kept(self) -> int:
        """The tokens whose keys and values are computed or being computed: all but the newest."""
        return self.read + max(0, self.begun - 1)

    @property
    def reusable(self) -> list[int]:
        """The tokens whose keys and values another prompt may begin with: with images, none, since
        different images are the same tokens."""
        if self.pictured:
            return []
        return (self.prompt[: self.read] + self.written)[: self.kept]

    def span(self, row: int) -> Span:
        """Its next step, as the ``row``-th of a batch of such."""
        return Span(row, 1, self.start, self.kept + 1)

    def push(self, token: int) -> list[Event]:
        """Take the next token; returns what can be sent now."""
        self.written.append(token)
        events = self._generation.push((token,))
        self.ended = self._generation.ended
        return events
