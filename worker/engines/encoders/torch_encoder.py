"""Models that read whole texts, by torch, on any device that it knows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from ipc.engine_options import Precision
from ipc.messages.errors import OutOfMemory
from ipc.messages.spec import Spec
from worker.engine import LoadError, Stage
from worker.engines.common.torch_device import find_device, use_threads
from worker.engines.encoders.embed import TextEmbedding
from worker.engines.encoders.encoder import Array, Checkpoint, Place
from worker.engines.encoders.rerank import PairScoring
from worker.engines.encoders.torch_cross import PairModel
from worker.engines.encoders.torch_sentence import SentenceModel
from worker.microbatch import MicroBatch

_DTYPES = {"f32": torch.float32, "bf16": torch.bfloat16, "f16": torch.float16}


class TorchEncoder(Generic[Checkpoint]):
    """An `Encoder`: a module that ``build`` makes of a checkpoint."""

    def __init__(self, build: Callable[[Checkpoint, torch.dtype], nn.Module]) -> None:
        self._build = build

    def load(self, spec: Spec, checkpoint: Checkpoint, precision: Precision, stage: Stage) -> Place:
        device = find_device(spec.device)
        computed_in = _computed_in(precision, device)
        use_threads(spec.threads)
        stage("weights")
        module = self._build(checkpoint, _DTYPES[computed_in])
        try:
            self._module = module.eval().to(device)
        except torch.OutOfMemoryError as error:
            reason = f"{spec.path} does not fit on {device}: {error}"
            raise LoadError(reason, permanent=False) from error
        self._device = device
        return Place(str(device), computed_in)

    def __call__(self, arrays: Sequence[Array]) -> NDArray[np.float32]:
        inputs = [torch.from_numpy(array).to(self._device) for array in arrays]
        try:
            with torch.inference_mode():
                output: NDArray[np.float32] = self._module(*inputs).cpu().numpy()
        except torch.OutOfMemoryError as error:
            if self._device.type == "cuda":
                torch.cuda.empty_cache()
            raise OutOfMemory(f"{self._device} has no memory left; try again later") from error
        return output

    def close(self) -> None:
        del self._module


class TorchEmbed(MicroBatch):
    """The engine of embedding models on torch."""

    def __init__(self) -> None:
        super().__init__(TextEmbedding(TorchEncoder(SentenceModel)))


class TorchRerank(MicroBatch):
    """The engine of reranking models on torch."""

    def __init__(self) -> None:
        super().__init__(PairScoring(TorchEncoder(PairModel)))


def _computed_in(precision: Precision, device: torch.device) -> str:
    if precision != "auto":
        return precision
    # Of a CPU torch does not tell whether it has bfloat16, and one without it loses much.
    native = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    return "bf16" if native else "f32"
