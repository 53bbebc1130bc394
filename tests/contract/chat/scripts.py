"""Texts in every way that people write: each script of Unicode, emoji, flags, signs."""

# ruff: noqa: RUF001 (characters that look like others are what this is about)

from __future__ import annotations

import sys
import unicodedata
from collections import defaultdict

_LETTERS = 12
_LEAST_LETTERS = 4
_NOT_SCRIPTS = {"MODIFIER", "CIRCLED", "PARENTHESIZED", "DOUBLE-STRUCK", "SCRIPT", "TAG"}

EMOJI = [
    "🎉🎉🎉",
    "👩\u200d👩\u200d👧\u200d👦 family",
    "👩🏽\u200d🚀 astronaut",
    "🏳\ufe0f\u200d🌈🏴\u200d☠\ufe0f",
    "🇩🇪🇯🇵🇧🇷 flags",
    "🏴\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f Scotland",
    "1\ufe0f⃣2\ufe0f⃣#\ufe0f⃣",
    "❤\ufe0f\u200d🔥",
]
SIGNS = [
    "√2 ∞ ≈ ∑∫∂ ≠ ℝ",
    "e\u0301 = é, n\u0303 = ñ",
    "zażółć gęślą jaźń",
    "שָׁלוֹם עולם",
    "𝔘𝔫𝔦𝔠𝔬𝔡𝔢 𝟙𝟚𝟛",
    "a\tb\r\nc\u2028d\u00a0e\u3000f",
    "\ufeff\u200b\u202ertl\u202c",
]


def scripts() -> dict[str, str]:
    """A text of some letters for each script that has more than a few, by its name. A script is
    what the names of its characters begin with: Python does not know the property itself."""
    letters: defaultdict[str, list[str]] = defaultdict(list)
    for code in range(sys.maxunicode + 1):
        character = chr(code)
        if unicodedata.category(character)[0] in "LM":
            name = unicodedata.name(character, "").split(" ")
            if len(letters[name[0]]) < 4 * _LETTERS or not code % 97:
                letters[name[0]].append(character)
    return {
        name: "".join(found[:: max(1, len(found) // _LETTERS)])
        for name, found in letters.items()
        if name and name not in _NOT_SCRIPTS and len(found) >= _LEAST_LETTERS
    }


def texts() -> list[str]:
    return [*scripts().values(), *EMOJI, *SIGNS]
