"""What is told of usage, described for ``/openapi.json``; rendered without these."""

from __future__ import annotations

from frontend.api.answer import Answer


class UsageRow(Answer):
    """What was asked for ``by`` is there; null is of whoever has no key."""

    day: str | None = None
    key: str | None = None
    model: str | None = None
    outcome: str | None = None
    requests: int
    failed: int
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    audio_s: float
    texts: int
    work_s: float


class UsageAnswer(Answer):
    since: float
    until: float
    by: list[str]
    rows: list[UsageRow]


class LimitLeft(Answer):
    limit: int
    remaining: int
    reset_s: float


class OwnUsage(UsageAnswer):
    """``left`` is what is left now of each limit of the key."""

    key: str | None
    models: list[str]
    left: dict[str, LimitLeft | None]
