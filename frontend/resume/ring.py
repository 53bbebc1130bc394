"""The newest bytes of an answer, by where in it they are."""

from __future__ import annotations

from collections import deque

# Pieces are put together to blocks of so many: no reader is given more at once, and none has to
# look through all the words of an answer for its next one.
BLOCK_BYTES = 64 << 10


class Ring:
    """Keeps at least the newest ``limit_bytes``, and less than a block more. Offsets count from
    the answer's beginning."""

    def __init__(self, limit_bytes: int, block_bytes: int = BLOCK_BYTES) -> None:
        self.limit_bytes = limit_bytes
        self._block_bytes = block_bytes
        self._blocks: deque[bytearray] = deque()
        self.begins_at = 0  # the offset of the first byte that is kept
        self.ends_at = 0

    @property
    def size_bytes(self) -> int:
        return self.ends_at - self.begins_at

    def add(self, piece: bytes) -> None:
        if not self._blocks or len(self._blocks[-1]) >= self._block_bytes:
            self._blocks.append(bytearray())
        self._blocks[-1] += piece
        self.ends_at += len(piece)
        while self.size_bytes - len(self._blocks[0]) >= self.limit_bytes:
            self.begins_at += len(self._blocks.popleft())

    def since(self, offset: int) -> bytes | None:
        """What is kept from there on, to the end of a block; None where a part of it is gone, or
        has never been."""
        if not self.begins_at <= offset <= self.ends_at:
            return None
        at = self.begins_at
        for block in self._blocks:
            if offset < at + len(block):
                return bytes(block[offset - at :])
            at += len(block)
        return b""
