"""From settings and a catalog entry to the `Spec` that a worker runs. Pure: no files, no clock."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ipc.engines import ENGINES, LISTED
from ipc.messages.configuration import AUTO, DEFAULT, ENTRY
from ipc.messages.jobs import Task
from ipc.messages.spec import Defaults, FileFacts, LoadWhen, Scaling, Spec, Warmup
from ipc.tasks import TASKS, TaskDescriptor
from supervisor.config import options
from supervisor.config.engines import choose
from supervisor.config.entries.entry import Entry
from supervisor.config.errors import ConfigError
from supervisor.config.settings import Settings
from supervisor.host.hardware import Box
from supervisor.host.timings import Fastest, Timing, fastest

# Keys of an entry that are keys of a Spec too, in the same unit.
SAME = (
    "load",
    "idle_unload_s",
    "pin",
    "priority",
    "memory_mb",
    "threads",
    "slots",
    "prefetch",
    "migrate",
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
    """Where a model's files are, and what the store knows about them. ``readers`` are the engines
    that can serve a GGUF file on this box's CPU, ``timings`` what was measured of all of them."""

    path: str = ""
    cache: str = ""
    converted: bool = False  # OpenVINO IR, or GGUF that openvino reads
    gguf: bool = False
    checkpoint: bool = False  # of transformers, in safetensors
    hears: str = ""  # the engine whose own the files of a speech model are
    vision: bool = False  # weights for images too
    created: int = 0
    readers: tuple[str, ...] = ()
    timings: tuple[Timing, ...] = ()
    facts: FileFacts = field(default_factory=FileFacts)


class Said(NamedTuple):
    """A value and who has said so, see `ipc.messages.configuration`."""

    value: Any
    by: str


class Specified(NamedTuple):
    """A spec, and by key who has said what is in it; what nobody has is its default."""

    spec: Spec
    said_by: dict[str, str]


def spec_for(
    entry: Entry, settings: Settings, box: Box, files: Files, forced_device: str | None = None
) -> Spec:
    """The spec of one model: its entry wins over the settings, ``forced_device`` (a flag) over
    its entry. Raises `ConfigError`."""
    return specified(entry, settings, box, files, forced_device).spec


