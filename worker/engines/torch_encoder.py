"""Models that read whole texts, by torch: their loading, and their forward pass on a device."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from transformers import AutoConfig
from transformers.utils import logging as transformers_logging

from ipc.errors import OutOfMemory
from ipc.types import Spec
from worker.engine import LoadError
from worker.engines.torch_load import DTYPES, find_device, use_threads


class Forward:
    """A module on its device, from arrays to arrays."""

    def __init__(self, spec: Spec) -> None:
        """Finds the device. Raises `LoadError`."""
        self.device = find_device(spec.device)
        self._path = spec.path
        use_threads(spec.threads)

    def place(self, module: nn.Module) -> None:
        """Take ``module`` onto the device. Raises `LoadError`."""
        try:
            self._module = module.eval().to(self.device)
        except torch.OutOfMemoryError as error:
            reason = f"{self._path} does not fit on {self.device}: {error}"
            raise LoadError(reason, permanent=False) from error

    def __call__(self, arrays: Sequence[NDArray[np.int64]]) -> NDArray[np.float32]:
        """The module's output for ``arrays``, in their order. Raises `OutOfMemory`."""
        inputs = [torch.from_numpy(array).to(self.device) for array in arrays]
        try:
            with torch.inference_mode():
                output: NDArray[np.float32] = self._module(*inputs).cpu().numpy()
        except torch.OutOfMemoryError as error:
            if self.device.type == "cuda":
                torch.cuda.empty_cache()
            raise OutOfMemory(f"{self.device} has no memory left; try again later") from error
        return output

    def close(self) -> None:
        del self._module


def dtype_of(spec: Spec) -> torch.dtype:
    """The option ``dtype``: float32 unless told otherwise, since outputs are compared with others
    that were made long before. Raises `LoadError`."""
    name = str(spec.options.get("dtype", "float32"))
    if name not in DTYPES:
        raise LoadError(f"option dtype={name!r} is not one of {', '.join(DTYPES)}")
    return DTYPES[name]


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
