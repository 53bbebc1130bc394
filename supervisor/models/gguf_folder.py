"""A folder whose model is one GGUF file, as `llama.cpp` users keep them."""

from __future__ import annotations

from pathlib import Path

from supervisor.config.errors import ConfigError

# A checkpoint of another kind, beside which a GGUF file may lie.
_OTHERS = ("*.safetensors", "openvino_*model.xml", "model.bin", "pytorch_model*.bin")
_SHOWN = 3


def only_file(folder: Path) -> Path | None:
    """The GGUF file that is the model in ``folder``; None if there is none, or another checkpoint.

    Raises `ConfigError` where there are several: which one is a choice of precision.
    """
    if any(True for form in _OTHERS for _ in folder.glob(form)):
        return None
    # What llama.cpp calls mmproj is the part of a model that sees, in a file of its own.
    found = sorted(one for one in folder.glob("*.gguf") if not one.name.startswith("mmproj"))
    if len(found) > 1:
        names = ", ".join(one.name for one in found[:_SHOWN])
        more = ", …" if len(found) > _SHOWN else ""
        raise ConfigError(f"path: {folder} holds {names}{more}; name the one to load in `path`")
    return found[0] if found else None
