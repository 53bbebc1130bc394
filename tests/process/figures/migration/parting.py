"""Where two greedy answers to one question part, and how near a tie the two tokens there are."""

from __future__ import annotations

from itertools import accumulate
from typing import Any, NamedTuple

from tests.process.box import CHAT, Box
from tests.process.figures.migration.streams import QUESTION, Answer

_LIKELIEST = 20


class Parting(NamedTuple):
    """The first piece in which an answer is another: ``at`` counts its characters before that.
    ``apart`` is by how much the two pieces differ in log probability where the model is asked for
    what follows the text before them; where its engine tells no likely tokens, as each answer has
    its own. None where one of them is not among the likeliest, or the API tells nothing."""

    at: int
    mine: str
    others: str
    apart: float | None


def parting(box: Box, mine: Answer, others: Answer) -> Parting:
    """Of two answers whose texts differ."""
    at = _common(mine, others)
    rests = mine.text[at:], others.text[at:]
    likely = _likely(box, mine.text[:at])
    if likely is None:
        return Parting(at, rests[0][:12], rests[1][:12], _by_their_own(mine, others))
    known = [_of(likely, rest) for rest in rests]
    values = [likely[token] for token in known if token is not None]
    apart = abs(values[0] - values[1]) if len(values) == len(known) else None
    first, second = (token or rest[:12] for token, rest in zip(known, rests, strict=True))
    return Parting(at, first, second, apart)


def _by_their_own(mine: Answer, others: Answer) -> float | None:
    pairs = zip(mine.tokens, others.tokens, strict=False)
    return next((abs(one[1] - other[1]) for one, other in pairs if one[0] != other[0]), None)


def _common(mine: Answer, others: Answer) -> int:
    """The characters before the first piece that differs."""
    bounds = {0, *accumulate(map(len, mine.texts))} & {0, *accumulate(map(len, others.texts))}
    return max(at for at in bounds if mine.text[:at] == others.text[:at])


def _likely(box: Box, before: str) -> dict[str, float] | None:
    """The log probabilities of the likeliest tokens behind an answer that begins so; None where the
    engine tells none."""
    turns = [{"role": "user", "content": QUESTION}]
    asked: dict[str, Any] = {"model": CHAT, "temperature": 0, "max_tokens": 1, "messages": turns}
    asked |= {"logprobs": True, "top_logprobs": _LIKELIEST}
    if before:
        turns.append({"role": "assistant", "content": before})
        asked |= {"continue_final_message": True, "add_generation_prompt": False}
    answer = box.client.post("/v1/chat/completions", json=asked, timeout=60)
    if answer.status_code != 200:
        return None
    (first, *_) = answer.json()["choices"][0]["logprobs"]["content"]
    return {one["token"]: one["logprob"] for one in first["top_logprobs"]}


def _of(likely: dict[str, float], rest: str) -> str | None:
    """The one of these tokens that ``rest`` begins with, the longest of them."""
    found = [token for token in likely if token and rest.startswith(token)]
    return max(found, key=len, default=None)
