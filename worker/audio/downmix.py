"""Channels that cancel each other when they are mixed, as those of a miswired cable do."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

# Of the power that a mix of unrelated channels has. Below the first a channel is taken in place of
# the mix, until there is the second again.
_CANCELLED, _MIXED = 0.1, 0.3
# How long the past counts, and how much louder another channel must be to take the place of one.
_MEMORY_S = 0.5
_LOUDER = 4.0


class Downmix:
    """Chooses between the mix of a stream's channels and one of them, frame by frame.

    A channel stays chosen as long as it is nearly as loud as the loudest: a change between two
    that are each other's inverse is a click.
    """

    def __init__(self) -> None:
        self.chosen: int | None = None
        self._powers: npt.NDArray[np.float32] | None = None
        self._mix = 0.0

    def choose(self, channels: npt.NDArray[np.float32], length_s: float) -> int | None:
        """The channel to take in place of the mix; None: take the mix.

        ``channels`` has shape (channels, samples), on any scale.
        """
        powers = np.einsum("cn,cn->c", channels, channels)
        if not np.isfinite(powers).all():
            return None
        mixed = channels.sum(axis=0)
        kept = math.exp(-length_s / _MEMORY_S)
        self._powers = powers if self._powers is None else self._powers * kept + powers
        self._mix = self._mix * kept + float(mixed @ mixed)
        return self._decide(self._powers)

    def _decide(self, powers: npt.NDArray[np.float32]) -> int | None:
        limit = _CANCELLED if self.chosen is None else _MIXED
        if self._mix >= limit * float(powers.sum()):
            self.chosen = None
        elif self.chosen is None or powers[self.chosen] * _LOUDER < powers.max():
            self.chosen = int(powers.argmax())
        return self.chosen
