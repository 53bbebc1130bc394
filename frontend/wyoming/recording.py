"""A recording as it comes: samples in chunks, all of one format."""

from __future__ import annotations

import io
import wave
from collections.abc import Mapping
from typing import Any, NamedTuple

from frontend.dispatch.budget import Claim
from ipc.messages.errors import InvalidRequest, PayloadTooLarge

_RANGES = {"rate": (8_000, 48_000), "width": (1, 4), "channels": (1, 2)}
# A file's head beside its samples.
HEAD_BYTES = 44


class Format(NamedTuple):
    """Samples a second, bytes of each, and how many there are at the same time."""

    rate: int
    width: int
    channels: int

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Format:
        """That which an event names. Raises `InvalidRequest`."""
        return cls(*(_within(data, name, *most) for name, most in _RANGES.items()))


class Recording:
    """Bounded by ``most_bytes``, and held by ``claim``, which its owner releases."""

    def __init__(self, form: Format, claim: Claim, most_bytes: int) -> None:
        self.form = form
        self.claim = claim
        self._most_bytes = most_bytes - HEAD_BYTES
        self._samples = bytearray()

    def add(self, form: Format, samples: bytes) -> None:
        """Raises `InvalidRequest` for another format, `PayloadTooLarge` and `OutOfMemory`."""
        if form != self.form:
            raise InvalidRequest(f"a chunk is {form}, and the recording began as {self.form}")
        if len(self._samples) + len(samples) > self._most_bytes:
            raise PayloadTooLarge(
                f"the recording is over this server's limit of {self._most_bytes} bytes"
            )
        self.claim.add(len(samples))
        self._samples += samples

    def as_file(self) -> bytes:
        """As a WAV file; empty where there is not one sample."""
        frame_bytes = self.form.width * self.form.channels
        whole_bytes = len(self._samples) // frame_bytes * frame_bytes
        if not whole_bytes:
            return b""
        file = io.BytesIO()
        with wave.open(file, "wb") as written:
            written.setframerate(self.form.rate)
            written.setsampwidth(self.form.width)
            written.setnchannels(self.form.channels)
            written.writeframes(memoryview(self._samples)[:whole_bytes])
        return file.getvalue()


def _within(data: Mapping[str, Any], name: str, least: int, most: int) -> int:
    found = data.get(name)
    if not isinstance(found, int) or isinstance(found, bool) or not least <= found <= most:
        raise InvalidRequest(f"`{name}` must be from {least} to {most}", param=name)
    return found
