"""Loading the transformer of a checkpoint that reads whole texts."""

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
        message = f"{type(error).__name__}: {' '.join(str(error).split())}"
        if "trust_remote_code" in message:
            message = "it needs code that comes with it, and such code is never run"
        raise LoadError(f"cannot load {folder}: {message}") from error
    missing = [key for key in report["missing_keys"] if not any(name in key for name in spare)]
    if missing:
        raise LoadError(f"{folder} lacks {len(missing)} tensors, the first {min(missing)}")
    model.config.use_cache = False
    return model
