"""The one thing that knows a chat model's tokens: their bytes, and which of them control it."""

from __future__ import annotations

import re
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from worker.chat.fill import TEXTS as FILL_TEXTS

# The tokens of each of some texts.
Encode = Callable[[Sequence[str]], list[list[int]]]

METASPACE = "\N{LOWER ONE EIGHTH BLOCK}"
_BYTE_TOKEN = re.compile(r"<0x([0-9A-Fa-f]{2})>")
# How control tokens look that their vocabulary may not mark as such, DeepSeek's for turns among
# them. As in `does_token_look_special` of llama.cpp's conversion.
_WIDE = "\N{FULLWIDTH VERTICAL LINE}"
_LOOKS_CONTROLLING = re.compile(
    rf"<\|.*\|>|<{_WIDE}.*{_WIDE}>|\[\|.*\|\]|<(start|end)_of_turn>", re.DOTALL
)


class Control(NamedTuple):
    """A control token. ``lstrip`` and ``rstrip`` say that it takes the whitespace beside it."""

    id: int
    lstrip: bool = False
    rstrip: bool = False


class Vocabulary:
    """The tokens of a model by their ids, from 0 on.

    ``pieces`` has the raw bytes of each token; those of control tokens are no text, and are left
    out. ``control`` has the control tokens by their texts. ``encode`` makes tokens of texts that
    are nothing but text. ``drops_first_space`` says that the first space of a text belongs to the
    tokenizer, ``opening`` what it puts before a prompt that begins with text, ``begins`` the
    control tokens that it puts before one without a template. ``named`` are the texts of the tokens
    that templates ask for, such as ``bos_token``.
    """

    def __init__(
        self,
        pieces: Iterable[bytes],
        control: Mapping[str, Control],
        encode: Encode,
        *,
        drops_first_space: bool = False,
        named: Mapping[str, str] | None = None,
        opening: str = "",
        begins: Sequence[int] = (),
    ) -> None:
        self.control = dict(control)
        self.begins = tuple(begins)
        self.drops_first_space = drops_first_space
        self.named = dict(named or {})
        self.opening = opening
        self._encode = encode
        self._names = {token.id: text for text, token in self.control.items()}
        silent = {token.id for token in self.control.values()}
        # Characters that a vocabulary without bytes lacks are an unknown token by right.
        unknown = self.control.get(self.named.get("unk_token", ""))
        self._forbidden = silent - ({unknown.id} if unknown else set())
        # All bytes in one piece: a quarter million objects of their own would take ten times that.
        bounds, data = array("I", [0]), bytearray()
        self._of_bytes: dict[int, int] = {}
        for at, piece in enumerate(pieces):
            if at not in silent:
                data += piece
                if len(piece) == 1:
                    self._of_bytes[piece[0]] = at
            bounds.append(len(data))
        self._bounds, self._data = bounds, bytes(data)

    def __len__(self) -> int:
        return len(self._bounds) - 1

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """The tokens of each text, none of which is a control token, whatever it contains."""
        return [
            tokens if self._forbidden.isdisjoint(tokens) else self._broken(text)
            for text, tokens in zip(texts, self._encode(texts), strict=True)
        ]

    def _broken(self, text: str) -> list[int]:
        """For a text in which the tokenizer finds control tokens, as words of its own: the first
        character of each stands apart, or else every character. No control token is a single
        one."""
        tokens = self._joined(self._cut(text))
        return tokens if self._forbidden.isdisjoint(tokens) else self._joined([*text])

    def _cut(self, text: str) -> list[str]:
        finder = ControlFinder(self.control)
        parts: list[str] = []
        at = 0
        while (start := finder.first(text, at)) is not None:
            parts += [text[at:start], text[start]]
            at = start + 1
        return [part for part in [*parts, text[at:]] if part]

    def _joined(self, parts: Sequence[str]) -> list[int]:
        """The tokens of each of ``parts``: for a character the tokens of its bytes, if there are
        such, since some tokenizers put a space before it."""
        spelled = [self._spelled(part) for part in parts]
        unspelled = [part for part, ids in zip(parts, spelled, strict=True) if ids is None]
        encoded = iter(self._encode(unspelled))
        return [token for ids in spelled for token in (next(encoded) if ids is None else ids)]

    def _spelled(self, part: str) -> list[int] | None:
        return (self.by_bytes(part) or None) if len(part) == 1 else None

    def by_bytes(self, text: str) -> list[int]:
        """A token for each byte of ``text``; none at all where one of them has no token."""
        data = text.encode()
        known = all(byte in self._of_bytes for byte in data)
        return [self._of_bytes[byte] for byte in data] if known else []

    def text(self, tokens: Sequence[int]) -> str:
        """What ``tokens`` are as a text, less the control tokens."""
        data = b"".join(map(self.text_bytes, tokens))
        if self.drops_first_space:
            data = data.removeprefix(b" ")
        return data.decode(errors="replace")

    def spelled(self, tokens: Iterable[int]) -> str:
        """What ``tokens`` are as a text, control tokens by their names."""
        data = (self.text_bytes(one) or (self.name(one) or "").encode() for one in tokens)
        return b"".join(data).decode(errors="replace")

    def name(self, token: int) -> str | None:
        """The text of a control token."""
        return self._names.get(token)

    def text_bytes(self, token: int) -> bytes:
        """What ``token`` adds to an answer: nothing for a control token, or for one that pads the
        model's matrix."""
        if token >= len(self._bounds) - 1:
            return b""
        return self._data[self._bounds[token] : self._bounds[token + 1]]


