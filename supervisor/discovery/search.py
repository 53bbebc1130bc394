"""A search of the hub, with what each model would take here."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from supervisor.models import hub_files

MOST = 100
# What the hub's kinds of models are here; others no engine serves.
TASKS = {
    "text-generation": "chat",
    "image-text-to-text": "chat",
    "feature-extraction": "embed",
    "sentence-similarity": "embed",
    "text-ranking": "rerank",
    "automatic-speech-recognition": "speech",
    "text-to-speech": "speak",
}
_BYTES_OF = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "F8_E4M3": 1, "I8": 1}
# Of a weight in the precision that most take of a GGUF file, Q4_K_M.
_GGUF_BYTES = 0.6
_FACTS = ("downloads", "gated", "gguf", "pipeline_tag", "safetensors", "tags")
# Beside its weights a worker needs room for its work.
_WORK_MB = 500


class Hit(NamedTuple):
    """``size_bytes`` is None where the hub does not tell; of GGUF files it is that of Q4_K_M."""

    repo: str
    task: str
    size_bytes: int | None
    downloads: int
    gated: bool

    def needs_mb(self) -> int | None:
        """Roughly, of memory."""
        return None if self.size_bytes is None else (self.size_bytes >> 20) + _WORK_MB


def search(words: str, task: str | None, limit: int, token: str | None) -> Iterator[Hit]:
    """The models that are served here, the most fetched ones first. Raises `FetchError`."""
    hits = [_hit(info) for info in hub_files.search(words, MOST, _FACTS, token)]
    wanted = [hit for hit in hits if hit.task and task in (None, hit.task)]
    yield from wanted[:limit]


def _hit(info: Any) -> Hit:
    tags = info.tags or []
    is_gguf = "gguf" in tags
    task = TASKS.get(info.pipeline_tag or "", "chat" if is_gguf else "")
    return Hit(info.id, task, _size(info), info.downloads or 0, bool(info.gated))


def _size(info: Any) -> int | None:
    if isinstance(info.gguf, dict) and isinstance(total := info.gguf.get("total"), int):
        return int(total * _GGUF_BYTES)
    counts = getattr(info.safetensors, "parameters", None)
    if not isinstance(counts, dict) or not counts:
        return None
    return sum(_BYTES_OF.get(kind, 2) * int(count) for kind, count in counts.items())
