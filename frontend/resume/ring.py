"""The newest bytes of an answer, by where in it they are."""

from __future__ import annotations

from collections import deque


class Ring:
    """Keeps ``limit_bytes`` at most. Offsets count from the answer's beginning."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._pieces: deque[bytes] = deque()
        self.begins_at = 0  # the offset of the first byte that is kept
        self.ends_at = 0

    @property
    def size_bytes(self) -> int:
        return self.ends_at - self.begins_at

    def add(self, piece: bytes) -> None:
        self._pieces.append(piece)
        self.ends_at += len(piece)
        while self.size_bytes > self._limit_bytes:
            self.begins_at += len(self._pieces.popleft())

    def since(self, offset: int) -> bytes | None:
        """What is kept from there on; None where a part of it is gone, or has never been."""
        if not self.begins_at <= offset <= self.ends_at:
            return None
        found, at = [], self.begins_at
        for piece in self._pieces:
            if at + len(piece) > offset:
                found.append(piece[max(0, offset - at) :])
            at += len(piece)
        return b"".join(found)
