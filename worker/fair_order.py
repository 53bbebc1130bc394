"""Whose turn it is among an engine's jobs: whoever would be done first if all had equal shares.

After the Fair Sojourn Protocol (Friedman and Henderson, Fairness and Efficiency in Web Server
Protocols, SIGMETRICS 2003). Nobody ends later than by equal shares, but for a batch, and most end
sooner, since what would be done first is finished before anything else is worked on.
"""

from __future__ import annotations

import math

# Up to this part of a batch a job counts as it is. Larger ones count in whole batches, so that
# those of like size end in the order in which they came, and later ones change no end that somebody
# was told.
SMALL = 1 / 16


class FairOrder:
    """Owns a virtual time: how many tokens each job would have got by equal shares. A batch has
    ``batch_tokens``."""

    def __init__(self, batch_tokens: int) -> None:
        self._batch = batch_tokens
        self._virtual = 0.0

    def due(self, tokens: int) -> float:
        """When a job of so many that comes now would be done, in virtual time: the least is next,
        and of equals whoever came first."""
        if tokens > SMALL * self._batch:
            tokens = math.ceil(tokens / self._batch) * self._batch
        return self._virtual + tokens

    def worked(self, tokens: int, jobs: int) -> None:
        """So many were computed while so many jobs were in hand."""
        self._virtual += tokens / jobs
