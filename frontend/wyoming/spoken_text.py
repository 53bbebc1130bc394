"""The text of one synthesis, which may be said while it is still being written."""

from __future__ import annotations

import asyncio

from frontend.wyoming.sentences import Sentences
from ipc.messages.errors import InvalidRequest

# The route takes so much at once.
PIECE_CHARS = 4096
# An hour of speech.
MAX_CHARS = 64 << 10


class SpokenText:
    """Whole sentences of what has come, as much at once as may be asked for. Sentences without a
    word wait for one that has some: nothing would be heard of them."""

    def __init__(self) -> None:
        self._sentences = Sentences()
        self._due = ""
        self._chars = 0
        self._ended = False
        self._came = asyncio.Event()

    @property
    def is_empty(self) -> bool:
        return not self._chars

    def add(self, text: str) -> None:
        """Raises `InvalidRequest` where it becomes too long."""
        self._chars += len(text)
        if self._chars > MAX_CHARS:
            raise InvalidRequest(f"a text to be spoken has at most {MAX_CHARS} characters")
        self._sentences.add(text)
        self._came.set()

    def end(self) -> None:
        """Nothing more comes."""
        self._ended = True
        self._came.set()

    async def next(self) -> str | None:
        """The next piece; None behind the last."""
        while True:
            self._came.clear()
            self._due += self._sentences.take()
            if self._ended:
                self._due += self._sentences.rest()
            if any(map(str.isalnum, self._due)):
                return self._piece()
            if self._ended:
                return None
            await self._came.wait()

    def _piece(self) -> str:
        """No more than may be asked for, cut between sentences, else between words."""
        if len(self._due) <= PIECE_CHARS:
            piece, self._due = self._due, ""
            return piece
        head = Sentences()
        head.add(self._due[:PIECE_CHARS])
        piece = head.take()
        if not any(map(str.isalnum, piece)):
            piece = self._due[:PIECE_CHARS]
        self._due = self._due[len(piece) :]
        return piece
