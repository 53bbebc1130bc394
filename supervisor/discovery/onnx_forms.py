"""The speech models exported to ONNX that a repository has, each in its precisions. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection

from ipc.facts.onnx_asr_files import FLOAT32, Export, exports
from supervisor.discovery.repository import Repository
from supervisor.models.archive import FetchError

# Eight bits are quicker on a CPU, and hardly any of it is computed on a GPU. Other precisions have
# to be named.
_ON_CPU, _ON_GPU = ("int8", "quantized", FLOAT32), (FLOAT32, "int8", "quantized")


def has_model(found: Repository) -> bool:
    return bool(exports(found.files, found.config))


def chosen(found: Repository, wanted: str, *, on_cpu: bool) -> list[Export]:
    """The forms of its only model, the best first; of several the one whose kind, precision or both
    are ``wanted``. Raises `FetchError`."""
    every = exports(found.files, found.config)
    taken = [one for one in every if wanted in ("", one.kind, one.precision, _name(one))]
    if not taken:
        names = ", ".join(_name(one) for one in every)
        raise FetchError(f"hf:{found.repo} has no {wanted}; it has {names}")
    if len({one.kind for one in taken}) > 1:
        some = ", ".join(_name(one) for one in taken[:4])
        raise FetchError(
            f"hf:{found.repo} holds several models; name one after a colon, say of {some}"
        )
    order = _ON_CPU if on_cpu else _ON_GPU
    usual = [one for one in taken if one.precision in order]
    return sorted(usual, key=lambda one: order.index(one.precision)) or taken


def is_form(files: Collection[str], wanted: str) -> bool:
    """Whether these files of a model are the ones in the precision that is ``wanted``."""
    graphs = [file for file in files if file.endswith(".onnx")]
    return any(re.search(rf"[._-]{re.escape(wanted)}\.onnx$", graph) for graph in graphs)


def _name(one: Export) -> str:
    return f"{one.kind}-{one.precision}"
