"""Which letters of a text belong to a script."""

from __future__ import annotations

import unicodedata


def without_others(text: str, script: str) -> tuple[str, int]:
    """``text`` without letters that are not of ``script``, named as Unicode does (LATIN), and how
    many they were. Accents are put together with their letters first."""
    text = unicodedata.normalize("NFC", text)
    kept = "".join(
        character if character.isascii() or _is_of(character, script) else " " for character in text
    )
    return kept, sum(before != after for before, after in zip(text, kept, strict=True))


def _is_of(character: str, script: str) -> bool:
    """Also of what is no letter: signs, digits and pictures are everybody's, and so are accents."""
    if unicodedata.category(character)[0] not in "LM":
        return True
    name = unicodedata.name(character, "").split()
    return script in name or name[:1] == ["COMBINING"] or name[:1] == ["VARIATION"]
