"""How long answers become, by whom they are for."""

from __future__ import annotations

import statistics
from collections import deque
from dataclasses import dataclass, field

# Of one client, and clients of which any are kept: whoever has asked last.
KEPT = 32
CLIENTS = 256
# So many answers say what is usual for a client. Until then everybody's do.
ENOUGH = 5
# A length is usual where the middle half of them is within this of their median.
USUAL = 0.25
_EVERYBODY = ""


@dataclass(frozen=True, slots=True)
class _Length:
    tokens: int
    cut: bool  # it might have been longer

    def within(self, limit: int) -> int:
        """What it would have been with this limit."""
        return limit if self.cut else min(self.tokens, limit)


@dataclass(slots=True)
class Lengths:
    """The last answers of each client, in tokens."""

    _of: dict[str, deque[_Length]] = field(default_factory=dict)

    def learn(self, client: str, tokens: int, *, cut: bool) -> None:
        """An answer for ``client`` had so many, and was ``cut`` off by its limit or not."""
        for name in {client, _EVERYBODY}:
            known = self._of.pop(name, None) or deque(maxlen=KEPT)
            known.append(_Length(tokens, cut))
            self._of[name] = known  # the last ones to ask stand last
        while len(self._of) > CLIENTS:
            self._of.pop(next(name for name in self._of if name != _EVERYBODY))

    def rest(self, client: str, limit: int, written: int = 0) -> float:
        """How many tokens are still to come of an answer that has so many ``written``: the mean of
        those that became longer. One longer than all of them may have half as much to come; where
        nothing is known, half of what it may have."""
        lengths = [length.within(limit) for length in self._for(client)]
        if not lengths:
            return max(0.0, limit - written) / 2
        longer = [tokens - written for tokens in lengths if tokens > written]
        return statistics.fmean(longer) if longer else float(min(limit - written, written / 2))

    def usual(self, client: str, limit: int) -> int | None:
        """How long this client's answers are, where they are much alike."""
        known = self._of.get(client, ())
        if len(known) < ENOUGH:
            return None
        lengths = [length.within(limit) for length in known]
        low, middle, high = statistics.quantiles(lengths, n=4)
        alike = high - middle <= USUAL * middle and middle - low <= USUAL * middle
        return round(middle) if alike else None

    def _for(self, client: str) -> deque[_Length]:
        own = self._of.get(client, deque())
        return own if len(own) >= ENOUGH else self._of.get(_EVERYBODY, own)
