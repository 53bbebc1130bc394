"""From settings and a catalog entry to the `Spec` that a worker runs. Pure: no files, no clock."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ipc.engines import ENGINES, LISTED
from ipc.messages.jobs import Task
from ipc.messages.spec import Defaults, FileFacts, LoadWhen, Spec, Warmup
from ipc.tasks import TASKS, TaskDescriptor
from supervisor.config import options
from supervisor.config.catalog import Entry
from supervisor.config.engines import choose
from supervisor.config.errors import ConfigError
from supervisor.config.settings import Settings
from supervisor.host.hardware import Box

# Keys of an entry that are keys of a Spec too, in the same unit.
_SAME = (
    "load",
    "idle_unload_s",
    "pin",
    "priority",
    "memory_mb",
    "threads",
    "replicas",
    "slots",
    "prefetch",
    "queue_limit",
    "queue_timeout_s",
    "request_timeout_s",
    "batch_window_ms",
    "batch_tokens",
    "cache_items",
    "max_prompt_tokens",
    "max_new_tokens",
    "stall_s",
    "load_stall_s",
    "vision",
    "memory_limit_mb",
    "recycle_jobs",
    "golden",
)


@dataclass(frozen=True, kw_only=True)
class Files:
    """Where a model's files are, and what the store knows about them."""

    path: str = ""
    cache: str = ""
    converted: bool = False  # OpenVINO IR, or GGUF that openvino reads
    gguf: bool = False
    checkpoint: bool = False  # of transformers, in safetensors
    vision: bool = False  # weights for images too
    created: int = 0
    facts: FileFacts = field(default_factory=FileFacts)


def spec_for(
    entry: Entry, settings: Settings, box: Box, files: Files, forced_device: str | None = None
) -> Spec:
    """The spec of one model: its entry wins over the settings, ``forced_device`` (a flag) over
    its entry. Raises `ConfigError`."""
    wanted = forced_device or entry.device or settings.model_device
    try:
        engine, device = choose(
            entry.engine,
            wanted,
            entry.task,
            converted=files.converted and not (files.gguf and entry.vision),
            gguf=files.gguf,
            checkpoint=files.checkpoint,
            box=box,
        )
        options.check(engine, entry.task, entry.options, has_source=entry.origin() is not None)
    except (ConfigError, ValueError) as error:
        raise ConfigError(f"{entry.name}: {error}") from None
    values: dict[str, Any] = {
        "threads": box.threads,
        "load": settings.model_load,
        "idle_unload_s": settings.model_idle_unload_sec,
        **_from_settings(TASKS[entry.task], settings),
    }
    values["vision"] = files.vision and _sees(engine, entry.task)
    for key in _SAME:
        if (value := getattr(entry, key)) is not None:
            values[key] = value
    if values["load"] != "on_demand":
        _check_stays(entry, values["load"])
    if entry.queue_mb is not None:
        values["queue_bytes"] = entry.queue_mb << 20
    if values["vision"]:
        _check_vision(entry, engine, files)
        if entry.slots is None and not settings.chat_batch_allow_vision:
            values["slots"] = 1
    return Spec(
        name=entry.name,
        task=entry.task,
        engine=engine,
        device=device,
        path=files.path,
        cache=files.cache,
        created=files.created,
        owned_by=entry.name.partition("/")[0] if "/" in entry.name else "edge-serve",
        options=entry.options,
        facts=files.facts,
        defaults=_defaults(entry, settings, values.get("max_new_tokens")),
        warmup=_warmup(entry.name, settings),
        **values,
    )


def _check_stays(entry: Entry, load: LoadWhen) -> None:
    how = "always loaded" if load == "always" else "loaded by an operator only"
    for key in ("idle_unload_s", "pin"):
        if key in entry.model_fields_set:
            told = f"a model that is {how} has no use for it; add load: on_demand, or remove it"
            raise ConfigError(f"{entry.name}: {key}: {told}")


def _check_vision(entry: Entry, engine: str, files: Files) -> None:
    if "vision" not in TASKS[entry.task].catalog_keys:
        raise ConfigError(f"{entry.name}: vision: only chat models take images; leave it out")
    found = ENGINES.get(engine)
    if found is None or found.chat is None or not found.serves[entry.task].reads:
        return
    if files.gguf and "gguf" not in found.chat.images:
        able = " or ".join(one.name for one in LISTED if one.chat and "gguf" in one.chat.images)
        raise ConfigError(
            f"{entry.name}: vision: engine {engine} reads text only of a GGUF file; set {able}"
        )


def _sees(engine: str, task: Task) -> bool:
    """Whether a model takes images if its files do: by an engine that reads them itself. What the
    server behind a model takes only its entry can say."""
    found = ENGINES.get(engine)
    return found is not None and task == "chat" and bool(found.serves[task].reads)


def _from_settings(task: TaskDescriptor, settings: Settings) -> dict[str, Any]:
    """The part of the settings that concerns models of one task."""
    values: dict[str, Any] = dict(task.limits)
    for key, name in task.settings.items():
        values[key] = getattr(settings, name)
    values["queue_limit"] = _queue_limit(task.settings["queue_limit"], settings)
    if task.batching is not None and not getattr(settings, task.batching):
        values |= task.unbatched
    if settings.max_concurrent is not None:
        values["slots"] = min(values["slots"], settings.max_concurrent)
    return values


def _queue_limit(name: str, settings: Settings) -> int:
    """The queue's own setting, else MAX_QUEUE_SIZE, each if it was set; else the own default, if
    there is one."""
    given = settings.model_fields_set
    own: int | None = getattr(settings, name)
    if own is None or (name not in given and "max_queue_size" in given):
        return settings.max_queue_size
    return own


def _warmup(name: str, settings: Settings) -> Warmup:
    allowed = not settings.warmup_allowlist or name in settings.warmup_allowlist
    wanted = settings.enable_warmup and allowed and name not in settings.warmup_skiplist
    return Warmup(
        steps=settings.warmup_steps if wanted else 0,
        batch_size=settings.warmup_batch_size,
        vram_budget_mb=settings.warmup_vram_budget_mb,
        vram_per_job_mb=settings.warmup_vram_per_worker_mb,
    )


def _defaults(entry: Entry, settings: Settings, max_new_tokens: int | None) -> Defaults:
    """A model that reasons may write as much as any request may ask for, unless somebody has said
    how much is usual: what is too little to think and answer leaves no answer at all."""
    given = entry.defaults.model_dump(exclude_none=True)
    is_said = "max_tokens" in given or "max_new_tokens" in settings.model_fields_set
    max_tokens = given.pop("max_tokens", settings.max_new_tokens)
    if max_new_tokens is not None:
        max_tokens = min(max_tokens, max_new_tokens)
    thinking = max_tokens if is_said else max(max_tokens, max_new_tokens or 0)
    return Defaults(max_tokens=max_tokens, thinking_max_tokens=thinking, **given)
