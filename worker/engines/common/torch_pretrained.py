"""Loading the transformer of a checkpoint that reads whole texts, and why one does not load."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig
from transformers.utils import logging as transformers_logging

from worker.engine import LoadError


def load_encoder(
    folder: Path, dtype: torch.dtype, pick: Callable[[Any], Any], spare: tuple[str, ...]
) -> Any:
    """The checkpoint in ``folder`` by its own model class, never by code that comes with it.

    ``pick`` chooses the Auto class for its configuration; tensors whose names have one of ``spare``
    in them may be missing. Raises `LoadError`.
    """
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    own = {"local_files_only": True, "trust_remote_code": False}
    try:
        config = AutoConfig.from_pretrained(folder, **own)
        model, report = pick(config).from_pretrained(
            folder,
            dtype=dtype,
            use_safetensors=True,
            output_loading_info=True,
            **own,
        )
    except Exception as error:
        raise load_error(folder, error) from error
    missing = [key for key in report["missing_keys"] if not any(name in key for name in spare)]
    if missing:
        raise LoadError(f"{folder} lacks {len(missing)} tensors, the first {min(missing)}")
    model.config.use_cache = False
    return model


def load_error(path: str | Path, error: Exception) -> LoadError:
    """What transformers says of ``path``, in one line."""
    if "trust_remote_code" in str(error):
        return LoadError(f"{path} needs code of its own, which is never run; take another model")
    return LoadError(f"cannot load {path}: {type(error).__name__}: {' '.join(str(error).split())}")
