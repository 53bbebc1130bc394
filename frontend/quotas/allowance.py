"""Of every key what it has had, and of each request what it takes of that."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

from frontend.quotas.quota import DAY_S, KeyQuota, Left
from ipc.messages.errors import InvalidApiKey
from ipc.messages.keys import FREE, ApiKey

Clock = Callable[[], float]


class Allowance:
    """What one request takes. One ``in_background`` is a line of a batch, whose batch has been let
    in: it is held to the tokens of the day alone."""

    __slots__ = ("_asked", "_background", "_begun", "_clock", "_quota", "_reserved", "_wall_s")

    def __init__(
        self, quota: KeyQuota, clock: Clock, wall_s: Clock, *, in_background: bool
    ) -> None:
        self._quota = quota
        self._clock = clock
        self._wall_s = wall_s
        self._background = in_background
        self._begun = False
        self._reserved = 0.0
        self._asked = 0.0

    @property
    def models(self) -> Sequence[str]:
        """The models that there are for it, by any of their names; none: all."""
        return self._quota.limits.models

    def begin(self) -> None:
        """It asks for a model, and will `end`. Raises as `KeyQuota.begin`."""
        if not self._background:
            self._quota.begin(self._clock())
            self._begun = True

    def reserve(self, prompt: float, answer: float) -> None:
        """It may take so many tokens, as far as anybody knows yet. Raises as `KeyQuota.reserve`."""
        tokens, now, wall_s = prompt + answer, self._clock(), self._wall_s()
        self._quota.reserve(tokens, now, wall_s, in_background=self._background)
        self._reserved += tokens
        self._asked += prompt

    def end(self, tokens: float | None) -> None:
        """It had so many; None: it was worked on, but nobody knows, so that its prompt counts as it
        was thought to be."""
        if self._begun:
            self._quota.end()
        spent = self._asked if tokens is None else tokens
        if spent or self._reserved:
            now, wall_s, background = self._clock(), self._wall_s(), self._background
            self._quota.settle(self._reserved, spent, now, wall_s, in_background=background)

    def requests_left(self) -> Left | None:
        return self._quota.requests_left(self._clock())

    def tokens_left(self) -> Left | None:
        return self._quota.tokens_left(self._clock(), self._wall_s())

    def day_left(self) -> Left | None:
        return self._quota.day_left(self._wall_s())


class Allowances:
    """Owns what each key has had, by its name, for as long as this process runs."""

    def __init__(
        self,
        keys: Mapping[str, ApiKey],
        clock: Clock = time.monotonic,
        wall_s: Clock = time.time,
    ) -> None:
        self._clock = clock
        self._wall_s = wall_s
        self._quotas: dict[str, KeyQuota] = {}
        # Of names without a key now: one that is made anew has what the name has left of the day,
        # as after a restart, which knows of names alone.
        self._gone: dict[str, KeyQuota] = {}
        self.know(keys)

    @property
    def day_began_s(self) -> float:
        """When the day did in which it is counted, in seconds since 1970."""
        return self._wall_s() // DAY_S * DAY_S

    def know(self, keys: Mapping[str, ApiKey]) -> None:
        """These are the keys from now on."""
        now, wall_s = self._clock(), self._wall_s()
        for name in self._quotas.keys() - keys.keys():
            self._gone[name] = self._quotas.pop(name)
        for name, key in keys.items():
            known = self._quotas.get(name) or self._gone.pop(name, None)
            if known is None:
                known = KeyQuota(key.limits, now)
            elif known.limits != key.limits:
                known.set_limits(key.limits, now)
            self._quotas[name] = known
        self._gone = {name: one for name, one in self._gone.items() if one.has_had_any(wall_s)}

    def has_had(self, tokens: Mapping[str, float]) -> None:
        """Keys had so many today, before this process."""
        for name, count in tokens.items():
            quota = self._quotas.get(name)
            if quota is None:
                quota = self._gone.setdefault(name, KeyQuota(FREE, self._clock()))
            quota.has_had(count, self._wall_s())

    def of(self, key: str | None, *, in_background: bool = False) -> Allowance | None:
        """That of a request with this key; None where there is no key. Raises `InvalidApiKey` for
        a line of a batch whose key is gone."""
        if key is None or not self._quotas:
            return None
        quota = self._quotas.get(key)
        if quota is None:
            raise InvalidApiKey(f"the API key {key!r} is not one of this server's any more")
        return Allowance(quota, self._clock, self._wall_s, in_background=in_background)
