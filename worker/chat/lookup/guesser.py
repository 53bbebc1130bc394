"""When to guess, and how many tokens: where that has been paying, and now and then to look again.

A guess pays where the tokens that it brings are more than the time it adds to the step of all. What
it brings is known from the same request and from those that began alike: who asks for edits of code
by the same instructions will do so again. What it adds is known from steps of all sizes.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence

from worker.chat.lookup.chances import Chance, expected_right
from worker.chat.lookup.repeats import Repeats
from worker.chat.lookup.step_seconds import StepSeconds

# How many tokens may be guessed at once. Counts between them differ little.
_COUNTS = (2, 4, 8, 16)
# Guessing has to write this much more a second, or it is left: what is known is never exact.
_LEAST_GAIN = 1.05
# Where guessing does not pay it is tried again once so many tokens could have been guessed.
PROBE_TOKENS = 128
_PROBE = 2
# After so many guesses of fewer tokens than there were, more are tried where that should pay: what
# steps of that size are known to take may be what one took beside others that computed. Each time
# it does not, twice as many pass before the next, up to the second.
_LARGER_AFTER, _LARGER_AFTER_MOST = 16, 256
# Requests are of a kind whose prompts begin with the same tokens; so many kinds are remembered.
_KIND_TOKENS = 48
_MOST_KINDS = 64
# A place of which so many tokens are the same goes on as it did far more often than others. First
# beliefs of both, as tokens that were right and wrong.
_LONG = 8
_AFTER_SHORT, _AFTER_LONG = (2.0, 1.0), (3.0, 1.0)

# The chances behind a short run of equal tokens, and behind a long one.
_Chances = tuple[Chance, Chance]


class Guesser:
    """Guesses for the requests of one engine. A request whose text does not repeat itself is run as
    without.

    Given the same calls it says the same: it reads no clock.
    """

    def __init__(self) -> None:
        self._seconds = StepSeconds()
        self._kinds: OrderedDict[tuple[int, ...], _Chances] = OrderedDict()
        self._requests: dict[str, _Request] = {}
        self._smaller = 0  # guesses of fewer tokens than there were, since more were tried
        self._larger_after = _LARGER_AFTER

    def begin(self, request_id: str, prompt: Sequence[int]) -> None:
        """Guess for a request from now on."""
        kind = self._kind(tuple(prompt[:_KIND_TOKENS]))
        self._requests[request_id] = _Request(Repeats(prompt), kind)

    def wrote(self, request_id: str, tokens: Sequence[int]) -> None:
        """The next ``tokens`` of its answer have come. Others than begun ones are fine."""
        if (request := self._requests.get(request_id)) is not None:
            request.repeats.extend(tokens)

    def end(self, request_id: str) -> None:
        """Forget a request; unknown ids are fine."""
        self._requests.pop(request_id, None)

    def guesses(self, rooms: Mapping[str, int], tokens: int) -> dict[str, list[int]]:
        """What to guess in a step that runs so many ``tokens`` anyway, one for each answer, for
        those requests of ``rooms`` for which it pays; no request more tokens than it has room
        for."""
        found: dict[str, list[int]] = {}
        written, run = float(tokens), tokens
        for request_id, room in rooms.items():
            request = self._requests.get(request_id)
            if request is None:
                continue
            proposed = request.repeats.propose(min(room, _COUNTS[-1]))
            count = self._count(request, len(proposed), written, run)
            if count:
                found[request_id] = proposed[:count]
                written += expected_right(request.chance.value, count)
                run += count
        return found

    def checked(self, request_id: str, guessed: int, right: int) -> None:
        """Of what was guessed for a request the first ``right`` tokens were so. Called before
        `wrote`."""
        if (request := self._requests.get(request_id)) is not None:
            request.chance.observe(guessed, right)
            request.kind[request.is_long].observe(guessed, right)

    def took(self, tokens: int, seconds: float) -> None:
        """A step that ran so many ``tokens`` took so many ``seconds``."""
        self._seconds.observe(tokens, seconds)

    def _count(self, request: _Request, proposed: int, written: float, run: int) -> int:
        """How many tokens to guess of those ``proposed``, beside a step that brings so many
        ``written`` tokens for so many that are ``run``."""
        chance = request.chance.value
        counts = sorted({min(proposed, count) for count in _COUNTS} - {0})
        gains = {count: self._rate(chance, count, written, run) for count in counts}
        best = max(gains, key=gains.__getitem__, default=0)
        if best and gains[best] > _LEAST_GAIN * self._rate(chance, 0, written, run):
            request.passed = 0
            return self._larger(chance, best, counts, written, run) or best
        request.passed += min(1, proposed)
        if request.passed < PROBE_TOKENS:
            return 0
        request.passed = 0
        return min(proposed, _PROBE)

    def _larger(
        self, chance: float, best: int, counts: Sequence[int], written: float, run: int
    ) -> int:
        """The next count behind the ``best`` one of ``counts``, where it is due and would pay if
        steps of its size took what those of the best let expect; else none."""
        count = next((one for one in counts if one > best), 0)
        if not count:
            self._smaller, self._larger_after = 0, _LARGER_AFTER
            return 0
        self._smaller += 1
        if self._smaller < self._larger_after:
            return 0
        self._smaller = 0
        self._larger_after = min(2 * self._larger_after, _LARGER_AFTER_MOST)
        seconds = self._seconds.extended(run + count, run + best)
        rate = (written + expected_right(chance, count)) / seconds
        return count if rate > self._rate(chance, best, written, run) else 0

    def _rate(self, chance: float, count: int, written: float, run: int) -> float:
        """The tokens a second with so many guessed."""
        return (written + expected_right(chance, count)) / self._seconds.estimate(run + count)

    def _kind(self, beginning: tuple[int, ...]) -> _Chances:
        kind = self._kinds.pop(beginning, None)
        kind = kind or (Chance(*_AFTER_SHORT), Chance(*_AFTER_LONG))
        self._kinds[beginning] = kind
        if len(self._kinds) > _MOST_KINDS:
            self._kinds.popitem(last=False)
        return kind


class _Request:
    """What is known of one request, and of its ``kind``."""

    def __init__(self, repeats: Repeats, kind: _Chances) -> None:
        self.repeats = repeats
        self.kind = kind
        self.passed = 0  # tokens that could have been guessed and were not
        self._chances = (kind[0].borrowed(), kind[1].borrowed())

    @property
    def is_long(self) -> bool:
        return self.repeats.same >= _LONG

    @property
    def chance(self) -> Chance:
        return self._chances[self.is_long]
