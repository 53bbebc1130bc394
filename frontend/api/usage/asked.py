"""What is asked of usage: of which time, of whom, by what. A query has only texts."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict, Field

from frontend.api.fields import COUNT_OF_TEXT
from frontend.api.validate import Body
from frontend.usage.report import DAY_S, By, Question

USUAL_DAYS = 30
MOST_DAYS = 3650
# Of seconds since 1970: until the year 5138.
_MOST_DIGITS = 11
_BY: dict[str, By] = {"key": "key", "model": "model", "day": "day", "outcome": "outcome"}


def _moment(text: str) -> str:
    """Raises `ValueError` for what is no time."""
    seconds_of(text)
    return text


def _groups(text: str) -> str:
    if unknown := [word for word in text.split(",") if word not in _BY]:
        raise ValueError(f"must be of key, model, day, outcome, not {unknown[0]!r}")
    return text


_MOMENT: dict[str, Any] = {
    "anyOf": [{"pattern": f"^[0-9]{{1,{_MOST_DIGITS}}}$"}, {"format": "date"}]
}
_ONE = f"({'|'.join(_BY)})"
Moment = Annotated[str, AfterValidator(_moment), Field(max_length=32, json_schema_extra=_MOMENT)]
Groups = Annotated[
    str,
    AfterValidator(_groups),
    Field(max_length=64, json_schema_extra={"pattern": f"^{_ONE}(,{_ONE})*$"}),
]


class OwnUsageQuery(Body):
    """From the day or time ``since`` on and before ``until``, as 2026-11-27 or in seconds since
    1970; else of the last ``days``. ``by`` are what there is a row for each of, with commas."""

    since: Moment | None = None
    until: Moment | None = None
    days: Annotated[int, Field(ge=1, le=MOST_DAYS), COUNT_OF_TEXT] = USUAL_DAYS
    by: Groups = "day,model"

    def question(self, now_s: float, key: str | None) -> Question:
        """``days`` are whole days of UTC, today being the last."""
        until_s = seconds_of(self.until) if self.until else now_s + 1
        first_s = until_s // DAY_S * DAY_S - (self.days - 1) * DAY_S
        since_s = seconds_of(self.since) if self.since else first_s
        by = tuple(dict.fromkeys(_BY[word] for word in self.by.split(",")))
        return Question(since_s, until_s, by, key)


class UsageQuery(OwnUsageQuery):
    """The same of all keys, or of ``key`` alone; as a table with ``format=csv``. As
    all that operators ask, with no key that is unknown."""

    model_config = ConfigDict(extra="forbid")
    by: Groups = "day,key,model"
    key: Annotated[str, Field(max_length=64)] | None = None
    format: Literal["json", "csv"] = "json"


def seconds_of(text: str) -> float:
    """Seconds since 1970 of a day of UTC, or of a number of them. Raises `ValueError`."""
    try:
        if text.isascii() and text.isdecimal() and len(text) <= _MOST_DIGITS:
            return float(text)
        day = date.fromisoformat(text)
    except ValueError:
        raise ValueError("must be a day as 2026-11-27, or seconds since 1970") from None
    return datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()
