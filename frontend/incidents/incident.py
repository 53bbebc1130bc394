"""What has gone wrong, and by which name the file of it is known."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec

# Of several that one cause brings within moments the first of these is told; the others are named.
What = Literal[
    "memory",  # a worker was killed by the kernel for want of memory
    "hang",  # nothing came of it any more, so it was ended
    "crash",
    "load-failed",
    "frontend-crash",
    "server-died",  # the server before this one, without having been stopped
    "quarantine",  # a request has killed its worker again and again
    "circuit-open",  # a model failed so often that it is left alone for a while
    "overload",  # for a while most requests for a model were refused
]
RANK: tuple[What, ...] = What.__args__  # type: ignore[attr-defined]

_FORM = "%Y%m%dT%H%M%SZ"
_ID = re.compile(r"(?P<at>\d{8}T\d{6}Z)-(?P<what>[a-z-]+?)(?:\.(?P<subject>[\w.-]{1,80}))?")


class Incident(msgspec.Struct, frozen=True, kw_only=True):
    """Something that went wrong at ``time_s`` (seconds since 1970), of ``model`` if it is one's.

    ``facts`` are those of the event that tells of it, ``also`` what else came of it, ``unfiled``
    how many like it there were before, of which no file was made since the one before.
    """

    what: What
    time_s: float
    model: str | None = None
    facts: dict[str, Any] = {}
    also: list[What] = []
    unfiled: int = 0

    @property
    def subject(self) -> str:
        """Whom it befell, as part of a file's name; empty for the server."""
        return re.sub(r"[^A-Za-z0-9._-]+", "-", self.model or "")[:80]

    @property
    def id(self) -> str:
        """The name of its file, less the ending."""
        at = datetime.fromtimestamp(self.time_s, UTC).strftime(_FORM)
        return f"{at}-{self.what}" + (f".{self.subject}" if self.subject else "")


class Known(msgspec.Struct, frozen=True):
    """What the name of a file tells of an incident; its time in whole seconds."""

    time_s: float
    what: str
    subject: str

    @classmethod
    def of(cls, incident_id: str) -> Known | None:
        """None for what is no name of one."""
        found = _ID.fullmatch(incident_id)
        if found is None:
            return None
        try:
            at = datetime.strptime(found["at"], _FORM).replace(tzinfo=UTC)
        except ValueError:
            return None
        return cls(at.timestamp(), found["what"], found["subject"] or "")
