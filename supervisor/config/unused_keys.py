"""Keys of a catalog entry that would have no effect: on its task, or on where its files are."""

from __future__ import annotations

from collections.abc import Collection

from ipc.messages.jobs import Task
from ipc.tasks import TASKS

_OF_SOME_TASKS = dict.fromkeys(key for task in TASKS.values() for key in task.catalog_keys)
_SCHEMES_OF = {"files": ("pypi", "sdist"), "include": ("hf",)}


def unused(keys: Collection[str], task: Task, origin: str | None) -> str | None:
    """What is wrong with the first of the ``keys`` that nothing would read; None if all are read.

    ``origin`` is the source as text, None where the engine needs no files.
    """
    for key in _OF_SOME_TASKS:
        if key in keys and key not in TASKS[task].catalog_keys:
            return f"{key}: {task} models have no use for it; remove it"
    scheme = (origin or "").partition(":")[0]
    for key, schemes in _SCHEMES_OF.items():
        if key in keys and scheme not in schemes:
            of = " and ".join(f"{each}:" for each in schemes)
            return f"{key}: is for sources of {of} only; remove it"
    if "path" in keys and origin is None:
        return "path: there is no source that it could be in; remove it or add a source"
    return None
