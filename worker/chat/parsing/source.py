"""The text of an answer as it comes, read by generators that yield where they need more of it.

Whatever is read here is found alike however the text was cut into pieces: nothing is decided while
what stands at the end may still become something else.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import TypeVar

from worker.chat.text import overlap

T = TypeVar("T")

# Reading that needs more text at each yield, and comes to a ``T``.
Steps = Generator[None, None, T]


class Malformed(Exception):
    """What is read is not what it began to be."""


class Truncated(Exception):
    """The answer has ended in the middle of what is read."""


class Source:
    """``text`` is what is still needed of the answer, ``at`` how far it has been read. Once it has
    ``ended`` nothing more will come."""

    def __init__(self, text: str = "") -> None:
        self.text = text
        self.at = 0
        self.ended = False
        self._held: int | None = None  # text from here on is needed, though it has been read

    def push(self, text: str) -> None:
        gone = self.at if self._held is None else 0
        self.text = self.text[gone:] + text
        self.at -= gone

    def hold(self) -> None:
        """Remember this place, for `back` and `since`. Until `release` no place in the text
        changes its number."""
        self._held = self.at

    def release(self) -> None:
        self._held = None

    def back(self) -> None:
        """Return to the place that was held."""
        self.at = self.at if self._held is None else self._held

    def since(self) -> str:
        """All that is known of the text from the held place on."""
        return self.text[self._held or 0 :]

    def more(self) -> Steps[None]:
        """Wait for text. Raises `Truncated` where none will come."""
        if self.ended:
            raise Truncated
        yield

    def char(self) -> Steps[str]:
        """The next character, which is not taken."""
        while self.at >= len(self.text):
            yield from self.more()
        return self.text[self.at]

    def spaces(self) -> Steps[None]:
        """Take whitespace, up to a character that is none."""
        while (yield from self.char()).isspace():
            self.at += 1

    def ahead(self, *texts: str) -> Steps[str | None]:
        """Which of ``texts`` stands here, the longest that does; it is not taken. Raises
        `Truncated` where the answer ends in one of them."""
        while True:
            rest = self.text[self.at :]
            may = any(len(one) > len(rest) and one.startswith(rest) for one in texts)
            if not may or self.ended:
                found = max((one for one in texts if rest.startswith(one)), key=len, default=None)
                if may and rest and not found:
                    raise Truncated
                return found
            yield

    def takes(self, *texts: str) -> Steps[str | None]:
        """As `ahead`, and it is taken."""
        found = yield from self.ahead(*texts)
        self.at += len(found or "")
        return found

    def expect(self, *texts: str) -> Steps[str]:
        """As `takes`. Raises `Malformed` where none of ``texts`` stands here."""
        yield from self.char()
        found = yield from self.takes(*texts)
        if found is None:
            raise Malformed
        return found

    def comes(self, text: str) -> Steps[bool]:
        """Whether ``text`` stands here after whitespace, which is taken then, as it is not else."""
        before = self.at
        try:
            yield from self.spaces()
            if (yield from self.ahead(text)) is not None:
                return True
        except Truncated:
            pass
        self.at = before
        return False

    def closing(self, *texts: str) -> Steps[None]:
        """Take one of ``texts`` after whitespace. Where none stands nothing is taken, where the
        answer ends in one all is."""
        before = self.at
        try:
            yield from self.spaces()
            if (yield from self.takes(*texts)) is None:
                self.at = before
        except Truncated:
            self.at = len(self.text)

    def find(self, texts: Sequence[str]) -> tuple[int, str | None]:
        """Where the first of ``texts`` begins from here on, and which it is. None: nothing is
        known to begin before that place, which is where one may begin, or the end."""
        ends = len(self.text)
        pending = ends if self.ended else ends - overlap(self.text[self.at :], texts)
        found = [(at, -len(one), one) for one in texts if (at := self.text.find(one, self.at)) >= 0]
        if not found or pending <= min(found)[0]:
            return pending, None
        at, _, one = min(found)
        return at, one

    def upto(self, *texts: str) -> Steps[tuple[str, str]]:
        """Take the text before the first of ``texts``, and that one."""
        while True:
            at, found = self.find(texts)
            if found is not None:
                before, self.at = self.text[self.at : at], at + len(found)
                return before, found
            yield from self.more()
