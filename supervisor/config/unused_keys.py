"""Keys of a catalog entry that would have no effect: on its task, or on where its files are."""

from __future__ import annotations

from collections.abc import Collection

from ipc.messages.spec import Task

_TASKS_OF: dict[str, tuple[Task, ...]] = {
    "max_new_tokens": ("chat",),
    "defaults": ("chat",),
    "vision": ("chat",),
    "max_prompt_tokens": ("chat", "embed", "rerank"),
    "batch_window_ms": ("embed", "rerank"),
    "batch_tokens": ("embed", "rerank"),
    "cache_items": ("embed", "rerank"),
}
_SCHEMES_OF = {"files": ("pypi", "sdist"), "include": ("hf",)}


def unused(keys: Collection[str], task: Task, origin: str | None) -> str | None:
    """What is wrong with the first of the ``keys`` that nothing would read; None if all are read.

    ``origin`` is the source as text, None where the engine needs no files.
    """
    for key, tasks in _TASKS_OF.items():
        if key in keys and task not in tasks:
            return f"{key}: {task} models have no use for it; remove it"
    scheme = (origin or "").partition(":")[0]
    for key, schemes in _SCHEMES_OF.items():
        if key in keys and scheme not in schemes:
            of = " and ".join(f"{each}:" for each in schemes)
            return f"{key}: is for sources of {of} only; remove it"
    if "path" in keys and origin is None:
        return "path: there is no source that it could be in; remove it or add a source"
    return None
