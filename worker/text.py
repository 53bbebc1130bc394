"""From token ids to text that is safe to send: whole characters, and never part of a stop text."""

from __future__ import annotations

from collections.abc import Callable, Sequence

Decode = Callable[[list[int]], str]

_INCOMPLETE = "\N{REPLACEMENT CHARACTER}"
# A single character spans at most 4 bytes, so byte-level tokens settle within 4; a model that
# really writes U+FFFD is not held back for longer than this.
_MAX_HELD_TOKENS = 8


class Words:
    """The texts of single tokens, each asked of ``decode`` once: a call of a library may cost a
    small model a hundredth of a token's time.

    They hold wherever a token stands if the tokenizer strings its tokens together, as byte-level
    ones do. Others begin a text without its first space, say. ``sample``, the tokens of a text
    with spaces and punctuation, tells which this is.
    """

    def __init__(self, decode: Decode, sample: Sequence[int]) -> None:
        self._decode = decode
        self._texts: dict[int, str] = {}  # at most the vocabulary
        self._strung = decode(list(sample)) == "".join(map(self._text, sample))

    def get(self, token: int) -> str | None:
        """The token's text, or None where that depends on the tokens around it."""
        if not self._strung:
            return None
        text = self._text(token)
        return None if _INCOMPLETE in text else text

    def _text(self, token: int) -> str:
        text = self._texts.get(token)
        if text is None:
            text = self._texts[token] = self._decode([token])
        return text


class TextStream:
    """The text of one answer as its tokens arrive.

    Decoding works on a sliding window (as in vLLM and TGI): a token's text may depend on the one
    before it, never on all of them, so each push costs the same however long the answer is. Where
    ``words`` has a token's text, nothing is decoded at all.
    """

    def __init__(
        self, decode: Decode, stop: Sequence[str] = (), words: Words | None = None
    ) -> None:
        self._decode = decode
        self._words = words
        self._stop = StopFilter(stop)
        self._tokens: list[int] = []
        self._start = 0  # the window's first token
        self._sent = 0  # tokens whose text has been handed out

    @property
    def stopped(self) -> bool:
        """A stop text has been found; nothing after it will come out."""
        return self._stop.found

    def push(self, tokens: Sequence[int]) -> str:
        """Add ``tokens``; returns the text that can be sent now, often empty."""
        text = ""
        for token in tokens:
            held = self._sent < len(self._tokens)
            self._tokens.append(token)
            word = self._words.get(token) if self._words and not held else None
            text += self._settled(final=False) if word is None else self._advance(word)
        return self._stop.push(text)

    def finish(self) -> str:
        """The text still held back, once no more tokens will come."""
        return self._stop.push(self._settled(final=True)) + self._stop.finish()

    def _settled(self, *, final: bool) -> str:
        before = self._decode(self._tokens[self._start : self._sent])
        after = self._decode(self._tokens[self._start :])
        held = len(self._tokens) - self._sent
        if after.endswith(_INCOMPLETE) and not final and held < _MAX_HELD_TOKENS:
            return ""
        return self._advance(after[len(before) :])

    def _advance(self, text: str) -> str:
        """Move the window on: ``text`` is that of all tokens not yet handed out."""
        self._start, self._sent = self._sent, len(self._tokens)
        return text


class StopFilter:
    """Passes text through up to the first stop text, holding back what may be the start of one."""

    def __init__(self, stop: Sequence[str]) -> None:
        self._stop = [text for text in stop if text]
        self._held = ""
        self.found = False

    def push(self, text: str) -> str:
        if self.found:
            return ""
        if not self._stop:
            return text
        self._held += text
        hits = [at for at in map(self._held.find, self._stop) if at >= 0]
        if hits:
            self.found = True
            out, self._held = self._held[: min(hits)], ""
            return out
        keep = max(_overlap(self._held, stop) for stop in self._stop)
        cut = len(self._held) - keep
        out, self._held = self._held[:cut], self._held[cut:]
        return out

    def finish(self) -> str:
        """What was held back turned out to be ordinary text."""
        out, self._held = self._held, ""
        return out


def _overlap(text: str, stop: str) -> int:
    """The length of the longest end of ``text`` that begins ``stop``."""
    longest = min(len(text), len(stop) - 1)
    return next((n for n in range(longest, 0, -1) if stop.startswith(text[-n:])), 0)
