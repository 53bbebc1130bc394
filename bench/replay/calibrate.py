"""How many words make a prompt of so many tokens, which each model's tokenizer is asked for."""

from __future__ import annotations

from typing import Any

import httpx2
import orjson

from bench.replay.material import Words

_FEW, _MANY = 10, 210


class Tokenizers:
    """Two prompts of known length tell how long others must be: a prompt has some tokens of its
    template, and each word some."""

    def __init__(self) -> None:
        self._lines: dict[str, tuple[float, float]] = {}  # tokens of none, and of each word

    async def ask(self, client: httpx2.AsyncClient, models: set[str], words: Words) -> None:
        """Find out for all that can tell."""
        for model in models:
            few = await _tokens(client, model, words.take(_FEW))
            many = await _tokens(client, model, words.take(_MANY))
            if few is not None and many is not None and many > few:
                each = (many - few) / (_MANY - _FEW)
                self._lines[model] = (few - each * _FEW, each)

    def words_for(self, model: str, tokens: int) -> int | None:
        """None where the model has not told. A word is a token at least, whatever it tells."""
        if model not in self._lines:
            return None
        none, each = self._lines[model]
        return max(1, min(tokens, round((tokens - none) / each)))


async def _tokens(client: httpx2.AsyncClient, model: str, text: str) -> int | None:
    body: dict[str, Any] = {"model": model, "messages": [{"role": "user", "content": text}]}
    try:
        answer = await client.post("/tokenize", content=orjson.dumps(body), headers=_JSON)
        count = answer.json()["count"] if answer.status_code == 200 else None
    except (httpx2.HTTPError, ValueError, KeyError, TypeError):
        return None
    return count if isinstance(count, int) else None


_JSON = {"content-type": "application/json"}
