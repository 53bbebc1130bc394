"""How many values a JSON text has, found without making them.

Each value but the first of all stands behind a comma, a colon or an opening bracket, so these bytes
outside of strings bound their number, whether the text is valid JSON or not. Ten megabytes of
``[],`` are three million lists, 200 MB and a second of the loop; the largest honest request has a
hundredth of that.
"""

from __future__ import annotations

_OTHERS = bytes(set(range(256)) - set(b",:[{"))


def loose_count(piece: bytes) -> int:
    """At most so many values begin in ``piece``: those inside strings are counted, too."""
    return len(piece.translate(None, _OTHERS))


class ValueCounter:
    """Counts what stands outside of strings, piece by piece."""

    def __init__(self) -> None:
        self.count = 0
        self._in_string = False
        self._rest = b""  # a backslash whose escaped character is in the next piece

    def feed(self, piece: bytes) -> None:
        plain = (self._rest + piece).replace(b"\\\\", b"").replace(b'\\"', b"")
        self._rest = b"\\" if plain.endswith(b"\\") else b""
        parts = plain.split(b'"')
        self.count += loose_count(b"".join(parts[self._in_string :: 2]))
        self._in_string ^= len(parts) % 2 == 0
