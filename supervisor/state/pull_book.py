"""What is kept of pulls from one start of the server to the next."""

from __future__ import annotations

from typing import Literal

import msgspec

from ipc.runtime.document import Schema

JobState = Literal["waiting", "running", "paused", "finished", "failed", "cancelled"]
ENDED: tuple[JobState, ...] = ("finished", "failed", "cancelled")


class Looked(msgspec.Struct, frozen=True, kw_only=True):
    """What was found out before anything was fetched, see `supervisor.pulls.lines.Looked`."""

    task: str
    engine: str
    device: str
    variant: str
    fetch_bytes: int
    disk_free_bytes: int
    memory_mb: int
    memory_free_mb: int
    memory_total_mb: int
    verdict: str
    remarks: list[str]


class Job(msgspec.Struct, kw_only=True):
    """One pull of ``source``: a model of the catalog, or a place on the hub that is to be called
    ``name``. With ``serve`` the model joins the server once it is here.

    ``model`` is what it is called, empty until that is known. Times are seconds since 1970.
    ``unreached``: it has failed because the network or the hub was not there.
    """

    id: str
    source: str
    created_at: float
    name: str = ""
    serve: bool = True
    force: bool = False
    state: JobState = "waiting"
    changed_at: float = 0.0
    model: str = ""
    looked: Looked | None = None
    doing: str = ""
    done_bytes: int = 0
    total_bytes: int = 0
    error: str = ""
    unreached: bool = False


class Book(msgspec.Struct, kw_only=True):
    """All jobs that are remembered, in the order of their numbers, and how many there ever were."""

    count: int = 0
    jobs: list[Job] = []


SCHEMA = Schema("pulls.json", Book)
