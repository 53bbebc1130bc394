"""The four ideas that cross processes: what to run, what is asked, what comes back, what is alive.

`Spec` is written by the supervisor, `Job` by the frontend, `Event` by a worker. Times named
``*_at`` are seconds of `time.monotonic`, one clock for every process of a machine.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from ipc.messages.errors import ErrorInfo

Task = Literal["chat", "embed", "rerank", "speech"]
# `content_filter`: a server elsewhere held the rest back; no engine of ours does.
Finish = Literal["stop", "length", "content_filter"]

# The reference server's names for what a model can do, as /health and /v1/models print them.
CAPABILITIES: dict[Task, str] = {
    "chat": "chat-completion",
    "embed": "text-embedding",
    "rerank": "rerank",
    "speech": "audio-transcription",
}
VISION = "vision"
TRANSLATION = "audio-translation"


class Blob:
    """Bytes that travel as a frame of their own beside the message that holds them."""

    __slots__ = ("data",)

    def __init__(self, data: bytes) -> None:
        self.data = data

    def __len__(self) -> int:
        return len(self.data)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Blob) and self.data == other.data

    def __hash__(self) -> int:
        return hash(self.data)

    def __repr__(self) -> str:
        return f"Blob({len(self.data)} bytes)"


# --- Spec: what to run ---------------------------------------------------------------------------


class Defaults(msgspec.Struct, frozen=True, kw_only=True):
    """Sampling values of a model for requests that name none."""

    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    repetition_penalty: float = 1.0
    max_tokens: int = 512


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
    threads: int = 0  # 0: the engine's own choice
    replicas: int = 1
    slots: int = 8
    prefetch: int = 2
    queue_limit: int = 32
    queue_bytes: int = 128 << 20
    queue_timeout_s: float = 60.0
    request_timeout_s: float = 600.0
    batch_window_ms: float = 6.0
    batch_tokens: int = 16_384
    cache_items: int = 0  # how many inputs of micro-batches have their outputs kept
    max_prompt_tokens: int = 4096
    max_new_tokens: int = 2048
    stall_s: float = 60.0
    load_stall_s: float = 300.0
    memory_limit_mb: int = 0  # resident memory from which a worker is recycled; 0: no limit
    recycle_jobs: int = 0  # jobs after which it is; 0: never
    vision: bool = False  # a chat model that takes images
    defaults: Defaults = Defaults()
    warmup: Warmup = Warmup()
    options: dict[str, str | int | float | bool] = {}
    owned_by: str = "edge-serve"
    created: int = 0

    @property
    def credit(self) -> int:
        """How many jobs one worker may hold at once."""
        return self.slots + self.prefetch


class Loaded(msgspec.Struct, frozen=True, kw_only=True):
    """What an engine found out by loading: the facts that only the model itself can tell."""

    device: str
    context_tokens: int | None = None
    dimensions: int | None = None
    languages: list[str] | None = None
    detail: str = ""


def capabilities(spec: Spec, loaded: Loaded | None) -> list[str]:
    """What the model can do, by those names, as far as that is known before it has been loaded."""
    known = [CAPABILITIES[spec.task]]
    if spec.vision:
        known.append(VISION)
    # A Whisper of one language was not trained to translate.
    if spec.task == "speech" and loaded is not None and len(loaded.languages or ()) > 1:
        known.append(TRANSLATION)
    return known


# --- Job: what is asked --------------------------------------------------------------------------


class Text(msgspec.Struct, frozen=True, tag="text"):
    text: str


class Image(msgspec.Struct, frozen=True, tag="image"):
    """``file`` is the image as it was sent; only the worker decodes it."""

    file: Blob


class ToolCall(msgspec.Struct, frozen=True, kw_only=True):
    """A call that an assistant's turn made; ``arguments`` is the JSON text of an object."""

    id: str
    name: str
    arguments: str


class Message(msgspec.Struct, frozen=True):
    """One turn of a chat. Only a turn with images is in parts; the texts of others are joined.

    ``tool_calls`` are an assistant's; ``tool_call_id`` says which of them a tool's turn answers.
    ``name`` is the participant's, or that of the tool.
    """

    role: Literal["system", "user", "assistant", "tool"]
    content: str | list[Text | Image]
    tool_calls: list[ToolCall] = []
    tool_call_id: str | None = None
    name: str | None = None

    @property
    def text(self) -> str:
        """The turn for those who see no images."""
        if isinstance(self.content, str):
            return self.content
        return "\n".join(part.text for part in self.content if isinstance(part, Text))


class Sampling(msgspec.Struct, frozen=True, kw_only=True):
    """How to pick tokens. ``temperature`` 0 is greedy; ``stop`` texts are left out.

    ``top_k`` 0, ``min_p`` 0 and ``repetition_penalty`` 1 ask for nothing. The last divides the
    logits of tokens that the prompt or the answer has, as CTRL does (arXiv 1909.05858). A token of
    ``stop_token_ids`` ends the answer as the model's own end tokens do, which ``ignore_eos``
    disregards; no end is taken before ``min_tokens``.
    """

    max_tokens: int
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    stop: list[str] = []
    stop_token_ids: list[int] = []
    ignore_eos: bool = False
    min_tokens: int = 0
    seed: int | None = None
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    repetition_penalty: float = 1.0


class ChatInput(msgspec.Struct, frozen=True, kw_only=True, tag="chat"):
    messages: list[Message]
    sampling: Sampling


