"""Which files of a Hugging Face repository are a model, and their download."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from fnmatch import fnmatchcase
from pathlib import Path

from supervisor.models import hub_files
from supervisor.models.archive import FetchError, Report
from supervisor.models.hub_files import HubFile, Listing

# Weights, configuration, tokenizers. Not *.bin, *.pt and the like: those are pickles, which run
# code when they are loaded.
INCLUDE = ["*.safetensors", "*.json", "*.txt", "*.model", "*.jinja"]
EXCLUDE = ["*.pt", "*.pth", "*.ckpt", "*.pkl", "*.pickle", "*.h5", "*.msgpack", "pytorch_model*"]
# Fetched where a repository has no safetensors: a model in OpenVINO's format.
OPENVINO = ["openvino_*.xml", "openvino_*.bin"]
# Fetched where it has neither; `to_safetensors` beside this makes safetensors of them.
PICKLED = ["pytorch_model*.bin", "*/pytorch_model*.bin", "pytorch_model.bin.index.json"]
# How many files come at once: many small ones wait for answers rather than for the line.
_AT_ONCE = 4


def matching(names: Iterable[str], patterns: Sequence[str], but: Sequence[str]) -> list[str]:
    """Those of the ``names`` that one of the ``patterns`` fits, and none of ``but``."""
    return [name for name in names if _fits(name, patterns) and not _fits(name, but)]


def download(
    repo: str,
    revision: str,
    include: list[str] | None,
    folder: Path,
    report: Report,
    token: str | None,
) -> dict[str, str]:
    """Fill ``folder`` with the files of ``repo``, going on with what an interrupted download of
    the same has left there. Returns the SHA-256 of each, which is as the hub says.

    Without ``include`` those are the safetensors and what goes with them, or a model in OpenVINO's
    format where there are none, or else pickled weights. Raises `FetchError`.
    """
    label = f"hf:{repo}"
    report(label, 0, 0)  # how much it will be shows when the hub has told
    here = hub_files.listing(repo, revision, token)
    names = _chosen(here, include)
    files = [file for file in here.files if file.name in names]
    done = _Progress(label, sum(file.size for file in files), report)
    return _fetch_all(here, files, folder, done, token)


def bytes_of(repo: str, revision: str, include: list[str] | None, token: str | None) -> int:
    """How many bytes `download` would fetch. Raises `FetchError`."""
    here = hub_files.listing(repo, revision, token)
    names = _chosen(here, include)
    return sum(file.size for file in here.files if file.name in names)


def _chosen(here: Listing, include: list[str] | None) -> set[str]:
    names = [file.name for file in here.files]
    if include:
        return set(matching(names, include, EXCLUDE))
    found = matching(names, INCLUDE, EXCLUDE)
    if any(name.endswith(".safetensors") for name in found):
        return set(found)
    openvino = matching(names, OPENVINO, [])
    if any(name.endswith(".xml") for name in openvino):
        return {*found, *openvino}
    pickled = matching(names, PICKLED, [])
    if not any(name.endswith(".bin") for name in pickled):
        raise FetchError(
            f"hf:{here.repo} has neither safetensors nor pytorch_model.bin; name the files to take "
            "in include, such as ['*Q4_K_M.gguf']"
        )
    return {*found, *pickled}


def _fetch_all(
    here: Listing, files: Sequence[HubFile], folder: Path, done: _Progress, token: str | None
) -> dict[str, str]:
    stop = threading.Event()
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        started = {
            pool.submit(
                hub_files.fetch, here, file, folder / file.name, token, done.count, stop
            ): file.name
            for file in files
        }
        try:
            wait(started, return_when=FIRST_EXCEPTION)
        finally:
            stop.set()  # those that are still at it end, since all others are no use without one
            for task in started:
                task.cancel()
        failed = [error for one in started if not one.cancelled() and (error := one.exception())]
    if failed:
        raise failed[0]
    return {name: task.result() for task, name in started.items()}


class _Progress:
    """Adds up what several threads have fetched."""

    def __init__(self, label: str, total: int, report: Report) -> None:
        self._label = label
        self._total = total
        self._report = report
        self._done = 0
        self._lock = threading.Lock()

    def count(self, more: int) -> None:
        with self._lock:
            self._done += more
            self._report(self._label, self._done, self._total)


def _fits(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)
