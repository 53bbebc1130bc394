"""What may be asked about a response that is kept. A query has only texts."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from frontend.api.fields import COUNT_OF_TEXT, NoNul
from frontend.api.known_keys import refused, refused_keys
from frontend.api.validate import Body

MAX_ID_CHARS = 256
MAX_LISTED = 100
USUALLY_LISTED = 20

Id = Annotated[str, StringConstraints(min_length=1, max_length=MAX_ID_CHARS), NoNul]


def is_id(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= MAX_ID_CHARS and "\x00" not in value


class ResponseQuery(Body):
    """What else may be included is there anyway."""

    REFUSED = refused_keys(
        (
            refused("stream", "a response is told once it has ended", "false"),
            refused("starting_after", "a response is told once it has ended"),
        )
    )


class ItemsQuery(Body):
    after: Id | None = None
    limit: Annotated[int, Field(ge=1, le=MAX_LISTED), COUNT_OF_TEXT] = USUALLY_LISTED
    order: Literal["asc", "desc"] = "desc"
