"""What is told of a prompt while it is read: how far it is, now and then."""

from __future__ import annotations

from ipc.messages.events import Prefilled

# No prompt that takes less is told of, and none more often.
PERIOD_S = 0.5


class PrefillPace:
    """Chooses which figures of one job's prompt go out, and says in how long it will be read.

    ``begun_at`` is when an engine took it. All times are seconds of one clock. A figure is the
    tokens that are in the cache of keys and values by now; what was cached before is in it.
    """

    def __init__(self, job_id: str, prompt_tokens: int, begun_at: float) -> None:
        self._job_id = job_id
        self._prompt_tokens = prompt_tokens
        self._begun_at = self._told_at = begun_at
        self._first: tuple[int, float] | None = None

    def told(self, read_tokens: int, cached_tokens: int, now: float) -> list[Prefilled]:
        """What goes out for this figure, often nothing.

        The pace is that since the first figure: a prompt may have had to wait before it.
        """
        tokens, at = self._first or (cached_tokens, self._begun_at)
        self._first = self._first or (read_tokens, now)
        done, whole = read_tokens - tokens, self._prompt_tokens
        if now - self._told_at < PERIOD_S or done <= 0 or read_tokens >= whole:
            return []
        self._told_at = now
        left_s = (whole - read_tokens) * (now - at) / done
        return [Prefilled(self._job_id, read_tokens, whole, left_s)]
