"""An uploaded file that is decoded while it comes.

FFmpeg asks for bytes and cannot be told to come back later. So it runs in a thread of its own, and
by turns: the engine's thread lets it run and stands still meanwhile, until it has decoded some
sound or asks for a byte that has not come. That keeps the cap on memory, which is the process's, to
the decoding.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator
from typing import BinaryIO, Protocol

import numpy as np

from ipc import spool
from worker.audio import decode
from worker.audio.decode import PIECE_S, SAMPLE_RATE_HZ, Samples

# Sound for so long comes out of FFmpeg at once, so that little of it waits for the next byte.
STEP_S = 1.0
# What waits to be decoded before more is taken in.
AHEAD_BYTES = 256 << 10

# How the files begin that can be read from their beginning to their end. Those of QuickTime's kind
# (mp4, m4a) may have their index at the end, and CAF and AIFF their tables.
_IN_ORDER = (b"RIFF", b"OggS", b"fLaC", b"\x1aE\xdf\xa3", b"ID3", b"#!AMR", b"\x00\x00\x01\xba")
_NOTHING: Samples = np.empty(0, np.float32)


class Arriving(Protocol):
    """A recording's file. ``is_complete``: nothing follows. ``announced_s`` is how long it says
    that it is. ``wants`` is whether more of it is to be added now, ``is_due`` whether something
    would come of reading, ``has_plenty`` whether others should wait for that."""

    is_complete: bool

    @property
    def announced_s(self) -> float | None: ...

    @property
    def wants(self) -> bool: ...

    @property
    def is_due(self) -> bool: ...

    @property
    def has_plenty(self) -> bool: ...

    def add(self, data: bytes, *, last: bool) -> None:
        """More of it. Raises `Unavailable` where the disk is full."""

    def read(self) -> Samples | None:
        """Up to half a minute of sound, as far as it has come; None at the end, once all has come.
        Raises as `worker.audio.decode.pieces` does."""

    def close(self) -> None: ...


def arriving(beginning: bytes, max_s: float, *, whole: bool) -> Arriving:
    """A file that begins so, or is ``whole``. Longer than ``max_s`` is refused as it is read."""
    if whole:
        return WholeFile(beginning, max_s)
    if is_read_in_order(beginning):
        return FileInOrder(beginning, max_s)
    return FileOnDisk(beginning, max_s)


def is_read_in_order(beginning: bytes) -> bool:
    """Whether a file that begins so can be decoded before its end is there."""
    is_mpeg_audio = beginning[:1] == b"\xff" and beginning[1:2] >= b"\xe0"
    return is_mpeg_audio or beginning.startswith(_IN_ORDER)


class WholeFile:
    """One that has come as a whole, in memory."""

    is_complete = True
    wants = False
    is_due = has_plenty = True

    def __init__(self, data: bytes, max_s: float) -> None:
        self.announced_s = decode.announced_s(data)
        self._pieces = decode.pieces(data, max_s)

    def add(self, data: bytes, *, last: bool) -> None:  # noqa: ARG002
        raise AssertionError("nothing follows it")

    def read(self) -> Samples | None:
        return next(self._pieces, None)

    def close(self) -> None:
        self._pieces.close()


class FileOnDisk:
    """One that has to be there as a whole, put together on disk."""

    wants = True

    def __init__(self, beginning: bytes, max_s: float) -> None:
        self.is_complete = False
        self.announced_s: float | None = None
        self._max_s = max_s
        self._file: BinaryIO = spool.open_unnamed()
        self._size = 0
        self._pieces: Generator[Samples, None, None] | None = None
        self.add(beginning, last=False)

    @property
    def is_due(self) -> bool:
        return self.is_complete

    has_plenty = is_due

    def add(self, data: bytes, *, last: bool) -> None:
        spool.write_all(self._file, data, self._size)
        self._size += len(data)
        self.is_complete = last

    def read(self) -> Samples | None:
        if self._pieces is None:
            self.announced_s = decode.announced_s(_rewound(self._file))
            self._pieces = decode.pieces(_rewound(self._file), self._max_s)
        return next(self._pieces, None)

    def close(self) -> None:
        if self._pieces is not None:
            self._pieces.close()
        self._file.close()


class FileInOrder:
    """One that is decoded from its beginning on, as far as it has come."""

    def __init__(self, beginning: bytes, max_s: float) -> None:
        self.is_complete = False
        self._bytes = _Bytes(beginning)
        self._decoder = _Decoder(self._bytes, max_s)

    @property
    def announced_s(self) -> float | None:
        return self._decoder.announced_s

    @property
    def wants(self) -> bool:
        return self._waiting < AHEAD_BYTES

    @property
    def is_due(self) -> bool:
        return self.is_complete or self._waiting > 0

    @property
    def has_plenty(self) -> bool:
        return self.is_complete or self._waiting >= AHEAD_BYTES

    @property
    def _waiting(self) -> int:
        """What waits to be decoded: behind the sound's end nothing does."""
        return 0 if self._decoder.is_over else self._bytes.waiting

    def add(self, data: bytes, *, last: bool) -> None:
        self.is_complete = self._bytes.is_complete = last
        if not self._decoder.is_over:  # else it is behind the sound
            self._bytes.add(data)

    def read(self) -> Samples | None:
        found: list[Samples] = []
        while sum(map(len, found)) < PIECE_S * SAMPLE_RATE_HZ and not self._decoder.is_over:
            with decode.memory_cap():
                samples = self._decoder.run()
            if samples is None:
                break
            found.append(samples)
        if found:
            return np.concatenate(found)
        return None if self._decoder.is_over and self.is_complete else _NOTHING

    def close(self) -> None:
        self._decoder.close()


