"""Messages as ZeroMQ frames: a versioned msgpack header, then one raw frame for each blob.

Frame 0 is ``b"ES" + version byte + msgpack``; a `Blob` in the message is written there as the
number of the frame that holds its bytes, so audio and vectors are never copied into the header.
Decoding checks every field against the declared type and builds plain data only: a frame from a
foreign or broken peer raises `WireError` and can do nothing else. Never pickle.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Generic, TypeVar

import msgspec

from ipc.messages.blob import Blob

VERSION = 2
MAGIC = b"ES" + bytes([VERSION])
MAX_HEADER_BYTES = 32 << 20
MAX_BLOB_BYTES = 64 << 20
MAX_BLOBS = 64

T = TypeVar("T")


class WireError(Exception):
    """These frames are not a message of ours."""


def encode(message: msgspec.Struct) -> list[bytes]:
    """The frames of ``message``. Raises `WireError` when it is larger than a peer would take."""
    blobs: list[bytes] = []

    def take_out(value: Any) -> int:
        if not isinstance(value, Blob):
            raise NotImplementedError(f"{type(value).__name__} has no wire form")
        blobs.append(value.data)
        return len(blobs)

    header = MAGIC + msgspec.msgpack.encode(message, enc_hook=take_out)
    frames = [header, *blobs]
    _check_sizes(frames)
    return frames


class Decoder(Generic[T]):
    """Reads messages of one direction, say ``Decoder(FromChild)``, for one thread."""

    def __init__(self, kinds: Any) -> None:
        self._decoder = msgspec.msgpack.Decoder(kinds, dec_hook=self._put_back)
        self._frames: Sequence[bytes] = ()  # those of the message that is being read

    def decode(self, frames: Sequence[bytes]) -> T:
        """The message in ``frames``. Raises `WireError`."""
        _check_sizes(frames)
        header = frames[0]
        if not header.startswith(MAGIC):
            raise WireError("not an edge-serve frame, or of another version")
        self._frames = frames
        try:
            message: T = self._decoder.decode(memoryview(header)[len(MAGIC) :])
        except (ValueError, RecursionError) as error:
            raise WireError(str(error)) from None
        finally:
            self._frames = ()
        return message

    def _put_back(self, kind: type, value: Any) -> Any:
        frames = self._frames
        if kind is not Blob or not isinstance(value, int) or not 0 < value < len(frames):
            raise ValueError("names a blob that did not arrive")
        return Blob(frames[value])


def _check_sizes(frames: Sequence[bytes]) -> None:
    if not frames or len(frames) > MAX_BLOBS + 1:
        raise WireError(f"{len(frames)} frames; a message has 1 to {MAX_BLOBS + 1}")
    if len(frames[0]) > MAX_HEADER_BYTES:
        raise WireError(f"header of {len(frames[0])} bytes; the cap is {MAX_HEADER_BYTES}")
    for blob in frames[1:]:
        if len(blob) > MAX_BLOB_BYTES:
            raise WireError(f"a blob is over {MAX_BLOB_BYTES} bytes")
