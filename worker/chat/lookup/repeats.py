"""What may come next in a text that repeats itself: what followed when its last tokens stood before
(prompt lookup, github.com/apoorvumang/prompt-lookup-decoding)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

# So many equal tokens make a place one that may go on as it did. Fewer are equal by chance.
SAME_TOKENS = 3
# Whether more than these are equal is not asked.
MOST_SAME = 16
# The newest tokens of a prompt in which is looked: about 5 MB.
MOST_TOKENS = 32_768


class Repeats:
    """The tokens of a prompt and of its answer so far. To take one costs the same however many
    there are."""

    def __init__(self, prompt: Sequence[int]) -> None:
        self._tokens: list[int] = []
        self._followed: dict[tuple[int, ...], int] = {}  # the place behind each run of tokens
        self._next: int | None = None  # the place of what may come next
        self.same = 0  # how many tokens before that place are those that were written last
        self.extend(prompt[-MOST_TOKENS:])

    def extend(self, tokens: Iterable[int]) -> None:
        """Take the next ``tokens``."""
        for token in tokens:
            self._take(token)

    def propose(self, most: int) -> list[int]:
        """At most so many tokens that may come next, none where nothing was found."""
        return [] if self._next is None else self._tokens[self._next : self._next + most]

    def _take(self, token: int) -> None:
        if self._next is not None and self._tokens[self._next] == token:
            self._next += 1
            self.same = min(self.same + 1, MOST_SAME)
        else:
            self._next = None
        self._tokens.append(token)
        if len(self._tokens) < SAME_TOKENS:
            return
        run = tuple(self._tokens[-SAME_TOKENS:])
        if self._next is None:
            self._next = self._followed.get(run)
            self.same = 0 if self._next is None else self._count_same(self._next)
        self._followed[run] = len(self._tokens)

    def _count_same(self, place: int) -> int:
        """How many tokens before ``place`` are those that were written last."""
        most = min(MOST_SAME, place)
        pairs = ((self._tokens[place - at], self._tokens[-at]) for at in range(1, most + 1))
        return next((at for at, (one, other) in enumerate(pairs) if one != other), most)
