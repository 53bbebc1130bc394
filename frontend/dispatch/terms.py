"""What a request asks for beside its answer: whose turn it takes, and what its model does then."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

# And as much below 0.
MOST_PRIORITY = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """How a job waits. ``client`` is whose turn it takes, ``weight`` how much that one counts among
    others. ``priority`` is where it comes among its client's jobs, ``precedence`` among those of
    others, both from -10 to 10: the greater comes first.

    ``keep_alive_s`` is how long the model stays in memory afterwards: None: as is set for it, -1:
    for ever. One in the ``background`` runs while its model has nothing else to do. One that does
    not ``autoload`` is refused where its model is not loaded. ``work_s`` is for how long it may be
    worked on, None: as long as any request for its model. ``written`` are the tokens that another
    server has written of its answer, see `Job`; None: nobody asks for the names of its tokens.
    """

    client: str = ""
    weight: float = 1.0
    priority: int = 0
    precedence: int = 0
    keep_alive_s: float | None = None
    background: bool = False
    autoload: bool = True
    work_s: float | None = None
    written: Mapping[int, Sequence[int]] | None = None


PLAIN = Terms()


def priority_of(asked: int) -> int:
    """The priority that a request or a key asks for, in vLLM's words: the lower comes first."""
    return max(-MOST_PRIORITY, min(MOST_PRIORITY, -asked))
