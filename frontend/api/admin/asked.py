"""What operators may ask. A query has only texts."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, StringConstraints

from frontend.api.fields import MAX_INT32
from frontend.api.validate import Body

MOST_LINES = 1000
USUAL_LINES = 200
LONGEST_KEEP_S = 10 * 365 * 86_400


def _count(value: object) -> object:
    return int(value) if isinstance(value, str) and value.isascii() and value.isdecimal() else value


Flag = Literal["true", "false", "1", "0"]
# The number of an event, or of a line; 0 is before the first.
Place = Annotated[int, Field(ge=0, le=MAX_INT32), BeforeValidator(_count)]


class LoadRequest(Body):
    """With ``wait`` the answer comes once the model is ready. ``keep_alive_s`` is how long it stays
    without work until it next leaves, in place of its own setting; -1 for ever."""

    EXAMPLE: ClassVar[Any] = {"wait": True, "keep_alive_s": 600}
    wait: bool = False
    pin: bool | None = None
    keep_alive_s: Annotated[float, Field(ge=-1, le=LONGEST_KEEP_S)] | None = None


class UpdateRequest(Body):
    """``allow_downtime``: a model without room for its old and its new workers may be away while
    the new ones load; else it is left as it is."""

    EXAMPLE: ClassVar[Any] = {"allow_downtime": False}
    allow_downtime: bool = False


class ReloadRequest(UpdateRequest):
    """A ``dry_run`` only tells what would change."""

    EXAMPLE: ClassVar[Any] = {"dry_run": True}
    dry_run: bool = False


class UnloadRequest(Body):
    """With ``force`` a model that has work leaves too, once it has finished what it has in hand."""

    EXAMPLE: ClassVar[Any] = {"force": False}
    force: bool = False


_Word = StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:@/+-]*$", max_length=512)


class PullRequest(Body):
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


class PullsQuery(Body):
    """With ``estimate`` nothing is fetched; what it would take is told."""

    estimate: Flag = "false"

    @property
    def estimates(self) -> bool:
        return self.estimate in ("true", "1")


class EventsQuery(Body):
    """``after`` stands for the header Last-Event-ID, where there is none."""

    after: Place = 0
    follow: Flag = "true"

    @property
    def follows(self) -> bool:
        return self.follow in ("true", "1")


class LogQuery(Body):
    """How many of the last lines, and whether to go on with those that come."""

    tail: Annotated[int, Field(ge=0, le=MOST_LINES), BeforeValidator(_count)] = USUAL_LINES
    follow: Flag = "false"

    @property
    def follows(self) -> bool:
        return self.follow in ("true", "1")
