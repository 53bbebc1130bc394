"""From tokens to text that is safe to send: whole characters, and never part of a stop text."""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Sequence

from worker.chat.vocabulary import Vocabulary

_utf8 = codecs.getincrementaldecoder("utf-8")


class TextStream:
    """The text of one answer as its tokens arrive: the bytes of all, decoded as they come.

    Only a character that is not yet whole is held back, at most 3 bytes. Bytes that are no text
    become U+FFFD as they do where Python decodes the whole with ``replace``. Control tokens are no
    text, but for those whose texts are ``preserved``.
    """

    def __init__(self, vocabulary: Vocabulary, preserved: Iterable[str] = ()) -> None:
        self._bytes = vocabulary.text_bytes
        self._preserved = {vocabulary.control[text].id: text.encode() for text in preserved}
        self._decode = _utf8("replace").decode
        self._drops_space = vocabulary.drops_first_space

    def push(self, token: int) -> str:
        """Add ``token``; returns the text that can be sent now, often empty."""
        if token in self._preserved:
            return self._decode(self._preserved[token])
        data = self._bytes(token)
        if self._drops_space and data:
            self._drops_space = False
            data = data.removeprefix(b" ")
        return self._decode(data)

    def push_text(self, text: str) -> str:
        """The same where the library makes the text of tokens."""
        if self._drops_space and text:
            self._drops_space = False
            return text.removeprefix(" ")
        return text

    def finish(self) -> str:
        """What is left of a character once no more tokens will come."""
        return self._decode(b"", True)


class StopFilter:
    """Passes text through up to the first stop text, holding back what may be the start of one.

    ``found`` is that stop text once it has come.
    """

    def __init__(self, stop: Sequence[str]) -> None:
        self._stop = [text for text in stop if text]
        self._held = ""
        self.found: str | None = None

    def push(self, text: str) -> str:
        if self.found is not None:
            return ""
        if not self._stop:
            return text
        self._held += text
        hits = [(at, one) for one in self._stop if (at := self._held.find(one)) >= 0]
        if hits:
            at, self.found = min(hits)
            out, self._held = self._held[:at], ""
            return out
        cut = len(self._held) - overlap(self._held, self._stop)
        out, self._held = self._held[:cut], self._held[cut:]
        return out

    def finish(self) -> str:
        """What was held back turned out to be ordinary text."""
        out, self._held = self._held, ""
        return out


def overlap(text: str, texts: Sequence[str]) -> int:
    """The length of the longest end of ``text`` that begins one of ``texts`` and is not all of
    it."""
    longest = min(len(text), max(map(len, texts), default=1) - 1)
    for length in range(longest, 0, -1):
        end = text[-length:]
        if any(len(one) > length and one.startswith(end) for one in texts):
            return length
    return 0
