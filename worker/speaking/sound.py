"""What is done to the sound of a part so that parts can be put one after the other."""

from __future__ import annotations

import numpy as np

from worker.audio.decode import Samples

_FADE_S = 0.005
_KEPT_S = 0.03
# Of the loudest sample: 60 dB below it nobody hears anything.
_INAUDIBLE = 0.001


def trimmed(samples: Samples, rate_hz: int) -> Samples:
    """``samples`` without the silence that models put around whatever they say."""
    level = np.abs(samples)
    heard = np.nonzero(level > level.max(initial=0.0) * _INAUDIBLE)[0]
    if not heard.size:
        return samples[:0]
    kept = round(_KEPT_S * rate_hz)
    return samples[max(0, heard[0] - kept) : heard[-1] + 1 + kept]


def faded(samples: Samples, rate_hz: int) -> Samples:
    """``samples`` that begin and end in silence, since a step to it would be a click."""
    size = min(round(_FADE_S * rate_hz), samples.size // 2)
    if not size:
        return samples
    ramp = np.linspace(0, 1, size, dtype=np.float32)
    found = samples.copy()
    found[:size] *= ramp
    found[-size:] *= ramp[::-1]
    return found


def silence(seconds: float, rate_hz: int) -> Samples:
    return np.zeros(round(seconds * rate_hz), np.float32)
