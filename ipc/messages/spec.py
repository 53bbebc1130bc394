"""What to run: one model as a worker is told to serve it, and what loading it brought to light."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

from ipc.messages.jobs import Task

# When a model is loaded: as the server starts, when somebody asks for it, or when an operator says.
LoadWhen = Literal["always", "on_demand", "never"]
# What an option of an engine may be given.
Option = str | int | float | bool | list[str]


class Defaults(msgspec.Struct, frozen=True, kw_only=True):
    """Sampling values of a model for requests that name none. ``thinking_max_tokens`` stand for
    ``max_tokens`` where the model reasons, which its worker finds out."""

    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    repetition_penalty: float = 1.0
    max_tokens: int = 512
    thinking_max_tokens: int = 2048


class Warmup(msgspec.Struct, frozen=True, kw_only=True):
    """What a model must answer before it counts as ready: ``steps`` rounds (0: none at all) of
    ``batch_size`` jobs at once, or as many as it has slots.

    On CUDA also no more at once than fit ``vram_budget_mb`` (0: what is free once the model is
    loaded) at ``vram_per_job_mb`` each (0: no such bound).
    """

    steps: int = 1
    batch_size: int = 1
    vram_budget_mb: int = 0
    vram_per_job_mb: int = 0


class FileFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What the files of a model are; what they do not tell is empty, or 0.

    ``digest`` is a SHA-256 in hexadecimal that changes with them. ``format`` is gguf, safetensors,
    openvino or ctranslate2, ``family`` the architecture in their own word for it, and
    ``quantization`` how most of the ``parameters`` are stored.
    """

    size_bytes: int = 0
    digest: str = ""
    format: str = ""
    family: str = ""
    parameters: int = 0
    quantization: str = ""


class Scaling(msgspec.Struct, frozen=True, kw_only=True):
    """More workers than a model has at least: up to ``most`` (0: none more), each once requests
    would wait for ``wait_s`` or longer, and until one fewer has been enough for ``idle_s``."""

    most: int = 0
    wait_s: float = 2.0
    idle_s: float = 300.0


class Cluster(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where a model runs whose replicas are on several boxes: what each of them is, as ``served``
    says, and which cluster this box belongs to, by what is in ``folder``.

    A replica is placed where ``memory_mb`` are left of what a box gives the cluster; 0: nobody
    knows what it takes. Paths are those below ``models_dir``, and on another box below its own.
    """

    served: Spec
    folder: str
    models_dir: str
    memory_mb: int = 0


class Spec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One model as a worker runs it; every limit is per worker process.

    A worker holds at most ``slots`` running jobs plus ``prefetch`` that wait for the next step;
    everything else waits in the frontend's lane, bounded by ``queue_limit`` requests,
    ``queue_bytes`` and ``queue_timeout_s``. ``request_timeout_s`` bounds the work, from when a
    worker is given the request.
    """

    name: str
    task: Task
    engine: str
    path: str
    cache: str = ""  # folder for what an engine derives from path, say converted weights
    device: str = "cpu"
    engine_why: str = ""  # for people: what was measured, where that has chosen the engine
    threads: int = 0  # 0: the engine's own choice
    load: LoadWhen = "always"
    idle_unload_s: float = 0.0  # how long it stays without work, if not always; 0: for ever
    pin: bool = False  # no other model takes its place
    priority: int = 0  # those with less leave first, and get less of processors that others want
    memory_mb: int = 0  # what a worker is estimated to take; 0: nobody knows
    replicas: int = 1  # workers that it has at least
    scaling: Scaling = Scaling()
    slots: int = 8
    prefetch: int = 2
    migrate: bool = True  # an answer of a chat goes on where a worker has left it, see docs
    queue_limit: int = 32
    queue_bytes: int = 128 << 20
    queue_timeout_s: float = 60.0
    request_timeout_s: float = 600.0
    batch_window_ms: float = 6.0
    batch_tokens: int = 16_384
    cache_items: int = 0  # how many inputs of micro-batches have their outputs kept
    max_prompt_tokens: int = 0  # 0: as many as the model reads
    max_new_tokens: int = 2048
    stall_s: float = 60.0
    load_stall_s: float = 300.0
    memory_limit_mb: int = 0  # resident memory from which a worker is recycled; 0: no limit
    recycle_jobs: int = 0  # jobs after which it is; 0: never
    vision: bool = False  # a chat model that takes images
    defaults: Defaults = Defaults()
    warmup: Warmup = Warmup()
    cluster: Cluster | None = None  # its worker here only passes jobs on to its replicas there
    golden: str = ""  # a file of requests and what they must be answered, see ipc.facts.golden
    options: Mapping[str, Option] = {}
    facts: FileFacts = FileFacts()  # for clients: no engine reads them
    owned_by: str = "edge-serve"
    created: int = 0

    @property
    def most_replicas(self) -> int:
        """How many workers it may have."""
        return max(self.replicas, self.scaling.most)

    @property
    def scales(self) -> bool:
        """Whether it may have more workers than it has at least."""
        return self.most_replicas > self.replicas

    @property
    def may_scale(self) -> bool:
        """Whether it does, here or over several boxes."""
        return self.scales or (self.cluster is not None and self.cluster.served.scales)

    @property
    def credit(self) -> int:
        """How many jobs one worker may hold at once."""
        return self.slots + self.prefetch


class Groups(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which models are never in memory at the same time, and which are best there together."""

    never_together: list[list[str]] = []
    keep_together: list[list[str]] = []

    def rivals(self, name: str) -> set[str]:
        """Those that are never in memory beside ``name``."""
        return _others(self.never_together, name)

    def companions(self, name: str) -> set[str]:
        """Those that are loaded and leave with ``name`` where that can be."""
        return _others(self.keep_together, name)


def _others(groups: list[list[str]], name: str) -> set[str]:
    return {other for group in groups if name in group for other in group} - {name}


class Voice(msgspec.Struct, frozen=True, kw_only=True):
    """A voice of a model that speaks. ``aliases`` are other names that it answers to."""

    name: str
    language: str | None = None
    aliases: list[str] = []


class Loaded(msgspec.Struct, frozen=True, kw_only=True):
    """What an engine found out by loading: the facts that only the model itself can tell."""

    device: str
    context_tokens: int | None = None
    dimensions: int | None = None
    languages: list[str] | None = None
    translates: bool = False  # a speech model that writes English, whatever is said
    voices: list[Voice] | None = None  # the first is that of requests which name none
    tools: bool = False  # a chat model that calls them in a way of its own
    reasoning: bool = False  # one that thinks before it answers
    fills: bool = False  # one that fills gaps
    tokenizes: bool = False  # one whose tokenizer can be asked
    keeps_prefixes: bool = False  # one that keeps what it computed of how prompts begin
    goes_on: bool = False  # one that names its tokens, and goes on behind those of another worker
    streams_input: bool = False  # one that takes its input in pieces, too
    detail: str = ""
