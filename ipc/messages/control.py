"""What the supervisor and its children tell each other over the control socket.

A child says `Hello` and gets `Start` (a worker) or `Serve` (the frontend). From then on it sends a
heartbeat each second; the supervisor sends states as they change. Silence means a stopped process.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from ipc.messages.admin import AdminAct, Ask, Happened, Note, Told
from ipc.messages.keys import ApiKey
from ipc.messages.spec import Loaded, Spec
from ipc.messages.state import ModelState

HEARTBEAT_S = 1.0
# Missed heartbeats until a process counts as stopped (Paranoid Pirate: 1 s, liveness 3 to 5).
HEARTBEATS_MISSED = 5


class Counters(msgspec.Struct, frozen=True, kw_only=True):
    """A worker's own account of its work, all totals since it started.

    ``progress`` grows with every engine step: jobs in hand and no growth is what "hung" means.
    ``work_s`` is what the answered ones took, each from the first step that it was in.
    ``reread_tokens`` are those of prompts that were read again in idle time, for no job. Of the
    ``guessed_tokens`` of answers ``accepted_tokens`` were right.
    ``worn`` says why the engine should be replaced by a fresh one, if it should.
    """

    progress: int = 0
    in_flight: int = 0
    jobs: int = 0
    failed: int = 0
    work_s: float = 0.0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    padding_tokens: int = 0
    cache_hits: int = 0
    cache_misses: int = 0
    reread_tokens: int = 0
    guessed_tokens: int = 0
    accepted_tokens: int = 0
    worn: str = ""


# --- child to supervisor -------------------------------------------------------------------------


class Hello(msgspec.Struct, frozen=True, kw_only=True, tag="hello"):
    child: str
    generation: int
    pid: int


class Loading(msgspec.Struct, frozen=True, tag="loading"):
    """The stage that a worker has come to on its way to ready; each is progress."""

    stage: str


class Ready(msgspec.Struct, frozen=True, kw_only=True, tag="ready"):
    """A worker has loaded and has answered its warm-up jobs; the frontend is listening.

    ``warm`` maps each capability to how its warm-up went: ``ok`` or ``skipped``.
    """

    loaded: Loaded | None = None
    warm: dict[str, str] = {}
    endpoint: str = ""


class BootFailed(msgspec.Struct, frozen=True, kw_only=True, tag="boot_failed"):
    """A worker could not load, or cannot go on. A ``permanent`` reason will not pass by waiting;
    one that came from ``outside`` has nothing to do with what the worker was asked for. ``memory``:
    there was too little."""

    reason: str
    permanent: bool = False
    outside: bool = False
    memory: bool = False


class Heartbeat(msgspec.Struct, frozen=True, kw_only=True, tag="heartbeat"):
    counters: Counters = Counters()


# The largest `Prefixes`.
MOST_PREFIX_BYTES = 256 << 10
# Where they are kept while no worker has them.
KeepPrefixes = Literal["off", "memory", "disk"]


class Prefixes(msgspec.Struct, frozen=True, tag="prefixes"):
    """How the prompts begin that a worker is asked for again and again, in a form of its own: for
    the next worker of the model. Sent when that has changed. Whoever reads it can read prompts."""

    data: bytes


class Misbehaved(msgspec.Struct, frozen=True, kw_only=True, tag="misbehaved"):
    """The frontend cannot read what a worker sends: events are lost, so the worker must go."""

    replica: str
    generation: int
    why: str


class Left(msgspec.Struct, frozen=True, tag="left"):
    """The frontend holds no request any more of a model that `Models` no longer had, and has
    forgotten it: its workers may go. Sent once for each time that a model leaves."""

    model: str


class ModelDemand(msgspec.Struct, frozen=True, kw_only=True):
    """What clients want of one model: how many requests wait, how many its workers have in hand,
    and how many there have been since the frontend started. ``keep_s`` is how long it is to stay
    without work, as a client has said; None: nobody has, -1: for ever. ``wait_s`` is for how long a
    request would wait that came now, or the oldest has, in whole seconds; 0 for a model whose
    number of workers is fixed. ``by_worker`` is who has those in hand, by `child_id`."""

    name: str
    waiting: int
    in_hand: int
    jobs: int
    keep_s: float | None = None
    wait_s: int = 0
    by_worker: dict[str, int] = {}


class Demand(msgspec.Struct, frozen=True, tag="demand"):
    """All models, whenever it has changed for one of them."""

    models: list[ModelDemand]


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """How a model stands: ``count`` workers are to serve it, of which ``ready`` do. ``failed`` is
    why one of the others will not come. A request that came now would wait for ``wait_s``.

    ``jobs`` and ``work`` are what the ready ones have done since they started, in requests and in
    tokens or whatever else grows evenly while they work.
    """

    count: int
    ready: int
    failed: str = ""
    waiting: int = 0
    in_hand: int = 0
    wait_s: float = 0.0
    jobs: int = 0
    work: float = 0.0


class Shared(Seen, frozen=True, kw_only=True, tag="shared"):
    """How a model stands in the cluster that has its replicas, and what all boxes want of it (see
    `Wanted`), from a worker that passes jobs on. This box may have ``room`` jobs in hand there,
    beside those of the others.

    The box that ``decides`` says how many replicas there are, by `Scale`.
    """

    room: int
    decides: bool = False


FromChild = (
    Hello
    | Loading
    | Ready
    | BootFailed
    | Heartbeat
    | Prefixes
    | Shared
    | Misbehaved
    | Left
    | Demand
    | Ask
    | Note
    | AdminAct
)


# --- supervisor to child -------------------------------------------------------------------------


class Start(msgspec.Struct, frozen=True, kw_only=True, tag="start"):
    """Load a model. ``prefixes`` are what its last worker has told by `Prefixes`, empty where there
    was none; None: prompts are not to be remembered."""

    spec: Spec
    prefixes: bytes | None = None


# What the frontend has open besides its clients' connections: sockets to workers, the log,
# libraries, and connections that linger.
FRONTEND_FILES = 256


class AccessConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Who may come in, and how.

    ``api_keys`` maps each key's name to what is known of it; empty: no key is needed.
    ``hosts`` are the names that a request may call this server by; empty: any.
    """

    api_keys: dict[str, ApiKey] = {}
    hosts: list[str] = []
    cors_origins: list[str] = []
    max_connections: int = 4096
    ssl_certfile: str | None = None
    ssl_keyfile: str | None = None


