"""The keys of an entry, each with what it may be."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    AliasChoices,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    model_validator,
)

from ipc.messages.jobs import Task
from ipc.messages.spec import LoadWhen, Option, Scaling
from supervisor.config.values import (
    Count,
    Device,
    OptionalCount,
    OptionalCountOrZero,
    OptionalMilliseconds,
    OptionalSeconds,
    OptionalSecondsOrZero,
    Seconds,
)

MAX_ALIAS_CHARS = 256  # as long as a request's `model` may be


def plain_name(name: str) -> str:
    """A name that is safe in a URL, a log line and, with its slash replaced, as a folder. It may
    end with a tag, as Ollama's and llama.cpp's users tell the forms of a model apart."""
    word = r"[A-Za-z0-9][\w.-]*"
    if not re.fullmatch(rf"{word}(/{word})?(:{word})?", name, re.ASCII):
        raise ValueError(
            f"{name!r} is not a model name; use letters, digits, . _ - and one slash, perhaps with "
            "a tag such as :Q4_K_M"
        )
    return name


def _alias(name: str) -> str:
    """Another name for a model: it is sent by clients, and never becomes a folder."""
    if len(name) > MAX_ALIAS_CHARS or not re.fullmatch(r"[A-Za-z0-9][\w.:@/-]*", name, re.ASCII):
        raise ValueError(f"{name!r} is not a name; use letters, digits and . _ - : @ /")
    return name


def inner_path(text: str) -> str:
    """``text`` if it is a path that stays below the folder it is joined to."""
    parts = text.split("/")
    if not text or "\\" in text or ":" in text or any(part in ("", ".", "..") for part in parts):
        raise ValueError(f"{text!r} is not a path inside the model's folder")
    return text


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class File(_Strict):
    """One file of a model: where in the packages it comes from, and what it must be.

    Several members are parts, joined in their order; size and digest are of the whole.
    """

    members: Annotated[list[str], BeforeValidator(_listed), Field(alias="from", min_length=1)]
    bytes: Count
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Sampling(_Strict):
    temperature: Annotated[float | None, Field(ge=0, le=2)] = None
    top_p: Annotated[float | None, Field(gt=0, le=1)] = None
    top_k: Annotated[int | None, Field(ge=0, lt=1 << 31)] = None
    min_p: Annotated[float | None, Field(ge=0, lt=1)] = None
    presence_penalty: Annotated[float | None, Field(ge=-2, le=2)] = None
    frequency_penalty: Annotated[float | None, Field(ge=-2, le=2)] = None
    repetition_penalty: Annotated[float | None, Field(ge=0.01, le=10)] = None
    max_tokens: OptionalCount = None


class Replicas(_Strict):
    """How many workers: one more of them, up to ``max``, while requests would wait for ``wait_s``;
    one fewer where that has been enough for ``idle_s``."""

    min: Count = 1
    max: Count
    wait_s: Seconds = Scaling().wait_s
    idle_s: Seconds = Scaling().idle_s

    @model_validator(mode="after")
    def _in_order(self) -> Replicas:
        if self.min > self.max:
            raise ValueError(f"min: {self.min} is more than max: {self.max}; swap them")
        return self


def _range(value: Any) -> Any:
    return value if value is None or isinstance(value, dict) else {"min": value, "max": value}


class Variant(_Strict):
    """One of the forms in which a model can be had, the best first: what it needs, the kinds of
    device that it is for (all, if it names none), and its keys in place of the entry's."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][\w.-]*$")]
    memory_mb: Count
    devices: list[Literal["cpu", "cuda", "mps"]] = []
    source: str | None = None
    hf_repo_id: str | None = None
    files: dict[str, File] | None = None
    include: list[str] | None = None
    path: str | None = None


class Entry(_Strict):
    """One model. Keys left out take the value of the environment or of `ipc.messages.spec.Spec`."""

    name: Annotated[str, AfterValidator(plain_name)]
    task: Task
    aliases: Annotated[list[Annotated[str, AfterValidator(_alias)]], BeforeValidator(_listed)] = []
    description: str = ""
    memory_mb: OptionalCount = None  # what its worker takes when serving, measured

    source: str | None = None
    hf_repo_id: str | None = None  # short for source: hf:<repository>
    files: dict[Annotated[str, AfterValidator(inner_path)], File] = {}
    include: list[str] | None = None  # which files of a hub repository, as glob patterns
    path: Annotated[str, AfterValidator(inner_path)] | None = None  # the file to load
    variants: list[Variant] = []
    variant: str | None = None  # which of them; None: the one that fits this box

    engine: str = Field(default="auto", validation_alias=AliasChoices("engine", "handler"))
    device: Device | None = None
    load: LoadWhen | None = None
    idle_unload_s: OptionalSecondsOrZero = None  # 0: it stays
    pin: bool = False
    priority: Annotated[int, Field(ge=-100, le=100)] = 0
    threads: OptionalCount = None
    cluster: bool = False  # its replicas are on any boxes of this one's cluster
    replicas: Annotated[Replicas | None, BeforeValidator(_range)] = None
    slots: OptionalCount = None
    prefetch: OptionalCountOrZero = None
    migrate: bool | None = None
    queue_limit: OptionalCount = None
    queue_mb: OptionalCount = None
    queue_timeout_s: OptionalSeconds = None
    request_timeout_s: OptionalSeconds = None
    batch_window_ms: OptionalMilliseconds = None
    batch_tokens: OptionalCount = None
    cache_items: OptionalCountOrZero = None
    max_prompt_tokens: OptionalCount = None
    max_new_tokens: OptionalCount = None
    stall_s: OptionalSeconds = None
    load_stall_s: OptionalSeconds = None
    memory_limit_mb: OptionalCount = None
    recycle_jobs: OptionalCount = None
    golden: str | None = None  # a file of what it must answer, relative to the catalog's folder
    vision: bool | None = None  # a chat model that takes images; None: if its files say so
    defaults: Sampling = Sampling()
    options: dict[str, Option] = {}

    @property
    def least_replicas(self) -> int:
        return self.replicas.min if self.replicas is not None else 1

    def origin(self) -> str | None:
        """The source as text, however it was written."""
        return f"hf:{self.hf_repo_id}" if self.hf_repo_id else self.source
