"""The tasks that models are for. What the rest of the program knows of a task stands here, once.

A new task is a name with its messages (`ipc.messages.jobs`, `ipc.messages.events`), a descriptor
here, a route of the frontend and an engine. The descriptor drives the warm-up, the metrics, the
first example, the smoke test, the keys of catalog entries and how the settings apply.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ipc.facts.samples import SENTENCE, tone_wav
from ipc.messages.blob import Blob
from ipc.messages.events import (
    ChatResult,
    EmbedResult,
    RerankResult,
    Result,
    SpeakResult,
    SpeechResult,
)
from ipc.messages.jobs import (
    ChatInput,
    EmbedInput,
    Image,
    Input,
    Message,
    RerankInput,
    Sampling,
    SpeakInput,
    SpeechInput,
    Task,
    Text,
)
from ipc.messages.spec import Loaded, Spec

# What a model may be able to do beside its task.
VISION = "vision"
TRANSLATION = "audio-translation"
TOOLS, REASONING, FILL = "tools", "reasoning", "fill"
# It goes on with an answer that another server of this kind has begun.
MIGRATION = "migration"
_CHAT_SKILLS: Mapping[str, Callable[[Loaded], bool]] = {
    TOOLS: lambda loaded: loaded.tools,
    REASONING: lambda loaded: loaded.reasoning,
    FILL: lambda loaded: loaded.fills,
}


class WrongAnswer(Exception):
    """An answer of the API that is well formed, and wrong."""


@dataclass(frozen=True, kw_only=True)
class Smoke:
    """A small real request, and what to say of its answer.

    ``fields`` are its body beside ``model``; with an ``upload`` they are a form's, and the file is
    sent with them. ``summary`` makes a line of the answer's JSON, or of its bytes where the answer
    is a file. It raises `WrongAnswer`; or `LookupError`, `TypeError` or `ValueError` if the answer
    does not have the API's shape.
    """

    fields: Mapping[str, Any]
    summary: Callable[[Any], str]
    upload: Path | None = None
    gives_file: bool = False


@dataclass(frozen=True, kw_only=True)
class TaskDescriptor:
    """What is known of one task.

    ``capability`` and ``metric_prefix`` are the names that the reference server and its dashboards
    have for it, ``path`` is its route. ``warm_up`` makes a small job, for each step another one,
    since an answer may come from a cache. ``example`` is a first request as a user would write it,
    less its ``model``; None if it or its answer needs more than JSON.

    ``catalog_keys`` are the keys of an entry that only some tasks read, and this one does.
    ``settings`` names, for a key of `Spec`, the setting that gives its value unless the entry does;
    if the setting ``batching`` is off, the values of ``unbatched`` hold instead. ``limits`` are
    values of `Spec` for which there is no setting.
    """

    capability: str
    input: type[Input]
    result: type[Result]
    path: str
    metric_prefix: str
    warm_up: Callable[[int], Input]
    smoke: Smoke
    example: Mapping[str, Any] | None = None
    catalog_keys: tuple[str, ...] = ()
    settings: Mapping[str, str]
    batching: str | None = None
    unbatched: Mapping[str, float] = field(default_factory=dict)
    limits: Mapping[str, float] = field(default_factory=dict)

    @property
    def has_cache(self) -> bool:
        """Whether workers batch its texts by length and keep their outputs."""
        return "cache_items" in self.catalog_keys


def short_chat(content: str | list[Text | Image]) -> ChatInput:
    """A chat of one turn, answered greedily in a few tokens."""
    sampling = Sampling(max_tokens=4, temperature=0.0)
    return ChatInput(messages=[Message("user", content)], sampling=sampling)


# --- chat ----------------------------------------------------------------------------------------


def _first_answer(answer: Any) -> str:
    message = answer["choices"][0]["message"]
    # So short an answer of one that thinks may be nothing else.
    text: str = message["content"] or message.get("reasoning_content")
    if not text:
        raise WrongAnswer("the answer is empty")
    return text


CHAT = TaskDescriptor(
    capability="chat-completion",
    input=ChatInput,
    result=ChatResult,
    path="/v1/chat/completions",
    metric_prefix="chat",
    warm_up=lambda _step: short_chat("Hello"),
    example={"messages": [{"role": "user", "content": "Who are you?"}]},
    smoke=Smoke(
        fields={"messages": [{"role": "user", "content": "Say hello."}], "max_tokens": 16},
        summary=_first_answer,
    ),
    catalog_keys=("max_new_tokens", "defaults", "vision", "max_prompt_tokens"),
    batching="enable_chat_batching",
    unbatched={"slots": 1},
    settings={
        "slots": "chat_batch_max_size",
        "queue_limit": "chat_batch_queue_size",
        "max_prompt_tokens": "chat_max_prompt_tokens",
        "max_new_tokens": "chat_max_new_tokens",
    },
)


# --- texts ---------------------------------------------------------------------------------------

_TEXT_KEYS = ("max_prompt_tokens", "batch_window_ms", "batch_tokens", "cache_items")
_TEXT_SETTINGS = {
    "slots": "embedding_batch_window_max_size",
    "queue_limit": "embedding_batch_queue_size",
    "batch_window_ms": "embedding_batch_window_ms",
    "request_timeout_s": "embedding_generate_timeout_sec",
}
_UNBATCHED_TEXTS = {"slots": 1, "batch_window_ms": 0.0}
# Clients send a document's pieces all at once, and wait five minutes for each and longer.
# What attention takes of memory grows with the square of a text's tokens.
_TEXT_LIMITS = {"queue_timeout_s": 300.0, "max_prompt_tokens": 4096}


def _vectors(answer: Any) -> str:
    rows = [row["embedding"] for row in answer["data"]]
    sizes = {len(row) for row in rows}
    if len(rows) != 2 or len(sizes) != 1 or rows[0] == rows[1]:
        raise WrongAnswer(
            f"{len(rows)} vectors of {sorted(sizes)} dimensions, or equal ones, for 2"
        )
    return f"2 vectors of {len(rows[0])} dimensions"


EMBED = TaskDescriptor(
    capability="text-embedding",
    input=EmbedInput,
    result=EmbedResult,
    path="/v1/embeddings",
    metric_prefix="embedding",
    warm_up=lambda step: EmbedInput(texts=[f"Hello {step}"]),
    example={"input": "hello"},
    smoke=Smoke(fields={"input": ["hello", "world"]}, summary=_vectors),
    catalog_keys=_TEXT_KEYS,
    batching="enable_embedding_batching",
    unbatched=_UNBATCHED_TEXTS,
    settings={**_TEXT_SETTINGS, "cache_items": "embedding_cache_size"},
    limits=_TEXT_LIMITS,
)

_DOCUMENTS = ("Paris is the capital of France.", "A panda is a bear.")


def _best_document(answer: Any) -> str:
    found = answer["results"]
    if sorted(row["index"] for row in found) != [0, 1]:
        raise WrongAnswer(f"{len(found)} results for 2 documents")
    return f"best: {_DOCUMENTS[found[0]['index']]}"


RERANK = TaskDescriptor(
    capability="rerank",
    input=RerankInput,
    result=RerankResult,
    path="/v1/rerank",
    metric_prefix="rerank",
    warm_up=lambda step: RerankInput(query="Hello", documents=[f"Hello {step}"]),
    example={"query": "a small bear", "documents": ["panda", "paris"]},
    smoke=Smoke(
        fields={"query": "capital of France", "documents": _DOCUMENTS}, summary=_best_document
    ),
    catalog_keys=_TEXT_KEYS,
    batching="enable_embedding_batching",
    unbatched=_UNBATCHED_TEXTS,
    settings=_TEXT_SETTINGS,
    limits=_TEXT_LIMITS,
)


# --- speech --------------------------------------------------------------------------------------

SPEECH = TaskDescriptor(
    capability="audio-transcription",
    input=SpeechInput,
    result=SpeechResult,
    path="/v1/audio/transcriptions",
    metric_prefix="audio",
    warm_up=lambda _step: SpeechInput(audio=Blob(tone_wav(seconds=1.0))),
    smoke=Smoke(fields={}, summary=lambda answer: str(answer["text"]), upload=SENTENCE),
    settings={
        "slots": "audio_max_concurrent",
        "queue_limit": "audio_max_queue_size",
        "queue_timeout_s": "audio_queue_timeout_sec",
        "request_timeout_s": "audio_process_timeout_sec",
    },
    # A step is one window of audio, which takes a slow box half a minute if speech repeats itself.
    limits={"stall_s": 120.0},
)


# --- speech out ----------------------------------------------------------------------------------

# What the API has `pcm` be: 24,000 samples a second, of 2 bytes.
PCM_BYTES_A_SECOND = 48_000


def _heard(answer: Any) -> str:
    if not any(answer):
        raise WrongAnswer("the answer is silent")
    return f"{len(answer) / PCM_BYTES_A_SECOND:.1f} s of sound"


SPEAK = TaskDescriptor(
    capability="text-to-speech",
    input=SpeakInput,
    result=SpeakResult,
    path="/v1/audio/speech",
    metric_prefix="speak",
    warm_up=lambda _step: SpeakInput(text="Hello there."),
    smoke=Smoke(
        fields={"input": "Hello there.", "response_format": "pcm"},
        summary=_heard,
        gives_file=True,
    ),
    settings={
        "slots": "speak_max_concurrent",
        "queue_limit": "audio_max_queue_size",
        "queue_timeout_s": "audio_queue_timeout_sec",
        "request_timeout_s": "audio_process_timeout_sec",
    },
)


# -------------------------------------------------------------------------------------------------

TASKS: Mapping[Task, TaskDescriptor] = MappingProxyType(
    {"chat": CHAT, "embed": EMBED, "rerank": RERANK, "speech": SPEECH, "speak": SPEAK}
)
CAPABILITIES: dict[Task, str] = {task: each.capability for task, each in TASKS.items()}


def capabilities(spec: Spec, loaded: Loaded | None) -> list[str]:
    """What the model can do, as far as that is known before it has been loaded."""
    known = [TASKS[spec.task].capability]
    if spec.vision:
        known.append(VISION)
    if loaded is not None:
        known += [name for name, has in _CHAT_SKILLS.items() if has(loaded)]
        known += [MIGRATION] if loaded.goes_on and spec.migrate else []
    if loaded is not None and loaded.translates:
        known.append(TRANSLATION)
    return known
