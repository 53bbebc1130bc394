"""What a request asks for beside its answer: whose turn it takes, and what its model does then."""

from __future__ import annotations

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
    not ``autoload`` is refused where its model is not loaded.
    """

    client: str = ""
    weight: float = 1.0
    priority: int = 0
    precedence: int = 0
    keep_alive_s: float | None = None
    background: bool = False
    autoload: bool = True


PLAIN = Terms()


def priority_of(asked: int) -> int:
    """The priority that a request or a key asks for, in vLLM's words: the lower comes first."""
    return max(-MOST_PRIORITY, min(MOST_PRIORITY, -asked))
