"""Texts, pictures and sound of a wanted size."""

from __future__ import annotations

import math
import random
import struct

import av

from bench.words import Texts
from ipc.facts.samples import SENTENCE, grey_png, wav

RATE_HZ = 16_000
# A photograph takes about a quarter of a byte for each point as a JPEG.
_POINTS_OF_A_BYTE = 4
_LARGEST_SIDE = 4096
_END_BYTES = 12  # the last chunk of a PNG


class Words:
    """Random common words. What begins with the ``opening`` words is the same each time, as prompts
    are that a cache has seen."""

    def __init__(self, seed: int | None = None) -> None:
        self._random = random.Random(seed)
        self._opening = Texts(words=1, seed=1)
        self._opened: list[str] = []

    def take(self, count: int, opening: int = 0) -> str:
        missing = min(count, opening) - len(self._opened)
        if missing > 0:
            self._opened += self._opening.take(missing)
        fresh = Texts(words=1, seed=self._random.randrange(1 << 30)).take(max(0, count - opening))
        return " ".join(self._opened[: min(count, opening)] + fresh)


def picture(size_bytes: int) -> bytes:
    """A PNG of so many bytes, with as many points as a photograph of that size has. The rest is in
    a chunk that readers skip (PNG 3, section 14.2)."""
    side = max(16, min(_LARGEST_SIDE, math.isqrt(size_bytes * _POINTS_OF_A_BYTE)))
    png = grey_png(side)
    missing = size_bytes - len(png) - _END_BYTES
    if missing <= 0:
        return png
    return png[:-_END_BYTES] + _chunk(b"paDd", bytes(missing)) + png[-_END_BYTES:]


def _chunk(kind: bytes, data: bytes) -> bytes:
    import zlib

    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def speech(seconds: float) -> bytes:
    """A spoken sentence, said again and again for so long, as a WAV file: silence or a tone would
    be skipped."""
    said = _sentence()
    wanted = max(1, int(seconds * RATE_HZ)) * 2
    return wav((said * -(-wanted // len(said)))[:wanted])


def _sentence() -> bytes:
    resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE_HZ)
    with av.open(str(SENTENCE)) as container:
        frames = container.decode(container.streams.audio[0])
        parts = [one for frame in frames for one in resampler.resample(frame)]
    return b"".join(bytes(part.planes[0])[: 2 * part.samples] for part in parts)