def specified(
    entry: Entry, settings: Settings, box: Box, files: Files, forced_device: str | None = None
) -> Specified:
    """The same, with who has said what. Raises `ConfigError`."""
    wanted = forced_device or entry.device or settings.model_device
    limits = {**_from_settings(TASKS[entry.task], settings), **_from_entry(entry)}
    measured = fastest(files.timings, limits["slots"].value)
    engine, device = _engine_and_device(entry, wanted, files, box, measured)
    said = _said(entry, settings, box, files, engine, device, limits)
    values: dict[str, Any] = {key: one.value for key, one in said.items()}
    said_by = {
        **{key: one.by for key, one in said.items()},
        **_defaults_said_by(entry, settings),
        "engine": AUTO if entry.engine == "auto" else ENTRY,
        "device": _device_said_by(device, entry, settings, forced_device),
    }
    spec = Spec(
        name=entry.name,
        task=entry.task,
        engine=engine,
        device=device,
        engine_why=measured.why if measured and _is_chosen(entry, engine, device) else "",
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
    return Specified(spec, said_by)


def _engine_and_device(
    entry: Entry, wanted: str, files: Files, box: Box, measured: Fastest | None
) -> tuple[str, str]:
    """What serves it and where, on the ``wanted`` device. Raises `ConfigError`, also for options
    that the engine has not."""
    try:
        found = choose(
            entry.engine,
            wanted,
            entry.task,
            converted=files.converted and not (files.gguf and entry.vision),
            gguf=files.gguf,
            checkpoint=files.checkpoint,
            fastest=measured.engine if measured else "",
            hears=files.hears,
            box=box,
        )
        options.check(found[0], entry.task, entry.options, has_source=entry.origin() is not None)
    except (ConfigError, ValueError) as error:
        raise ConfigError(f"{entry.name}: {error}") from None
    return found


def _said(
    entry: Entry,
    settings: Settings,
    box: Box,
    files: Files,
    engine: str,
    device: str,
    limits: dict[str, Said],
) -> dict[str, Said]:
    """The values of keys that depend on more than one place, and the ``limits``."""
    said = {
        "threads": Said(_threads(entry, device, box), AUTO),
        "load": Said(settings.model_load, "MODEL_LOAD"),
        "idle_unload_s": Said(settings.model_idle_unload_sec, "MODEL_IDLE_UNLOAD_SEC"),
        "vision": Said(files.vision and _sees(engine, entry.task), AUTO),
        **limits,
    }
    if said["load"].value != "on_demand":
        _check_stays(entry, said["load"].value)
    if said["vision"].value:
        _check_vision(entry, engine, files)
        if entry.slots is None and not settings.chat_batch_allow_vision:
            said["slots"] = Said(1, "CHAT_BATCH_ALLOW_VISION")
    return said


def _is_chosen(entry: Entry, engine: str, device: str) -> bool:
    """Whether a measurement has chosen the engine: of a file on a CPU, and its entry names none."""
    return entry.engine == "auto" and device == "cpu" and engine in ("openvino", "llama.cpp")


def _from_entry(entry: Entry) -> dict[str, Said]:
    """The part that the entry says itself."""
    values = {key: getattr(entry, key) for key in SAME} | _replicas(entry)
    if entry.queue_mb is not None:
        values["queue_bytes"] = entry.queue_mb << 20
    given = entry.model_fields_set | {"queue_bytes", "scaling"}
    return {
        key: Said(value, ENTRY if key in given else DEFAULT)
        for key, value in values.items()
        if value is not None
    }


def _device_said_by(device: str, entry: Entry, settings: Settings, forced: str | None) -> str:
    if device != (forced or entry.device or settings.model_device):
        return AUTO
    return ENTRY if entry.device and not forced else "MODEL_DEVICE"


def _defaults_said_by(entry: Entry, settings: Settings) -> dict[str, str]:
    """Who says how answers are sampled where a request does not: see `_defaults`."""
    found = {f"defaults.{key}": ENTRY for key in entry.defaults.model_dump(exclude_none=True)}
    max_tokens = found.setdefault("defaults.max_tokens", "MAX_NEW_TOKENS")
    is_said = max_tokens == ENTRY or "max_new_tokens" in settings.model_fields_set
    found["defaults.thinking_max_tokens"] = max_tokens if is_said else "CHAT_MAX_NEW_TOKENS"
    return found


def _threads(entry: Entry, device: str, box: Box) -> int:
    """Those of one worker: of several that there always are each has its part of the cores. Those
    that come while requests wait have as many as the others: who is alone has all."""
    if device != "cpu" or not box.threads:
        return box.threads
    return max(1, box.threads // entry.least_replicas)


def _replicas(entry: Entry) -> dict[str, Any]:
    found = entry.replicas
    if found is None:
        return {}
    if found.min == found.max:
        return {"replicas": found.min}
    scaling = Scaling(most=found.max, wait_s=found.wait_s, idle_s=found.idle_s)
    return {"replicas": found.min, "scaling": scaling}


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


def _from_settings(task: TaskDescriptor, settings: Settings) -> dict[str, Said]:
    """The part of the settings that concerns models of one task."""
    said = {key: Said(value, DEFAULT) for key, value in task.limits.items()}
    for key, name in task.settings.items():
        said[key] = Said(getattr(settings, name), name.upper())
    said["queue_limit"] = _queue_limit(task.settings["queue_limit"], settings)
    if task.batching is not None and not getattr(settings, task.batching):
        off = task.batching.upper()
        said |= {key: Said(value, off) for key, value in task.unbatched.items()}
    most = settings.max_concurrent
    if most is not None and most < said["slots"].value:
        said["slots"] = Said(most, "MAX_CONCURRENT")
    return said


def _queue_limit(name: str, settings: Settings) -> Said:
    """The queue's own setting, else MAX_QUEUE_SIZE, each if it was set; else the own default, if
    there is one."""
    given = settings.model_fields_set
    own: int | None = getattr(settings, name)
    if own is None or (name not in given and "max_queue_size" in given):
        return Said(settings.max_queue_size, "MAX_QUEUE_SIZE")
    return Said(own, name.upper())


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
