"""What operators are told, described for ``/openapi.json``; rendered without these."""

from __future__ import annotations

from typing import Any, Literal

from frontend.api.answer import Answer
from frontend.http.request_registry import Stage


class ModelFiles(Answer):
    path: str | None
    size_bytes: int | None
    digest: str | None
    format: str | None
    family: str | None
    parameters: int | None
    quantization: str | None


class ModelMemory(Answer):
    measured_mb: int | None
    load_peak_mb: int | None
    estimated_mb: int | None
    resident_mb: float


class ModelResidency(Answer):
    pinned: bool | None
    idle_unload_s: float | None
    idle_s: float | None
    leaves_in_s: float | None
    load_s: float | None


class ModelJobs(Answer):
    done: float
    failed: float
    in_hand: int | None
    waiting: int | None
    waiting_in_background: int | None
    oldest_s: float | None


class ModelTokens(Answer):
    prompt: float
    completion: float


class ModelPolicy(Answer):
    load: str
    idle_unload_s: float
    pin: bool
    replicas: int
    slots: int
    queue_limit: int
    queue_timeout_s: float
    request_timeout_s: float
    memory_limit_mb: int | None


class AdminModel(Answer):
    id: str
    aliases: list[str]
    task: str | None
    capabilities: list[str]
    engine: str | None
    device: str | None
    state: str | None
    last_error: str | None
    files: ModelFiles | None
    memory: ModelMemory | None
    residency: ModelResidency | None
    jobs: ModelJobs | None
    tokens: ModelTokens | None
    policy: ModelPolicy | None
    replicas: list[dict[str, Any]]


class AdminModels(Answer):
    models: list[AdminModel]


class RequestPrefill(Answer):
    """How far its prompt is read, the cached part included, and when the rest should be."""

    read_tokens: int
    prompt_tokens: int
    eta_ms: int


class RequestWaiting(Answer):
    """Its place, 0 for one that runs, and when its turn and its end are expected, from now."""

    state: Literal["queued", "loading", "running"]
    position: int
    eta_start_ms: int | None
    eta_end_ms: int | None
    prefill: RequestPrefill | None


class RequestTimes(Answer):
    """Seconds after its beginning."""

    submitted_s: float | None
    dispatched_s: float | None
    first_s: float | None
    total_s: float | None


class RequestTokens(Answer):
    prompt: int
    completion: int
    cached: int | None


class AdminRequest(Answer):
    id: str
    path: str
    stage: Stage
    key: str | None
    client: str
    model: str | None
    began_at: float
    age_s: float
    waiting: RequestWaiting | None
    times: RequestTimes
    tokens: RequestTokens | None
    status: int | None
    error: str | None


class AdminRequests(Answer):
    requests: list[AdminRequest]


class Disk(Answer):
    path: str
    total_mb: int
    free_mb: int


class Temperature(Answer):
    sensor: str
    celsius: float
    high_celsius: float | None


class Box(Answer):
    cpus: int | None
    cpu_percent: float
    load_1m: float
    memory_total_mb: int
    memory_available_mb: int
    swap_used_mb: int
    uptime_s: int
    gpus: list[dict[str, Any]]
    disks: list[Disk]
    temperatures: list[Temperature]


class PullLooked(Answer):
    """``verdict`` is fits, fits_alone (once others have given memory back), no_memory or no_disk;
    empty where nobody knows."""

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


class PullEstimate(PullLooked):
    """The same of a pull that nobody has asked for yet."""

    model: str


class Pull(Answer):
    """``model`` is what it is called once that is known; times are seconds since 1970."""

    id: str
    source: str
    name: str
    model: str
    state: Literal["waiting", "running", "paused", "finished", "failed", "cancelled"]
    serve: bool
    force: bool
    created_at: float
    changed_at: float
    looked: PullLooked | None
    doing: str
    done_bytes: int
    total_bytes: int
    bytes_per_s: int | None
    eta_s: float | None
    error: str


class Pulls(Answer):
    pulls: list[Pull]


class Stopping(Answer):
    stopping: Literal[True]
    drain_s: float


class ReloadReport(Answer):
    """``updated`` and ``adjusted`` map models to the keys that differ. Those of ``downtime`` have
    no room for their old and their new workers, those of ``left`` stay as they are for it."""

    dry_run: bool
    added: list[str]
    removed: list[str]
    updated: dict[str, list[str]]
    adjusted: dict[str, list[str]]
    settings: list[str]
    restart: list[str]
    downtime: list[str]
    left: list[str]
    fetched: list[str]
    unavailable: dict[str, str]
    warnings: list[str]
