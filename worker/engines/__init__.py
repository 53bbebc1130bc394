"""Each file here wraps one model library, and only here are such libraries imported.

`ENGINES` is the map from (engine, task) to the class that serves it, by name, so that looking one
up imports nothing else. An engine may also be named by a dotted path of the user's own.
"""

from __future__ import annotations

import importlib
import sys
from typing import cast

from ipc.messages.spec import Spec
from worker.engine import Engine, LoadError

# Importing OpenVINO would look up an analytics service and write into the home folder.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]

ENGINES: dict[tuple[str, str], str] = {
    ("openvino", "chat"): "worker.engines.openvino_chat.engine.OpenvinoChat",
    ("openvino", "embed"): "worker.engines.encoders.openvino_encoder.OpenvinoEmbed",
    ("openvino", "rerank"): "worker.engines.encoders.openvino_encoder.OpenvinoRerank",
    ("llama.cpp", "chat"): "worker.engines.llama_cpp.engine.LlamaChat",
    ("torch", "chat"): "worker.engines.torch_chat.engine.TorchChat",
    ("torch", "embed"): "worker.engines.encoders.torch_encoder.TorchEmbed",
    ("torch", "rerank"): "worker.engines.encoders.torch_encoder.TorchRerank",
    ("torch", "speech"): "worker.engines.whisper.torch_speech.TorchSpeech",
    ("ctranslate2", "speech"): "worker.engines.whisper.ctranslate2_speech.WhisperSpeech",
    ("remote", "chat"): "worker.engines.upstream.remote.Remote",
    ("remote", "embed"): "worker.engines.upstream.remote.Remote",
    ("remote", "rerank"): "worker.engines.upstream.remote.Remote",
    ("remote", "speech"): "worker.engines.upstream.remote.Remote",
    ("command", "chat"): "worker.engines.upstream.command.Command",
    ("command", "embed"): "worker.engines.upstream.command.Command",
    ("command", "rerank"): "worker.engines.upstream.command.Command",
    ("command", "speech"): "worker.engines.upstream.command.Command",
    ("echo", "chat"): "worker.engines.echo.engine.Echo",
    ("echo", "embed"): "worker.engines.echo.engine.Echo",
    ("echo", "rerank"): "worker.engines.echo.engine.Echo",
    ("echo", "speech"): "worker.engines.echo.engine.Echo",
}

# The modules that requirements-torch.txt adds to an environment.
_TORCH = {"torch", "transformers", "accelerate", "jinja2"}


class TorchMissing(LoadError):
    """Torch is not installed, nor has to be but for what was tried."""


def is_for_want_of_torch(error: BaseException) -> bool:
    """Whether an import failed since torch, or what goes with it, is not installed as a whole."""
    return isinstance(error, ImportError) and (error.name or "").partition(".")[0] in _TORCH


def make(spec: Spec) -> Engine:
    """The engine that ``spec`` asks for, not loaded yet. Raises `LoadError`."""
    ours = any(engine == spec.engine for engine, _ in ENGINES)
    path = ENGINES.get((spec.engine, spec.task), "" if ours else spec.engine)
    module, _, name = path.rpartition(".")
    if not module:
        raise LoadError(f"engine {spec.engine!r} does not serve {spec.task} models")
    try:
        return cast(Engine, getattr(importlib.import_module(module), name)())
    except (ImportError, AttributeError) as error:
        if is_for_want_of_torch(error):
            raise TorchMissing(
                f"engine {path} needs torch: {error}; run: edge-serve pull {spec.name}"
            ) from error
        raise LoadError(f"engine {path} cannot be imported: {error}") from error
