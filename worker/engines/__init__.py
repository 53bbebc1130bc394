"""Each folder here wraps one model library, and only here are such libraries imported.

`ipc.engines` has the entry of each, with its classes by name, so that looking one up imports
nothing else. An engine may also be named by a dotted path of the user's own.
"""

from __future__ import annotations

import importlib
import sys
from typing import cast

from ipc.engines import ENGINES, serving
from ipc.messages.spec import Spec
from worker.engine import Engine, LoadError
from worker.engines.own import OwnEngine

# Importing OpenVINO would look up an analytics service and write into the home folder.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]

# The modules that requirements-torch.txt adds to an environment.
_TORCH = {"torch", "transformers", "accelerate", "jinja2"}


class TorchMissing(LoadError):
    """Torch is not installed, nor has to be but for what was tried."""


def is_for_want_of_torch(error: BaseException) -> bool:
    """Whether an import failed since torch, or what goes with it, is not installed as a whole."""
    return isinstance(error, ImportError) and (error.name or "").partition(".")[0] in _TORCH


def make(spec: Spec) -> Engine:
    """The engine that ``spec`` asks for, not loaded yet. Raises `LoadError`."""
    served = serving(spec.engine, spec.task)
    path = served.at if served else "" if spec.engine in ENGINES else spec.engine
    module, _, name = path.rpartition(".")
    if not module:
        raise LoadError(f"engine {spec.engine!r} does not serve {spec.task} models")
    try:
        made = cast(Engine, getattr(importlib.import_module(module), name)())
    except (ImportError, AttributeError) as error:
        if is_for_want_of_torch(error):
            raise TorchMissing(
                f"engine {path} needs torch: {error}; run: edge-serve pull {spec.name}"
            ) from error
        raise LoadError(f"engine {path} cannot be imported: {error}") from error
    return made if served else cast(Engine, OwnEngine(spec.engine, made))