class RemoteImages(msgspec.Struct, frozen=True, kw_only=True):
    """From which ``hosts`` (and their subdomains) images are fetched, if that is ``allowed``."""

    allowed: bool = False
    hosts: list[str] = []
    timeout_s: float = 5.0
    max_bytes: int = 5 << 20


class BatchConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Where files and batches are kept, empty for nowhere; how many bytes of all of them and of one
    upload, how many lines of one file, batches that have not ended, and lines of one at a time."""

    folder: str = ""
    storage_bytes: int = 2 << 30
    max_file_bytes: int = 100 << 20
    max_lines: int = 50_000
    max_batches: int = 32
    lines_at_once: int = 32


class HistoryConfig(msgspec.Struct, frozen=True, kw_only=True):
    """In which file it is kept what the server has done, empty for nowhere; of how many bytes it is
    at most, and for how many days requests, events and samples are in it."""

    file: str = ""
    max_bytes: int = 64 << 20
    days: float = 7.0


class IncidentsConfig(msgspec.Struct, frozen=True, kw_only=True):
    """In which folder a file is kept of each crash, hang or overload, empty for nowhere; of how
    many bytes all of them are at most."""

    folder: str = ""
    max_bytes: int = 32 << 20


class Serve(msgspec.Struct, frozen=True, kw_only=True, tag="serve", forbid_unknown_fields=True):
    """What the frontend needs to serve: the models and its limits. The listening sockets come as
    inherited descriptors, so a new frontend takes over the connections that wait in them.

    ``aliases`` maps other names that clients may send to those of models. ``ollama`` is whether
    Ollama's API is served beside OpenAI's; where that has a listener of its own, it is on there.
    With ``wyoming_announced`` the listener for voice assistants is made known on the network.
    Who is no admin may have a model kept for ``keep_alive_max_s`` without work. ``settings`` are
    all that are in force, by name and without secrets, for people to read. With
    ``trust_trace_parent`` a request's trace is part of its caller's.
    """

    specs: list[Spec]
    aliases: dict[str, str] = {}
    keepalive_s: float = 15.0
    max_json_bytes: int = 20 << 20
    max_audio_bytes: int = 64 << 20
    max_batch_size: int = 2048
    max_text_chars: int = 200_000
    memory_mb: int = 512  # for all requests that the frontend has in hand together
    metrics: bool = True
    vllm_metrics: bool = True  # some of them also under vLLM's names
    ollama: bool = False
    wyoming_announced: bool = False
    keep_alive_max_s: float = 86_400.0
    trust_trace_parent: bool = False
    embedding_usage: bool = True
    gate: AccessConfig = AccessConfig()
    remote_images: RemoteImages = RemoteImages()
    batches: BatchConfig = BatchConfig()
    history: HistoryConfig = HistoryConfig()
    incidents: IncidentsConfig = IncidentsConfig()
    settings: dict[str, Any] = {}


class Reconfigure(msgspec.Struct, frozen=True, tag="reconfigure"):
    """Serve within these limits from now on, and let in whom these say; requests that have come in
    go on as they were. The models in it are those of the last `Models`."""

    serve: Serve


class Models(msgspec.Struct, frozen=True, tag="models"):
    """The models to serve from now on, all of them; the first set comes in `Serve`.

    A new one has a queue at once, a changed one takes effect for requests that come from now on.
    One that is missing takes no new requests (404); what it has goes on and ends as usual, and then
    the frontend says `Left`. One that comes back before that has never left.
    """

    specs: list[Spec]


class Noted(msgspec.Struct, frozen=True, tag="noted"):
    """A `BootFailed` has been read: the process may end, and will not be taken for a crash."""


class States(msgspec.Struct, frozen=True, tag="states"):
    """Every model's state, sent whenever one of them changes."""

    models: list[ModelState]


class Drain(msgspec.Struct, frozen=True, tag="drain"):
    """Take nothing new, finish what is in hand within ``seconds``, then exit 0."""

    seconds: float


class Abandon(msgspec.Struct, frozen=True, tag="abandon"):
    """A frontend has died: nobody waits for the jobs that it sent."""

    owner: str


class Wanted(msgspec.Struct, frozen=True, kw_only=True, tag="wanted"):
    """What this box's clients want of a model of a cluster, for its worker to tell the others: how
    many requests wait and how many are in hand, for how long one would wait that came now, and what
    has been done by now, in requests and in tokens or what else grows evenly."""

    waiting: int = 0
    in_hand: int = 0
    wait_s: float = 0.0
    jobs: int = 0
    work: float = 0.0


class Scale(msgspec.Struct, frozen=True, tag="scale"):
    """Have so many ``replicas`` of the model in its cluster: to the worker of the box that decides
    that."""

    replicas: int


ToChild = (
    Start
    | Noted
    | Serve
    | Reconfigure
    | Models
    | States
    | Drain
    | Abandon
    | Wanted
    | Scale
    | Told
    | Happened
)


def child_id(child: str, generation: int) -> str:
    """A child's socket identity: unique for each generation, so a late frame names its sender."""
    return f"{child}.{generation}"
