"""The forms of a server's answers, as far as commands read them: whoever answers otherwise is no
edge-serve. What no command reads may be anything, and so may what is only shown."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

Number = Annotated[float, Meta(ge=-1e15, le=1e15)]
Seconds = Annotated[float, Meta(ge=0, le=1e12)]
# Seconds since 1970, up to the year 9999, as far as calendars tell.
Time = Annotated[float, Meta(ge=0, le=253_402_300_799)]
Pid = Annotated[int, Meta(ge=0, le=(1 << 63) - 1)]


class Process(Struct):
    """Of GET /health: the supervisor, the frontend, or a replica."""

    pid: Pid | None = None
    stage: str | None = None
    uptime_s: Seconds | None = None
    rss_mb: Number | None = None
    cpu_percent: Number | None = None
    in_flight: Number | None = None
    prompt_tokens: Number = 0
    completion_tokens: Number = 0


class Queue(Struct):
    eta_s: Seconds | None = None


class HealthModel(Struct):
    name: str = ""
    state: str | None = None
    queue: Queue | None = None
    replicas: list[Process] | None = None


class Gpu(Struct):
    memory_used_mb: Number | None = None
    memory_total_mb: Number | None = None


class Box(Struct):
    cpu_percent: Number | None = None
    memory_total_mb: Number | None = None
    memory_available_mb: Number | None = None
    gpus: list[Gpu] | None = None


class Health(Struct):
    """GET /health."""

    models: list[HealthModel]
    status: str | None = None
    time: Time | None = None
    supervisor: Process | None = None
    frontend: Process | None = None
    box: Box | None = None


class Memory(Struct):
    resident_mb: Number | None = None
    measured_mb: Number | None = None
    estimated_mb: Number | None = None


class Residency(Struct):
    idle_s: Seconds | None = None
    leaves_in_s: Seconds | None = None
    load_s: Seconds | None = None


class Jobs(Struct):
    waiting: Number | None = None
    in_hand: Number | None = None


class Model(Struct):
    """What it is told of one at /admin/models."""

    id: str
    state: str | None
    drained: bool = False
    memory: Memory | None = None
    jobs: Jobs | None = None
    residency: Residency | None = None


class Models(Struct):
    """GET /admin/models, and what is told of all after they were drained."""

    models: list[Model]


class ListedModel(Struct):
    id: str
    capabilities: list[str] | None = None


class Listed(Struct):
    """GET /v1/models."""

    data: list[ListedModel]


class Waiting(Struct):
    position: Number | None = None
    eta_start_ms: Number | None = None
    eta_end_ms: Number | None = None


class Request(Struct):
    id: str
    stage: str | None = None
    age_s: Seconds | None = None
    waiting: Waiting | None = None


class Requests(Struct):
    """GET /admin/requests."""

    requests: list[Request]


class Event(Struct):
    """One of GET /admin/events."""

    seq: int
    time: Time
    type: str
    model: str | None = None


class LogLine(Struct):
    """One of GET /admin/logs, followed."""

    line: str


class Incident(Struct):
    id: str
    time: Time
    requests: int
    told: str


class Incidents(Struct):
    """GET /admin/incidents."""

    incidents: list[Incident]


class Key(Struct):
    name: str
    role: str
    weight: Number
    priority: int
    requests_per_min: int
    tokens_per_min: int
    tokens_per_day: int
    concurrent: int
    changeable: bool
    models: list[str]


class Keys(Struct):
    """GET /admin/keys."""

    keys: list[Key]
    why_not_changeable: str | None


class ChangedKey(Struct):
    """What is told of one that was made, changed or removed."""

    name: str
    secret: str | None = None


class UsageRow(Struct):
    requests: Number
    failed: Number
    prompt_tokens: Number
    cached_tokens: Number
    completion_tokens: Number
    audio_s: Number
    texts: Number
    work_s: Number
    day: str | None = None
    key: str | None = None
    model: str | None = None
    outcome: str | None = None


class Usage(Struct):
    """GET /admin/usage."""

    by: Annotated[list[Literal["day", "key", "model", "outcome"]], Meta(min_length=1)]
    rows: list[UsageRow]


class Reloaded(Struct):
    """What a reload or an update has changed, or would."""

    warnings: list[str]
    added: list[str]
    removed: list[str]
    updated: dict[str, list[str]]
    adjusted: dict[str, list[str]]
    settings: list[str]
    restart: list[str]
    downtime: list[str]
    left: list[str]
    fetched: list[str]


class RolledBack(Struct):
    id: str


class Piece(Struct):
    content: str | None = None


class Choice(Struct):
    delta: Piece | None = None


class Chunk(Struct):
    """One event of a chat that streams."""

    choices: list[Choice] | None = None
    error: dict[str, Any] | str | None = None
