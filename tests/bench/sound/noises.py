"""What is no speech, made by numbers: silence, noises, tones, clicks, a breath, a tune."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from worker.audio.decode import SAMPLE_RATE_HZ, Samples

Random = np.random.Generator
Made = npt.NDArray[np.float64]

# Of full scale, peak: as loud as speech, and a quiet room.
LOUD, QUIET = 0.3, 0.02
_HUM_HZ = 50.0
_TUNE_HZ = (262.0, 330.0, 392.0, 523.0, 440.0, 349.0, 294.0, 247.0)
_NOTE_S = 0.4


def silence(size: int, random: Random) -> Made:  # noqa: ARG001
    return np.zeros(size)


def white(size: int, random: Random) -> Made:
    return random.standard_normal(size)


def pink(size: int, random: Random) -> Made:
    return _coloured(size, random, 0.5)


def brown(size: int, random: Random) -> Made:
    return _coloured(size, random, 1.0)


def hum(size: int, random: Random) -> Made:
    """Of the mains, with its harmonics."""
    time_s = np.arange(size) / SAMPLE_RATE_HZ
    tones = [np.sin(2 * np.pi * _HUM_HZ * n * time_s) / n for n in range(1, 8)]
    made: Made = np.sum(tones, axis=0) + 0.05 * random.standard_normal(size)
    return made


def tone(size: int, random: Random) -> Made:
    return np.asarray(
        np.sin(2 * np.pi * random.uniform(300, 1500) * np.arange(size) / SAMPLE_RATE_HZ)
    )


def chord(size: int, random: Random) -> Made:
    time_s = np.arange(size) / SAMPLE_RATE_HZ
    base_hz = random.uniform(150, 300)
    tones = [np.sin(2 * np.pi * base_hz * n * time_s) for n in (1, 1.25, 1.5, 2)]
    made: Made = np.sum(tones, axis=0)
    return made


def clicks(size: int, random: Random) -> Made:
    """Three a second, of a hundredth each."""
    made = np.zeros(size)
    for at in random.integers(0, max(1, size - 160), 3 * size // SAMPLE_RATE_HZ):
        made[at : at + 160] += random.standard_normal(160) * np.exp(-np.arange(160) / 20)
    return made


def breath(size: int, random: Random) -> Made:
    """Noise of a mouth that comes and goes each three seconds."""
    swell = np.maximum(0, np.sin(2 * np.pi * np.arange(size) / (3 * SAMPLE_RATE_HZ)))
    return np.asarray(_coloured(size, random, 0.3) * swell)


def tune(size: int, random: Random) -> Made:
    """Plucked notes over a bass, with a drum."""
    note = round(_NOTE_S * SAMPLE_RATE_HZ)
    time_s = np.arange(note) / SAMPLE_RATE_HZ
    fading = np.exp(-4 * time_s)
    parts = []
    for _ in range(size // note + 1):
        high_hz, low_hz = random.choice(_TUNE_HZ), random.choice(_TUNE_HZ) / 4
        voices = [np.sin(2 * np.pi * high_hz * n * time_s) / n for n in (1, 2, 3)]
        drum = 0.5 * random.standard_normal(note) * np.exp(-40 * time_s)
        parts.append(np.sum(voices, axis=0) * fading + np.sin(2 * np.pi * low_hz * time_s) + drum)
    return np.asarray(np.concatenate(parts)[:size])


KINDS: dict[str, Callable[[int, Random], Made]] = {
    made.__name__: made
    for made in (silence, white, pink, brown, hum, tone, chord, clicks, breath, tune)
}


def noise(kind: str, seconds: float, peak: float, seed: int = 1) -> Samples:
    """The same each time, no louder than ``peak``."""
    made = KINDS[kind](round(seconds * SAMPLE_RATE_HZ), np.random.default_rng(seed))
    most = np.abs(made).max(initial=0.0)
    return (made * (peak / most if most else 0.0)).astype(np.float32)


def mixed(speech: Samples, other: Samples, ratio_db: float) -> Samples:
    """``speech`` with ``other`` behind it, quieter by so much, and no louder than full scale."""
    other = np.resize(other, speech.size)
    power, other_power = np.mean(speech**2), np.mean(other**2)
    if not other_power:
        return speech
    sum_ = speech + other * np.sqrt(power / other_power / 10 ** (ratio_db / 10))
    found: Samples = (sum_ / max(1.0, np.abs(sum_).max())).astype(np.float32)
    return found


def _coloured(size: int, random: Random, slope: float) -> Made:
    """Whose amplitude falls with the frequency to the power of ``slope``."""
    spectrum = np.fft.rfft(random.standard_normal(size))
    spectrum[1:] /= np.arange(1, spectrum.size) ** slope
    spectrum[0] = 0
    return np.asarray(np.fft.irfft(spectrum, size))