class _Bytes:
    """What has come and was not read."""

    def __init__(self, beginning: bytes) -> None:
        self.waiting = len(beginning)
        self.is_complete = False
        self._parts = deque([beginning])
        self._at = 0  # in the first of them

    def add(self, data: bytes) -> None:
        self._parts.append(data)
        self.waiting += len(data)

    def take(self, size: int) -> bytes:
        """Up to ``size`` of them, of which there are some."""
        part = self._parts[0]
        taken = part[self._at : self._at + size]
        self._at += len(taken)
        self.waiting -= len(taken)
        if self._at == len(part):
            self._parts.popleft()
            self._at = 0
        return taken


class _Decoder:
    """FFmpeg in its thread. It and the engine's thread never run at the same time."""

    def __init__(self, source: _Bytes, max_s: float) -> None:
        self.announced_s: float | None = None
        self.is_over = False
        self._source = source
        self._max_s = max_s
        self._found: Samples | None = None
        self._error: BaseException | None = None
        self._is_closed = False
        self._may_run = threading.Semaphore(0)
        self._stands = threading.Semaphore(0)
        self._thread = threading.Thread(target=self._run, name="decode", daemon=True)
        self._thread.start()

    # The engine's thread.

    def run(self) -> Samples | None:
        """Some sound; None where that needs bytes which have not come, or there is no more.

        Raises what the decoding has raised, `MemoryError` included."""
        self._found = None
        self._may_run.release()
        self._stands.acquire()
        if self._error is not None:
            raise self._error
        return self._found

    def close(self) -> None:
        """End the thread, which sees the end of its file."""
        if not self.is_over:
            self._is_closed = True
            self._may_run.release()

    # The decoder's.

    def read(self, size: int) -> bytes:
        """As FFmpeg asks for them; empty at the end of the file."""
        while not self._source.waiting and not self._source.is_complete and not self._is_closed:
            self._stand()
        return self._source.take(size) if self._source.waiting and not self._is_closed else b""

    def _run(self) -> None:
        self._may_run.acquire()
        try:
            if not self._is_closed:
                self._decode()
        except BaseException as error:  # whoever waits for sound is told
            self._error = error
        self.is_over = True
        self._stands.release()

    def _decode(self) -> None:
        with decode.open_file(_Reads(self.read)) as container:
            self.announced_s = decode.said_s(container)
            for samples in decode.pieces_of(container, self._max_s, STEP_S):
                self._found = samples
                self._stand()
                if self._is_closed:
                    return

    def _stand(self) -> None:
        if not self._is_closed:
            self._stands.release()
            self._may_run.acquire()


class _Reads:
    """A file that can only be read, which tells FFmpeg to ask for nothing else."""

    def __init__(self, read: Callable[[int], bytes]) -> None:
        self.read = read


def _rewound(file: BinaryIO) -> BinaryIO:
    file.seek(0)
    return file
