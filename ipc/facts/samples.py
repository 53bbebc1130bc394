"""The smallest real inputs: for warm-up, and for trying a server that has just been started."""

from __future__ import annotations

import io
import math
import struct
import zlib
from pathlib import Path

# "And so, my fellow Americans": J. F. Kennedy, 1961, in the public domain as a work of the US
# government; from whisper.cpp's samples, as Opus.
SENTENCE = Path(__file__).with_name("sentence.opus")
_SAMPLE_RATE_HZ = 16_000


def tone_wav(seconds: float) -> bytes:
    """A quiet 440 Hz tone as a 16 kHz mono WAV file."""
    count = int(seconds * _SAMPLE_RATE_HZ)
    wave_at = (math.sin(2 * math.pi * 440 * at / _SAMPLE_RATE_HZ) for at in range(count))
    return wav(struct.pack(f"<{count}h", *(int(3000 * value) for value in wave_at)))


def wav(samples: bytes) -> bytes:
    """A 16 kHz mono WAV file of 16-bit ``samples``."""
    import wave  # of all processes that import this only a worker makes one

    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(_SAMPLE_RATE_HZ)
        out.writeframes(samples)
    return file.getvalue()


def grey_png(side: int) -> bytes:
    """A square of one grey as a PNG file."""
    rows = (b"\0" + b"\x80" * side) * side  # each row begins with its filter: none
    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in chunks)


def _chunk(kind: bytes, data: bytes) -> bytes:
    checked = kind + data
    return struct.pack(">I", len(data)) + checked + struct.pack(">I", zlib.crc32(checked))
