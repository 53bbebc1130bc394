"""Gzip that may come from strangers: what is unpacked may be a thousand times as large."""

from __future__ import annotations

import gzip
import io
import zlib

MAGIC = b"\x1f\x8b"


class NotUnpacked(Exception):
    """It is broken, or would be larger than it may be. The message says which."""


def unpacked(data: bytes, most_bytes: int) -> bytes:
    """What ``data`` holds; itself where it is not packed. Raises `NotUnpacked` where that is more
    than ``most_bytes``, of which no more is ever in memory."""
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as packed:
            found = packed.read(most_bytes + 1) if data.startswith(MAGIC) else data
    except (OSError, EOFError, zlib.error) as error:
        raise NotUnpacked(f"its gzip is broken: {error}") from None
    if len(found) > most_bytes:
        raise NotUnpacked(f"it holds more than {most_bytes >> 20} MiB")
    return found
