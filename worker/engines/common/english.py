"""How English is read aloud, for every model that says the phonemes of Kokoro: hibari's rules."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from hibari import Hibari
from hibari.g2p import ASSETS, G2P

from ipc.messages.errors import InvalidRequest
from worker.speaking.scripts import without_others

# Marks that are heard as a pause at most.
_SILENT = frozenset(';:,.!?—…"()“” ')
# The rules have no name for a number of more than 36 digits, and nobody says one of half as many.
_LONG_NUMBER = re.compile(r"\d[\d,]{14,}\d")


def vocabulary() -> dict[str, int]:
    """Kokoro's number of each phoneme and mark that the rules may write."""
    found: dict[str, int] = json.loads((Path(ASSETS) / "vocab.json").read_text("utf-8"))
    return found


def readable(text: str) -> tuple[str, int]:
    """The rules spell Cyrillic and Greek as if they were Latin, and leave out all others."""
    return without_others(text, "LATIN")


def sentences(paragraph: str) -> Sequence[str]:
    found: list[str] = Hibari.split_sentences(paragraph)
    return found


class English:
    """American or British English as phonemes, in pieces of at most ``max_phonemes``."""

    def __init__(self, *, british: bool, max_phonemes: int) -> None:
        self._rules = G2P(british=british)
        self._max_phonemes = max_phonemes
        self._heard = vocabulary().keys() - _SILENT

    def phonemes(self, text: str) -> Sequence[str]:
        """The pieces that are heard. Raises `InvalidRequest` where the rules fail."""
        text = _LONG_NUMBER.sub(lambda number: " ".join(re.findall(r"\d", number[0])), text)
        try:
            read: str = self._rules(text)
        except Exception as error:  # its rules are a thousand lines for all that may be written
            raise InvalidRequest(
                "`input` has a part that this model cannot read: something that is neither words "
                "nor usual numbers; leave it out, or write it in words",
                param="input",
            ) from error
        return [piece for piece in self._pieces(read) if self._heard & set(piece)]

    def _pieces(self, phonemes: str) -> Iterator[str]:
        """``phonemes`` in as few pieces as they can be said in, cut between words."""
        while len(phonemes) > self._max_phonemes:
            end = phonemes.rfind(" ", 1, self._max_phonemes) + 1 or self._max_phonemes
            yield phonemes[:end]
            phonemes = phonemes[end:]
        yield phonemes
