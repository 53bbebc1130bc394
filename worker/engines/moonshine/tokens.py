"""What Moonshine's tokens mean."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from tokenizers import Tokenizer

from worker.engine import LoadError

# What a word begins with, as SentencePiece writes a space.
_SPACE = "\u2581"
START, END = 1, 2
_CONTROL = 3  # the first that is text


class Texts:
    """The bytes of each token: those of a character may be spread over several."""

    def __init__(self, file: Path) -> None:
        """Raises `LoadError`."""
        try:
            read = _packed if file.suffix == ".bin" else _listed
            self._bytes = read(file)
        except Exception as error:  # tokenizers raises nothing more special
            raise LoadError(f"{file} is damaged: {error}; pull the model again") from error

    def __len__(self) -> int:
        return len(self._bytes)

    def join(self, tokens: Sequence[int]) -> str:
        """The text of ``tokens``, with a space before its first word."""
        whole = b"".join(self._bytes[token] for token in tokens if token >= _CONTROL)
        text = whole.decode("utf-8", "replace").replace(_SPACE, " ").strip()
        return f" {text}" if text else ""


def _packed(file: Path) -> list[bytes]:
    """moonshine-voice's ``tokenizer.bin``: the bytes of each token behind their count, which takes
    a second byte from 128 on; 0 stands for a token that is none."""
    return list(_entries(file.read_bytes()))


def _entries(data: bytes) -> Iterator[bytes]:
    at = 0
    while at < len(data):
        size, at = data[at], at + 1
        if size >= 128:
            size, at = data[at] * 128 + size - 128, at + 1
        if at + size > len(data):
            raise ValueError("it ends in the middle of a token")
        yield data[at : at + size]
        at += size


def _listed(file: Path) -> list[bytes]:
    """``tokenizer.json``: bytes that are no text of their own stand as ``<0x0A>``."""
    known = Tokenizer.from_file(str(file))
    ids = known.get_vocab(with_added_tokens=True)
    texts = {number: text for text, number in ids.items()}
    return [_unescaped(texts.get(number, "")) for number in range(max(texts) + 1)]


def _unescaped(text: str) -> bytes:
    if len(text) == 6 and text.startswith("<0x"):
        return bytes([int(text[3:5], 16)])
    return text.encode()
