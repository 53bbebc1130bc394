"""One model as it comes and goes: where it is, who wants it, what keeping it is worth."""

from __future__ import annotations

import math
from dataclasses import dataclass

from supervisor.residency.policy import Phase, Policy

# A model stays for this long at least once it is in, or for so many times what its load has taken,
# whichever is more: two that do not fit together would do nothing but load.
RESIDENCE_S = 30.0
RESIDENCE_LOADS = 4
# What a load is taken to cost that was never measured.
UNMEASURED_LOAD_S = 1.0
# How fast it is forgotten that a model was asked for.
RATE_HALF_LIFE_S = 300.0


@dataclass(slots=True)
class Resident:
    """What is known of one model by now. Times are monotonic seconds."""

    name: str
    policy: Policy
    phase: Phase = "out"
    since: float = 0.0  # when its phase began
    load_s: float | None = None  # what its last load took, if that was measured
    waiting: int = 0
    in_hand: int = 0
    waiting_since: float = math.inf
    idle_since: float = 0.0
    jobs: int = 0
    rate: float = 0.0  # requests, those of a while ago counting less
    rate_at: float = 0.0
    refused_until: float = -math.inf
    wished: bool = False  # an operator wants it, and it is not on its way yet
    invited: bool = False  # it is to be loaded where nobody has to leave for it
    lacked: bool = False  # its last load lacked memory
    beside_mb: int = 0  # what its workers hold that do not serve it: of an update, or leaving
    leaving_mb: int = 0  # what those of them hold that leave
    extras: int = 0  # its workers over those that it has at least
    extra_mb: int = 0  # what each of these holds
    least_mb: int = 0  # what its load has been seen to need
    pin: bool | None = None  # what an operator has said of it, in place of its policy
    keep_s: float | None = None  # how long it stays without work, if somebody has said so
    told_keep_s: float | None = None  # what clients have said of it last

    @property
    def matters(self) -> bool:
        """Whether it has any part in what is decided now. One that does not is out, holds nothing,
        and nobody asks for it, as most of a large catalog are."""
        asked = self.waiting or self.wished or self.invited
        return bool(self.phase != "out" or asked or self.beside_mb or self.extras)

    @property
    def busy(self) -> bool:
        return bool(self.waiting or self.in_hand)

    @property
    def wanted(self) -> bool:
        """Whether anybody wants it in memory who has not got it."""
        return self.wished or (bool(self.waiting) and not self.policy.never)

    @property
    def needs_room(self) -> bool:
        """Whether it takes room that it had not, or somebody waits for it to."""
        return self.phase == "loading" or (self.wanted and self.phase in ("out", "leaving"))

    def may_load(self, now: float) -> bool:
        """Whether it is to be loaded as soon as there is room."""
        asked = self.wanted or self.invited
        return asked and self.phase == "out" and now >= self.refused_until

    @property
    def pinned(self) -> bool:
        return self.policy.pinned if self.pin is None else self.pin

    @property
    def stays(self) -> bool:
        """Whether it never leaves by itself, once it is in."""
        return self.policy.always or self.policy.never or self.pinned

    @property
    def idle_s(self) -> float:
        """How long it stays without work."""
        if self.keep_s is not None:
            return math.inf if self.keep_s < 0 else self.keep_s
        return self.policy.idle_s or math.inf

    def hear(self, keep_s: float | None, *, anew: bool) -> None:
        """How long clients want it to stay; what they say ``anew`` counts over what an operator has
        said meanwhile."""
        if keep_s != self.told_keep_s or (anew and keep_s is not None):
            self.keep_s = keep_s
        self.told_keep_s = keep_s

    @property
    def cost_s(self) -> float:
        """What it takes to load it again."""
        return UNMEASURED_LOAD_S if self.load_s is None else self.load_s

    @property
    def held(self) -> bool:
        """Whether it is in memory, wholly or in part."""
        return self.phase in ("loading", "in", "leaving")

    @property
    def held_mb(self) -> int:
        """What it takes now, or may while it loads."""
        own_mb = self.policy.need_mb if self.held else 0
        if self.phase == "loading":
            own_mb = max(own_mb, self.policy.load_mb)
        return own_mb + self.beside_mb + self.extras * self.extra_mb

    @property
    def could_leave_mb(self) -> int:
        """What comes free sooner or later if it has to."""
        return self.beside_mb + self.extras * self.extra_mb if self.stays else self.held_mb

    def leaves_in_s(self, now: float) -> float | None:
        """In how many seconds it leaves if it gets no more work; None: not by itself."""
        if self.stays or self.phase != "in" or math.isinf(self.idle_s):
            return None
        return self.idle_s if self.busy else max(0.0, self.idle_since + self.idle_s - now)

    def rate_by(self, now: float) -> float:
        faded: float = 0.5 ** ((now - self.rate_at) / RATE_HALF_LIFE_S)
        return self.rate * faded

    def value(self, now: float) -> float:
        """What keeping it saves: seconds of loading, for each MB that it holds."""
        return self.rate_by(now) * self.cost_s / max(1, self.policy.need_mb)

    def may_leave(self, now: float, *, late: bool) -> bool:
        """Whether its place may be given to another, once it has finished what it has in hand.
        Where that one has waited for long (``late``) neither its work nor a slow load keep it."""
        stays_s = RESIDENCE_S if late else max(RESIDENCE_S, RESIDENCE_LOADS * self.cost_s)
        if self.phase != "in" or self.stays or now - self.since < stays_s:
            return False
        return late or not self.busy
