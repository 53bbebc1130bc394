"""How long a step takes by how many tokens it runs, from the steps that were."""

from __future__ import annotations

# The share of the newest step in what is known, and by how much one step may seem longer: beside
# others that compute a step may take ten times as long, which says nothing of its tokens. One that
# was quicker says more, as nothing makes it so.
_NEWEST, _NEWEST_QUICKER = 0.2, 0.5
_MOST_TIMES = 2.0
# Until steps of such a size were seen: each token beyond the first adds so much of a step of one.
# Reading weights is most of a step on a CPU.
_TOKEN_SHARE = 0.1


class StepSeconds:
    """Means over steps of about as many tokens: 1, 2, 3 to 4, 5 to 8 and so on."""

    def __init__(self) -> None:
        self._means: dict[int, tuple[float, float]] = {}  # tokens and seconds, by size

    def observe(self, tokens: int, seconds: float) -> None:
        """A step of so many ``tokens`` took so many ``seconds``."""
        size = _size(tokens)
        if size not in self._means:
            self._means[size] = (tokens, seconds)
            return
        known, mean = self._means[size]
        seconds = min(seconds, _MOST_TIMES * mean)
        share = _NEWEST if seconds > mean else _NEWEST_QUICKER
        self._means[size] = (known + share * (tokens - known), mean + share * (seconds - mean))

    def estimate(self, tokens: int) -> float:
        """How long a step of so many ``tokens`` would take, in seconds; in steps of one where none
        was seen."""
        found = self._means.values()
        below = max((one for one in found if one[0] <= tokens), default=None)
        above = min((one for one in found if one[0] >= tokens), default=None)
        if below is None or above is None:
            known, seconds = below or above or (1.0, 1.0)
            return seconds * _share(tokens) / _share(known)
        if above[0] == below[0]:
            return below[1]
        part = (tokens - below[0]) / (above[0] - below[0])
        return below[1] + part * (above[1] - below[1])

    def extended(self, tokens: int, seen: int) -> float:
        """The same by what steps of so many as were ``seen`` take, and nothing else."""
        return self.estimate(seen) * _share(tokens) / _share(seen)


def _size(tokens: int) -> int:
    """Powers of two."""
    return (tokens - 1).bit_length()


def _share(tokens: float) -> float:
    return 1 + _TOKEN_SHARE * (tokens - 1)
