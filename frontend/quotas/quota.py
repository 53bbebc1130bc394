"""What one key has had of what it may have; pure.

A request is counted when it comes, its tokens are reserved when they are known as far as a request
tells them, and counted as they were once it has ended. So a key can have no more at once than it
may have, and is charged for no more than it had.
"""

from __future__ import annotations

from dataclasses import dataclass

from frontend.quotas.bucket import Bucket
from ipc.messages.errors import InsufficientQuota, QueueFull
from ipc.messages.keys import KeyLimits

DAY_S = 86_400.0
# When to come back where all that a key may have at once is at work: nobody knows how long it will.
BUSY_S = 1.0


@dataclass(frozen=True, slots=True)
class Left:
    """Of one limit: how much it is, how much is left, and in how many seconds all of it is."""

    limit: int
    remaining: int
    reset_s: float


class KeyQuota:
    """Of one key. Times are monotonic but ``wall_s``, which is seconds since 1970: a day is one of
    UTC, and its count is what the key had in it before this server started, too."""

    def __init__(self, limits: KeyLimits, now: float) -> None:
        self.limits = limits
        self._at_once = 0
        self._requests = Bucket.full(limits.requests_per_min, now)
        self._tokens = Bucket.full(limits.tokens_per_min, now)
        self._day = 0
        self._day_tokens = 0.0

    def set_limits(self, limits: KeyLimits, now: float) -> None:
        """Others from now on; what it has had counts."""
        self.limits = limits
        self._requests.resize(limits.requests_per_min, now)
        self._tokens.resize(limits.tokens_per_min, now)

    def has_had(self, tokens: float, wall_s: float) -> None:
        """So many in the day of ``wall_s``, before anybody counted here."""
        self._turn_day(wall_s)
        self._day_tokens += tokens

    def has_had_any(self, wall_s: float) -> bool:
        """Whether it has had anything in the day of ``wall_s``, or has requests at work."""
        self._turn_day(wall_s)
        return bool(self._day_tokens or self._at_once)

    def begin(self, now: float) -> None:
        """A request has come, and will `end`. Raises `QueueFull`."""
        limits = self.limits
        if limits.concurrent and self._at_once >= limits.concurrent:
            raise QueueFull(
                f"this key may have {limits.concurrent} requests at once; wait until one ends",
                retry_after_s=BUSY_S,
            )
        if limits.requests_per_min:
            if (wait_s := self._requests.wait_s(1, now)) > 0:
                raise QueueFull(
                    f"this key may have {limits.requests_per_min} requests a minute; the next one "
                    f"in {_shown(wait_s)}",
                    retry_after_s=wait_s,
                )
            self._requests.take(1, now)
        self._at_once += 1

    def reserve(self, tokens: float, now: float, wall_s: float, *, in_background: bool) -> None:
        """The request may take so many. One ``in_background`` is held to the day alone. Raises
        `QueueFull` and `InsufficientQuota`."""
        self._turn_day(wall_s)
        limits = self.limits
        if limits.tokens_per_day and self._day_tokens >= limits.tokens_per_day:
            wait_s = self._day_left_s(wall_s)
            raise InsufficientQuota(
                f"this key has had the {limits.tokens_per_day} tokens that it may have in a day; "
                f"the next day of UTC begins in {_shown(wait_s)}",
                retry_after_s=wait_s,
            )
        if limits.tokens_per_min and not in_background:
            if (wait_s := self._tokens.wait_s(tokens, now)) > 0:
                raise QueueFull(
                    f"this key may have {limits.tokens_per_min} tokens a minute, and this request "
                    f"may take {tokens:.0f}; send it in {_shown(wait_s)}, or with a smaller "
                    "`max_tokens`",
                    retry_after_s=wait_s,
                )
            self._tokens.take(tokens, now)
        self._day_tokens += tokens

    def settle(
        self, reserved: float, spent: float, now: float, wall_s: float, *, in_background: bool
    ) -> None:
        """A request had ``spent`` tokens in the end, where so many were reserved."""
        self._turn_day(wall_s)
        self._day_tokens = max(0.0, self._day_tokens + spent - reserved)
        if self.limits.tokens_per_min and not in_background:
            self._tokens.take(spent - reserved, now)

    def end(self) -> None:
        """A request that has begun is answered, in whatever way."""
        self._at_once -= 1

    def requests_left(self, now: float) -> Left | None:
        """None where they are not limited."""
        return _left(self._requests, now) if self.limits.requests_per_min else None

    def tokens_left(self, now: float, wall_s: float) -> Left | None:
        """Of the minute, or of the day where only that is limited; None where neither is."""
        if self.limits.tokens_per_min:
            return _left(self._tokens, now)
        return self.day_left(wall_s)

    def day_left(self, wall_s: float) -> Left | None:
        """Tokens of the day; None where they are not limited."""
        if not (limit := self.limits.tokens_per_day):
            return None
        self._turn_day(wall_s)
        remaining = max(0, int(limit - self._day_tokens))
        return Left(limit, remaining, self._day_left_s(wall_s))

    def _turn_day(self, wall_s: float) -> None:
        day = int(wall_s // DAY_S)
        if day != self._day:
            self._day, self._day_tokens = day, 0.0

    def _day_left_s(self, wall_s: float) -> float:
        return DAY_S - wall_s % DAY_S


def _left(bucket: Bucket, now: float) -> Left:
    return Left(bucket.limit, max(0, int(bucket.left(now))), bucket.full_in_s(now))


def _shown(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"
