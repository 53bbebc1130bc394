"""The device that torch computes on, and its threads."""

from __future__ import annotations

import contextlib

import torch

from worker.engine import LoadError

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def find_device(name: str) -> torch.device:
    """The device called ``name``. Raises `LoadError` rather than fall back to another."""
    try:
        device = torch.device(name)
    except RuntimeError:
        raise LoadError(f"device {name!r} is not one of cpu, cuda, cuda:N, mps") from None
    if device.type == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if (device.index or 0) >= count:
            raise LoadError(f"device {name} is not there: CUDA sees {count}", permanent=False)
        # cuDNN's attention makes a plan for each new shape, and a prompt or a token of an answer is
        # one: Whisper took 54 ms a token on an H200.
        torch.backends.cuda.enable_cudnn_sdp(False)
        return torch.device("cuda", device.index or 0)
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise LoadError("device mps is not there", permanent=False)
    if device.type not in ("cpu", "mps"):
        raise LoadError(f"device {name!r} is not one of cpu, cuda, cuda:N, mps")
    return device


def use_threads(threads: int) -> None:
    """Let torch compute on so many threads; 0 leaves it its own choice."""
    if threads > 0:
        torch.set_num_threads(threads)
    # One engine thread runs one model: threads between operators would only sit idle. Torch takes
    # this once per process and refuses it afterwards.
    with contextlib.suppress(RuntimeError):
        torch.set_num_interop_threads(1)