class Truncation(msgspec.Struct, frozen=True, kw_only=True):
    """What becomes of a text that is too long: ``cut`` (None: what the model's entry says), to
    ``tokens`` (None: as many as the model takes), special ones included; ``side`` is what goes."""

    cut: bool | None = None
    tokens: int | None = None
    side: Literal["left", "right"] = "right"


class EmbedInput(msgspec.Struct, frozen=True, kw_only=True, tag="embed"):
    """A text may be empty: its vector is that of no words."""

    texts: list[str]
    dimensions: int | None = None
    truncation: Truncation = Truncation()


class RerankInput(msgspec.Struct, frozen=True, kw_only=True, tag="rerank"):
    """``document_tokens`` is how much of each document is read, None for all of it;
    ``activation`` is what the logits go through, None for the model's own."""

    query: str
    documents: list[str]
    document_tokens: int | None = None
    truncation: Truncation = Truncation()
    activation: Literal["Sigmoid", "Identity"] | None = None


class SpeechInput(msgspec.Struct, frozen=True, kw_only=True, tag="speech"):
    """``audio`` is the uploaded file as it came; only the worker decodes it."""

    audio: Blob
    translate: bool = False
    language: str | None = None
    prompt: str | None = None
    temperature: float | None = None
    word_times: bool = False


Input = ChatInput | EmbedInput | RerankInput | SpeechInput


class Job(msgspec.Struct, frozen=True, kw_only=True, tag="job"):
    """One request to one model. ``attempt`` counts how often it was handed to a worker."""

    id: str
    model: str
    input: Input
    deadline_at: float
    attempt: int = 1


class Cancel(msgspec.Struct, frozen=True, tag="cancel"):
    """The client has gone or the deadline has passed: end this job at the next step."""

    job: str


FromFrontend = Job | Cancel


# --- Event: what comes back ----------------------------------------------------------------------


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0


class ChatResult(msgspec.Struct, frozen=True, kw_only=True, tag="chat"):
    """The end of a chat; its text has all gone out as deltas."""

    finish: Finish
    usage: Usage


class EmbedResult(msgspec.Struct, frozen=True, kw_only=True, tag="embed"):
    """``vectors`` holds ``count * dimensions`` little-endian float32, row by row."""

    vectors: Blob
    count: int
    dimensions: int
    usage: Usage


class RerankResult(msgspec.Struct, frozen=True, kw_only=True, tag="rerank"):
    """``scores`` holds one little-endian float32 for each document, in the order of the request;
    the higher, the more relevant."""

    scores: Blob
    count: int
    usage: Usage


class Word(msgspec.Struct, frozen=True):
    word: str
    start: float
    end: float
    probability: float = 0.0


class Segment(msgspec.Struct, frozen=True, kw_only=True):
    """One stretch of speech; times in seconds, log probabilities natural."""

    id: int
    seek: int
    start: float
    end: float
    text: str
    tokens: list[int]
    temperature: float
    avg_logprob: float
    compression_ratio: float
    no_speech_prob: float


class SpeechResult(msgspec.Struct, frozen=True, kw_only=True, tag="speech"):
    """The whole transcript. Its text went out as deltas too, for clients that stream."""

    text: str
    language: str
    duration_s: float
    segments: list[Segment]
    words: list[Word] | None
    usage: Usage


Result = ChatResult | EmbedResult | RerankResult | SpeechResult


class Delta(msgspec.Struct, frozen=True, tag="delta"):
    """A piece of text, and how many tokens it took."""

    job: str
    text: str
    tokens: int = 1


class Done(msgspec.Struct, frozen=True, tag="done"):
    """The end of a job that went well.

    ``began_at`` is when the engine first worked on it, as the loop saw it. The two counts are of a
    job's items (texts, pairs) whose outputs were found in the worker's cache or not; both are 0
    where nothing is cached. ``padding_tokens`` were computed only to make items of a batch equally
    long.
    """

    job: str
    result: Result
    cache_hits: int = 0
    cache_misses: int = 0
    padding_tokens: int = 0
    began_at: float = 0.0


class Failed(msgspec.Struct, frozen=True, kw_only=True, tag="failed"):
    """A job that ended without a result. One that never ``began`` may be queued again."""

    job: str
    error: ErrorInfo
    began: bool = True


Event = Delta | Done | Failed
Terminal = Done | Failed


class Events(msgspec.Struct, frozen=True, tag="events"):
    """What one engine step brought, for one frontend: a single message on the wire."""

    events: list[Event]


# --- Replica: what is alive ----------------------------------------------------------------------

ReplicaState = Literal["stopped", "starting", "ready", "draining", "backoff", "failed"]


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """A living worker: one generation of one replica.

    One that is not ``open`` finishes what it has and takes nothing new; one that is no longer
    listed is dead, and so are the jobs it had.
    """

    replica: str
    generation: int
    endpoint: str
    credit: int
    open: bool = True


class ModelState(msgspec.Struct, frozen=True, kw_only=True):
    """One model as the frontend may use it: its routes, or why it has none.

    ``faulty`` has the last generation of each replica that ended by its own doing, by the name of
    its route: what it was working on may be why. One that was killed from outside, or for want of
    memory that others took, is not among them.
    """

    name: str
    routes: list[Route]
    state: ReplicaState
    faulty: list[str] = []
    was_ready: bool = False
    reason: str | None = None
    retry_after_s: float | None = None
    loaded: Loaded | None = None