class ControlFinder:
    """Finds control tokens in texts, the leftmost and then the longest first.

    By looking up what stands at each possible first character: vocabularies have up to thousands
    of them, and a pattern of so many alternatives would try each at every ``<`` of a web page.
    """

    def __init__(self, texts: Iterable[str]) -> None:
        self._texts = {text for text in texts if text}
        self._lengths: dict[str, list[int]] = {}
        for first in {text[0] for text in self._texts}:
            lengths = {len(text) for text in self._texts if text[0] == first}
            self._lengths[first] = sorted(lengths, reverse=True)
        firsts = "".join(map(re.escape, self._lengths))
        self._first = re.compile(f"[{firsts}]" if firsts else "(?!)")

    def first(self, text: str, at: int) -> int | None:
        """Where the first control token in ``text`` from ``at`` on begins."""
        return next((start for start, _ in self.spans(text, at)), None)

    def spans(self, text: str, at: int = 0) -> Iterator[tuple[int, int]]:
        """Where each control token in ``text`` from ``at`` on begins and ends."""
        while found := self._first.search(text, at):
            start = found.start()
            lengths = self._lengths[found.group()]
            fitting = (n for n in lengths if text[start : start + n] in self._texts)
            length = next(fitting, 0)
            if length:
                yield start, start + length
            at = start + (length or 1)


def looks_controlling(text: str) -> bool:
    """Whether an added token of this text marks turns or gaps, though it may not be marked as
    special."""
    return _LOOKS_CONTROLLING.fullmatch(text) is not None or text in FILL_TEXTS


def _alphabet() -> dict[int, int]:
    """The characters in which byte-level tokenizers spell bytes, as GPT-2's encoder.py has them:
    printable ones spell themselves, the others are spelled by characters from 256 on, in order."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    return dict(zip(printable, printable, strict=True)) | {
        256 + at: byte for at, byte in enumerate(others)
    }


_ALPHABET = {chr(spelled): byte for spelled, byte in _alphabet().items()}


def byte_level(token: str) -> bytes:
    """The bytes of a token of a byte-level vocabulary; an added one is spelled as it is."""
    try:
        return bytes([_ALPHABET[character] for character in token])
    except KeyError:
        return token.encode("utf-8", "replace")


def metaspace(token: str) -> bytes:
    """The bytes of a token of SentencePiece's kind: ``▁`` is a space, ``<0x0A>`` a byte."""
    byte = _BYTE_TOKEN.fullmatch(token)
    if byte is not None:
        return bytes([int(byte.group(1), 16)])
    return token.replace(METASPACE, " ").encode("utf-8", "replace")
