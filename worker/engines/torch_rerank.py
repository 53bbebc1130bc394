"""Reranking by torch, on any device that it knows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from transformers import AutoModelForSequenceClassification

from ipc.types import Loaded, Spec
from worker.engine import Stage
from worker.engines.cross import CrossEncoder, read_cross_encoder
from worker.engines.rerank import Pair, PairScoring
from worker.engines.torch_encoder import Forward, dtype_of, load_encoder
from worker.microbatch import MicroBatch

# A buffer, not a weight; older checkpoints hold it and newer ones do not.
_UNUSED = ("position_ids",)


class PairModel(nn.Module):
    """A cross-encoder: ``forward`` takes token ids, attention mask and, where the model has
    segments, those, each [pairs, tokens], and gives logits, [pairs], in float32.

    The openvino engine converts it.
    """

    def __init__(self, checkpoint: CrossEncoder, dtype: torch.dtype = torch.float32) -> None:
        """Reads the weights. Raises `LoadError`."""
        super().__init__()
        self.transformer = load_encoder(
            checkpoint.folder, dtype, lambda _: AutoModelForSequenceClassification, _UNUSED
        )

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None = None
    ) -> Tensor:
        segments = {} if token_type_ids is None else {"token_type_ids": token_type_ids}
        found = self.transformer(input_ids=input_ids, attention_mask=attention_mask, **segments)
        logits: Tensor = found.logits[:, 0].float()
        return logits


class TorchPairs(PairScoring):
    """A `Batched` model."""

    def load(self, spec: Spec, stage: Stage) -> Loaded:
        self._forward = Forward(spec)
        stage("tokenizer")
        checkpoint = read_cross_encoder(spec.path)
        self.open(spec, checkpoint)
        stage("weights")
        self._forward.place(PairModel(checkpoint, dtype_of(spec)))
        return self.loaded(str(self._forward.device))

    def run(self, items: Sequence[Pair]) -> list[np.float32]:
        return list(self._forward(self.pad(items)))

    def close(self) -> None:
        self._forward.close()


class TorchRerank(MicroBatch):
    """The engine of reranking models on torch."""

    def __init__(self) -> None:
        super().__init__(TorchPairs())
