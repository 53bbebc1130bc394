"""Rankings, described for ``/openapi.json``; they are rendered without these."""

from __future__ import annotations

from pydantic import BaseModel

from frontend.api.answer import Answer, PromptUsage


class RankedText(Answer):
    text: str


class Ranked(BaseModel):
    """``document`` is there where ``return_documents`` asked for it."""

    index: int
    relevance_score: float
    document: RankedText | None = None


class BilledUnits(Answer):
    search_units: int


class RankingMeta(Answer):
    """Cohere's clients look here for what others find in ``usage``."""

    billed_units: BilledUnits


class Ranking(Answer):
    id: str
    model: str
    results: list[Ranked]
    usage: PromptUsage
    meta: RankingMeta


class RankedByTei(BaseModel):
    """``text`` is there where ``return_text`` asked for it."""

    index: int
    score: float
    text: str | None = None
