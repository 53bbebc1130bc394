"""How likely guesses are right, from those that were checked."""

from __future__ import annotations

# What was seen of other requests counts for as many tokens as this, what was seen of the same for
# the last few dozen.
_BORROWED = 8.0
_MOST = 48.0


class Chance:
    """The chance that a guessed token is right if those before it are. A guess that is refused says
    nothing of what was guessed behind it. What is believed before any was checked is as if so many
    had been ``right`` and ``wrong``."""

    def __init__(self, right: float, wrong: float) -> None:
        self._right, self._wrong = right, wrong

    @property
    def value(self) -> float:
        return self._right / (self._right + self._wrong)

    def observe(self, guessed: int, right: int) -> None:
        """Of ``guessed`` tokens the first ``right`` ones were right."""
        self._right += right
        self._wrong += right < guessed
        self._keep_at_most(_MOST)

    def borrowed(self) -> Chance:
        """The same for another request, which what it brings itself will soon outweigh."""
        made = Chance(self._right, self._wrong)
        made._keep_at_most(_BORROWED)
        return made

    def _keep_at_most(self, tokens: float) -> None:
        share = min(1.0, tokens / (self._right + self._wrong))
        self._right, self._wrong = share * self._right, share * self._wrong


def expected_right(chance: float, guessed: int) -> float:
    """How many of ``guessed`` tokens in a row will be right on average."""
    return sum(chance**at for at in range(1, guessed + 1))
