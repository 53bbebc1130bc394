"""What operators may ask. A query has only texts."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Field, StringConstraints

from frontend.api.fields import COUNT_OF_TEXT, MAX_INT32, NUMBER_OF_TEXT, WHOLE
from frontend.api.validate import Exact
from ipc.messages.keys import (
    MODEL_PATTERN,
    MOST_MODELS,
    MOST_OF_A_LIMIT,
    MOST_PRIORITY,
    MOST_WEIGHT,
    WEIGHT_DECIMALS,
    Role,
)

MOST_LINES = 1000
USUAL_LINES = 200
_MOST_ROWS = 1 << 53
_MOST_S = 10**12
LONGEST_KEEP_S = 10 * 365 * 86_400


Flag = Literal["true", "false", "1", "0"]
# In seconds since 1970.
Time = Annotated[float, Field(ge=0, le=_MOST_S), NUMBER_OF_TEXT]
# The number of an event, or of a line; 0 is before the first.
Place = Annotated[int, Field(ge=0, le=MAX_INT32), COUNT_OF_TEXT]


class LoadRequest(Exact):
    """With ``wait`` the answer comes once the model is ready. ``keep_alive_s`` is how long it stays
    without work until it next leaves, in place of its own setting; -1 for ever."""

    EXAMPLE: ClassVar[Any] = {"wait": True, "keep_alive_s": 600}
    wait: bool = False
    pin: bool | None = None
    keep_alive_s: Annotated[float, Field(ge=-1, le=LONGEST_KEEP_S)] | None = None


class DrainRequest(Exact):
    """With ``end`` the server ends once it has finished what it has in hand. Without, it stays, and
    its models take nothing new until they are resumed."""

    EXAMPLE: ClassVar[Any] = {"end": False}
    end: bool = True


class UpdateRequest(Exact):
    """``allow_downtime``: a model without room for its old and its new workers may be away while
    the new ones load; else it is left as it is."""

    EXAMPLE: ClassVar[Any] = {"allow_downtime": False}
    allow_downtime: bool = False


class ReloadRequest(UpdateRequest):
    """A ``dry_run`` only tells what would change."""

    EXAMPLE: ClassVar[Any] = {"dry_run": True}
    dry_run: bool = False


class UnloadRequest(Exact):
    """With ``force`` a model that has work leaves too, once it has finished what it has in hand."""

    EXAMPLE: ClassVar[Any] = {"force": False}
    force: bool = False


_Word = StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:@/+-]*$", max_length=512)


class PullRequest(Exact):
    """``source`` is a model of the catalog, or a place on the hub, hf:<publisher>/<repository>, of
    which ``variant`` is a precision or a file. There it is called ``name``, or like its repository.
    With ``serve`` it joins this server once it is here; ``force`` fetches what is too large."""

    EXAMPLE: ClassVar[Any] = {"source": "hf:unsloth/Qwen3-0.6B-GGUF", "variant": "Q4_K_M"}
    source: Annotated[str, _Word]
    name: Annotated[str, _Word] | None = None
    variant: Annotated[str, _Word] | None = None
    serve: bool = True
    force: bool = False

    @property
    def place(self) -> str:
        """The source with its variant."""
        return f"{self.source}:{self.variant}" if self.variant else self.source


_Limit = Annotated[int, Field(ge=0, le=MOST_OF_A_LIMIT), WHOLE]
_ModelName = Annotated[str, StringConstraints(pattern=MODEL_PATTERN)]


def _weight(value: float) -> float:
    """As exact as a line of the file of keys has it."""
    return round(value, WEIGHT_DECIMALS)


class KeyRequest(Exact):
    """What a key may do and have; what is left out is as it was, or as it usually is. A limit of 0
    is none, and without ``models`` it may use all."""

    EXAMPLE: ClassVar[Any] = {"requests_per_min": 60, "models": ["qwen"]}
    role: Role | None = None
    weight: Annotated[float, Field(ge=0.001, le=MOST_WEIGHT), AfterValidator(_weight)] | None = None
    priority: Annotated[int, Field(ge=-MOST_PRIORITY, le=MOST_PRIORITY), WHOLE] | None = None
    requests_per_min: _Limit | None = None
    tokens_per_min: _Limit | None = None
    tokens_per_day: _Limit | None = None
    concurrent: _Limit | None = None
    models: Annotated[list[_ModelName], Field(max_length=MOST_MODELS)] | None = None


class KeyUpdate(KeyRequest):
    """With ``new_secret`` it gets another one, and the one before is not let in any more."""

    EXAMPLE: ClassVar[Any] = {"new_secret": True}
    new_secret: bool = False


class PullsQuery(Exact):
    """With ``estimate`` nothing is fetched; what it would take is told."""

    estimate: Flag = "false"

    @property
    def estimates(self) -> bool:
        return self.estimate in ("true", "1")


class EventsQuery(Exact):
    """``after`` stands for the header Last-Event-ID, where there is none. With ``since``, in
    seconds since 1970, come those first that are kept from before this run of the server."""

    after: Place = 0
    since: Time | None = None
    follow: Flag = "true"

    @property
    def follows(self) -> bool:
        return self.follow in ("true", "1")


class RequestsQuery(Exact):
    """Which requests: of a ``key``, or an address that asked without one; of a ``model``; with a
    ``status``, say 503 or 5xx; for a ``path``; that came ``since`` then, in seconds since 1970. At
    most ``limit`` of those that have ended, and with ``before`` those behind the page that told it
    as its ``next``."""

    key: str | None = None
    model: str | None = None
    path: str | None = None
    status: Annotated[str, StringConstraints(pattern=r"^[1-5]([0-9][0-9]|xx)$")] | None = None
    since: Time | None = None
    limit: Annotated[int, Field(ge=1, le=MOST_LINES), COUNT_OF_TEXT] = USUAL_LINES
    before: Annotated[int, Field(ge=0, le=_MOST_ROWS), COUNT_OF_TEXT] | None = None

    @property
    def statuses(self) -> tuple[int, int] | None:
        """The least and the greatest of those that are asked for."""
        if self.status is None:
            return None
        return int(self.status.replace("x", "0")), int(self.status.replace("x", "9"))


class SamplesQuery(Exact):
    """From ``since``, or an hour ago, to ``until``, or now, in seconds since 1970; where there are
    more than ``limit``, neighbours are told as one."""

    since: Time | None = None
    until: Time | None = None
    limit: Annotated[int, Field(ge=1, le=MOST_LINES), COUNT_OF_TEXT] = 360


class LogQuery(Exact):
    """How many of the last lines, and whether to go on with those that come."""

    tail: Annotated[int, Field(ge=0, le=MOST_LINES), COUNT_OF_TEXT] = USUAL_LINES
    follow: Flag = "false"

    @property
    def follows(self) -> bool:
        return self.follow in ("true", "1")
