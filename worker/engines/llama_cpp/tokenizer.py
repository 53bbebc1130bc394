"""llama.cpp's own tokenizer, which its server has behind HTTP only."""

from __future__ import annotations

import http
from collections.abc import Sequence

import msgspec

from worker.engines.llama_cpp.private_socket import PrivateSocket

# No token has it; what the server is given in place of a text it gives back.
_BETWEEN = -1


class _Tokens(msgspec.Struct):
    tokens: list[int]


class ServerTokenizer:
    """Encodes texts, in none of which it looks for control tokens; a call takes all of them."""

    def __init__(self, place: PrivateSocket) -> None:
        self._place = place

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """The tokens of each text. Raises `OSError` or `RuntimeError`."""
        if not texts:
            return []
        content: list[str | int] = []
        for text in texts:
            content += [text, _BETWEEN]
        rows: list[list[int]] = [[]]
        for token in self._tokens(content):
            if token == _BETWEEN:
                rows.append([])
            else:
                rows[-1].append(token)
        return rows[:-1]

    def _tokens(self, content: list[str | int]) -> list[int]:
        asked = {"content": content, "add_special": False, "parse_special": False}
        status, body = self._place.ask("/tokenize", asked)
        if status != http.HTTPStatus.OK:
            raise RuntimeError(f"llama.cpp's tokenizer answers with status {status}")
        return msgspec.json.decode(body, type=_Tokens).tokens
