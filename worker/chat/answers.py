"""The answers to one job: as many as it has choices, and one end for all of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from ipc.messages.events import ChatResult, Done, Event, Piece, Usage
from ipc.messages.jobs import ChatInput
from worker.chat.generation import Generation
from worker.chat.token_engine import TokenRequest


class Answers:
    """What is written for the job ``job_id``. ``requests`` are still to be begun, in their order.

    Greedy answers to one prompt are all the same, so one is written, and told for every choice that
    has as much of it. Each may go on behind what is ``written`` of its choice, see `Job`.
    """

    def __init__(
        self,
        job_id: str,
        asked: ChatInput,
        requests: Iterable[TokenRequest],
        written: Mapping[int, Sequence[int]] | None = None,
    ) -> None:
        self.job_id = job_id
        self.asked = asked
        self.written = written or {}  # by choice
        self.requests = list(requests)
        self._copies = copies_of(asked, self.written)
        self._ended: dict[int, Generation] = {}  # by the first of its choices

    @property
    def ended(self) -> bool:
        return len(self._ended) * self._copies >= self.asked.choices

    @property
    def unbegun(self) -> int:
        return len(self.requests)

    def told(self, pieces: Sequence[Piece]) -> list[Event]:
        """``pieces`` of one answer for each of its choices."""
        if self._copies == 1:
            return [*pieces]
        return [
            msgspec.structs.replace(piece, choice=piece.choice + copy)
            for copy in range(self._copies)
            for piece in pieces
        ]

    def end(self, generation: Generation) -> list[Event]:
        """One answer has ended. Returns the job's end where that was the last."""
        self._ended[generation.choice] = generation
        if not self.ended:
            return []
        ended = [self._ended[at] for at in sorted(self._ended) for _ in range(self._copies)]
        finish, *others = [one.finish for one in ended]
        usage = Usage.of_choices([one.usage for one in ended], self.asked.sampling.n)
        stop_text = ended[0].stop_text
        result = ChatResult(finish=finish, usage=usage, others=others, stop_text=stop_text)
        return [Done(self.job_id, result)]


def copies_of(asked: ChatInput, written: Mapping[int, Sequence[int]]) -> int:
    """How many choices of a prompt are one answer. Those that came by a connection that has broken
    between them have not all the same ``written``, and each goes on for itself."""
    n = asked.sampling.n
    firsts = (at - at % n for at in range(asked.choices))
    alike = all(written.get(at) == written.get(first) for at, first in enumerate(firsts))
    return n if asked.sampling.temperature == 0 and alike else 1
