"""What operators are told, described for ``/openapi.json``; rendered without these."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from frontend.api.answer import Answer
from frontend.history.request_record import Stage
from ipc.messages.keys import Role


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


class ModelUpdate(Answer):
    """``loading`` beside the workers that serve, then ``watched`` while those are kept. In
    ``done_in_s`` it is done if nothing happens."""

    state: Literal["loading", "watched"]
    stage: str | None
    may_go_back: bool
    done_in_s: float | None


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
    max_replicas: int
    slots: int
    queue_limit: int
    queue_timeout_s: float
    request_timeout_s: float
    memory_limit_mb: int | None


class ModelScaling(Answer):
    """Between which bounds the number of its workers is, what it should be now, and why: of its
    last change, or of none where one is due."""

    min: int
    max: int
    wanted: int
    why: str | None


class AdminModel(Answer):
    id: str
    aliases: list[str]
    task: str | None
    capabilities: list[str]
    engine: str | None
    engine_why: str | None
    device: str | None
    state: str | None
    drained: bool
    last_error: str | None
    files: ModelFiles | None
    memory: ModelMemory | None
    residency: ModelResidency | None
    update: ModelUpdate | None
    jobs: ModelJobs | None
    tokens: ModelTokens | None
    policy: ModelPolicy | None
    scaling: ModelScaling | None
    replicas: list[dict[str, Any]]


class AdminModels(Answer):
    models: list[AdminModel]


class ModelRemoved(Answer):
    """``bytes`` is what its files took."""

    model: str
    bytes: int


class RequestPrefill(Answer):
    """How far its prompt is read, the cached part included, and when the rest should be."""

    read_tokens: int
    prompt_tokens: int
    eta_ms: int


class RequestListening(Answer):
    """How many seconds of its recording have been heard, of how many, and when the rest should
    be."""

    heard_s: float
    audio_s: float | None
    eta_ms: int | None


class RequestWaiting(Answer):
    """Its place, 0 for one that runs, and when its turn and its end are expected, from now."""

    state: Literal["queued", "loading", "running"]
    position: int
    eta_start_ms: int | None
    eta_end_ms: int | None
    prefill: RequestPrefill | None
    listening: RequestListening | None


class RequestTimes(Answer):
    """Seconds after it came. It was ``dispatched`` to its first worker, and ``resumed`` by the last
    one where that went on with the answer of one that had died. Its worker ``began`` with it, had
    ``read`` its prompt, and was done as it had ``worked``."""

    submitted_s: float | None
    dispatched_s: float | None
    resumed_s: float | None
    began_s: float | None
    read_s: float | None
    worked_s: float | None
    first_s: float | None
    total_s: float | None


class RequestAttempt(Answer):
    """One that came to nothing: when its worker had it, and what became of that."""

    began_s: float
    ended_s: float
    ended: Literal["given_back", "worker_died"]


class RequestTokens(Answer):
    prompt: int
    completion: int
    cached: int | None
    reasoning: int


class RequestShape(Answer):
    """Its job in numbers; what was not asked for is left out."""

    kind: str
    texts: int = 0
    chars: int = 0
    tokens: int = 0
    images_bytes: list[int] = []
    audio_bytes: int = 0
    tools: int = 0
    schema_: Annotated[bool, Field(alias="schema")] = False
    n: int = 1
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    seed: int | None = None
    stops: int = 0
    logprobs: int | None = None
    reasoning_tokens: int | None = None


class AdminRequest(Answer):
    """``load_s`` is for how long of its wait its model had no worker, ``attempt`` to how many it
    was handed over, ``worker_pid`` the last one's process. ``finish`` is what ended a chat."""

    id: str
    method: str
    path: str
    stage: Stage
    key: str | None
    client: str
    model: str | None
    task: str | None
    stream: bool
    began_at: float
    age_s: float
    waiting: RequestWaiting | None
    times: RequestTimes
    load_s: float | None
    attempt: int
    earlier: list[RequestAttempt]
    worker_pid: int | None
    steps: int | None
    prompt_tokens: int | None
    tokens: RequestTokens | None
    audio_s: float | None
    status: int | None
    error: str | None
    finish: str | None
    shape: RequestShape | None


class AdminRequests(Answer):
    """``next`` is where the next page begins, null for the last one."""

    requests: list[AdminRequest]
    next: int | None


class ModelSample(Answer):
    """Requests that waited and were in hand at that time; what was done since the one before."""

    resident_mb: float
    waiting: float
    in_hand: float
    done: int
    failed: int
    read: int
    written: int


class Sample(Answer):
    time: float
    cpu_percent: float
    memory_used_mb: float
    memory_total_mb: float
    models: dict[str, ModelSample]


class Samples(Answer):
    samples: list[Sample]


class Disk(Answer):
    path: str
    total_mb: int
    free_mb: int


class Temperature(Answer):
    sensor: str
    celsius: float
    high_celsius: float | None


class Power(Answer):
    """``cpu_watts`` is the mean since it was last asked for; ``throttle_events`` count how often
    heat has slowed a core or a package down; ``throttling`` is what holds the box back now."""

    cpu_mhz: int | None
    cpu_max_mhz: int | None
    cpu_watts: float | None
    throttle_events: int | None
    throttling: list[str] | None


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
    power: Power


class ConfigSetting(Answer):
    """``from`` is flag, environment, .env or default. A ``secret`` has no ``value``, but
    ``is_set``. ``restart``: it has been given another one since, which a restart takes over."""

    name: str
    value: Any
    default: Any
    origin: str = Field(alias="from")
    secret: bool
    is_set: bool
    restart: bool
    description: str


class ConfigValue(Answer):
    """``from`` is entry, whose file is ``file``, a setting by its name, auto or default."""

    value: Any
    origin: str = Field(alias="from")
    file: str


class Config(Answer):
    """The settings, what is in force for each model by key, and the files that were read."""

    settings: list[ConfigSetting]
    models: dict[str, dict[str, ConfigValue]]
    files: list[str]


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
    unreached: bool


class Pulls(Answer):
    pulls: list[Pull]


class AdminKey(Answer):
    """A limit of 0 is none; without ``models`` it may use all. One that is not ``changeable`` is
    from elsewhere than the file of keys."""

    name: str
    role: Role
    weight: float
    priority: int
    requests_per_min: int
    tokens_per_min: int
    tokens_per_day: int
    concurrent: int
    models: list[str]
    changeable: bool


class AdminKeys(Answer):
    keys: list[AdminKey]
    why_not_changeable: str | None


class KeyWithSecret(AdminKey):
    """``secret`` is told this once; null where it is the one from before."""

    secret: str | None


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


class Incident(Answer):
    """A file of one. ``what`` is its kind, ``told`` the same in words; ``in_hand`` are requests
    that a worker had when it happened, ``requests`` those of the minutes before."""

    id: str
    what: str
    model: str | None
    time: float
    told: str
    in_hand: int
    requests: int
    bytes: int


class Incidents(Answer):
    incidents: list[Incident]
