"""A cross-encoder checkpoint as one torch module: token ids of pairs in, logits out.

The torch engine serves it, and the openvino engine converts it.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from transformers import AutoModelForSequenceClassification

from worker.engines.common.torch_pretrained import load_encoder
from worker.engines.encoders.cross import CrossEncoder

# A buffer, not a weight; older checkpoints hold it and newer ones do not.
_UNUSED = ("position_ids",)


class PairModel(nn.Module):
    """``forward`` takes token ids, attention mask and, where the model has segments, those, each
    [pairs, tokens], and gives logits, [pairs], in float32."""

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
