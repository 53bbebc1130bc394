"""Answers that outlive their worker: who may go on with another one, and behind what.

The tokens of an answer come with its pieces. When its worker dies, the job waits for another one
with them, in front of all others, and its stream goes on where it was: nothing is told twice and
nothing left out, since a worker sends all that a step has brought at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ipc.messages.events import Piece
from ipc.messages.jobs import ChatInput, Input


def may_go_on(asked: Input) -> bool:
    """Whether the rest of an answer follows from its beginning, whoever writes it."""
    return isinstance(asked, ChatInput)


@dataclass(slots=True)
class Emitted:
    """The tokens that have come of each choice that has begun. They are ``whole`` while every piece
    has named its own."""

    tokens: dict[int, list[int]] = field(default_factory=dict)
    whole: bool = True

    @classmethod
    def of(cls, written: Mapping[int, Sequence[int]]) -> Emitted:
        """What others have ``written`` before."""
        return cls({choice: list(tokens) for choice, tokens in written.items()})

    @property
    def count(self) -> int:
        """How many there are of all choices together."""
        return sum(map(len, self.tokens.values()))

    def note(self, piece: Piece) -> None:
        """The next piece has come."""
        if len(piece.ids) != piece.tokens:
            self.whole = False
        self.tokens.setdefault(piece.choice, []).extend(piece.ids)
