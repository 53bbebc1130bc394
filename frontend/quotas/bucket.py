"""So much in a minute: a bucket that fills evenly, as OpenAI's limits do."""

from __future__ import annotations

from dataclasses import dataclass

MINUTE_S = 60.0


@dataclass(slots=True)
class Bucket:
    """``limit`` in a minute, all of which may be taken at once; pure. What turns out to be more
    than was thought is a debt, which is filled up first."""

    limit: int
    _level: float
    _at: float

    @classmethod
    def full(cls, limit: int, now: float) -> Bucket:
        return cls(limit, limit, now)

    def left(self, now: float) -> float:
        """What may be taken now; below 0 where there is a debt."""
        return min(float(self.limit), self._level + self._rate * max(0.0, now - self._at))

    def take(self, amount: float, now: float) -> None:
        """Also what is more than is left; a negative ``amount`` is given back."""
        self._level = self.left(now) - amount
        self._at = max(self._at, now)

    def wait_s(self, amount: float, now: float) -> float:
        """When so much may be taken, or all that there ever is where that is less."""
        return max(0.0, (min(amount, self.limit) - self.left(now)) / self._rate)

    def full_in_s(self, now: float) -> float:
        """When it is full again, if nothing is taken."""
        return self.wait_s(self.limit, now)

    def resize(self, limit: int, now: float) -> None:
        """Another limit from now on; what has been taken stays taken."""
        taken = self.limit - self.left(now)
        self.limit = limit
        self._level, self._at = limit - taken, max(self._at, now)

    @property
    def _rate(self) -> float:
        return self.limit / MINUTE_S
