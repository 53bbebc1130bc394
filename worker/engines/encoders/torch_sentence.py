"""A sentence-embedding checkpoint as one torch module: token ids in, vectors out.

The torch engine serves it, and the openvino engine converts it, pooling and all.
"""

from __future__ import annotations

from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import AutoModel, AutoModelForTextEncoding

from worker.engine import LoadError
from worker.engines.common.torch_pretrained import load_encoder
from worker.engines.encoders.sentence import Checkpoint, Dense, Normalize

_ACTIVATIONS: dict[str, type[nn.Module]] = {
    "Identity": nn.Identity,
    "Tanh": nn.Tanh,
    "ReLU": nn.ReLU,
    "GELU": nn.GELU,
    "SiLU": nn.SiLU,
    "Sigmoid": nn.Sigmoid,
}
# Parts that checkpoints leave out or bring along as they please, and that vectors do not need.
_UNUSED = ("pooler.", "embeddings.position_ids")


class SentenceModel(nn.Module):
    """``forward`` takes token ids and attention mask, [texts, tokens], padded on the right, and
    gives vectors, [texts, dimensions], in float32."""

    def __init__(self, checkpoint: Checkpoint, dtype: torch.dtype = torch.float32) -> None:
        """Reads the weights. Raises `LoadError`."""
        super().__init__()
        self.transformer = load_encoder(checkpoint.transformer, dtype, _auto, _UNUSED)
        self.pooling = checkpoint.pooling
        self.layers = nn.Sequential(*(_layer(layer) for layer in checkpoint.layers))

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        hidden = self.transformer(input_ids=input_ids, attention_mask=attention_mask)
        tokens = hidden.last_hidden_state.float()
        pooled = [pool(tokens, attention_mask, mode) for mode in self.pooling]
        vectors: Tensor = self.layers(torch.cat(pooled, dim=1))
        return vectors


class UnitLength(nn.Module):
    """Scales each vector to length 1."""

    def forward(self, vectors: Tensor) -> Tensor:
        return nn.functional.normalize(vectors, dim=1)


def pool(tokens: Tensor, mask: Tensor, mode: str) -> Tensor:
    """One vector per text from its token vectors, [texts, tokens, dimensions].

    The modes are those of sentence-transformers' ``Pooling`` module.
    """
    keep = mask.unsqueeze(-1).to(tokens.dtype)
    if mode == "cls":
        return tokens[:, 0]
    if mode == "lasttoken":
        at = torch.arange(mask.shape[1], device=mask.device)
        is_last = (at == mask.sum(dim=1, keepdim=True) - 1).unsqueeze(-1)
        return tokens.where(is_last, 0).sum(dim=1)
    if mode == "max":
        return tokens.masked_fill(keep == 0, torch.finfo(tokens.dtype).min).amax(dim=1)
    if mode == "weightedmean":
        keep = keep * keep.cumsum(dim=1)
    count = keep.sum(dim=1).clamp(min=1e-9)
    return (tokens * keep).sum(dim=1) / (count.sqrt() if mode == "mean_sqrt_len_tokens" else count)


def _auto(config: Any) -> Any:
    """For T5 and its kin: the encoder alone."""
    encoder = type(config) in AutoModelForTextEncoding._model_mapping
    return AutoModelForTextEncoding if encoder else AutoModel


def _layer(layer: Dense | Normalize) -> nn.Module:
    if isinstance(layer, Normalize):
        return UnitLength()
    if layer.activation not in _ACTIVATIONS:
        raise LoadError(f"{layer.folder} asks for the activation {layer.activation}, not served")
    linear = nn.Linear(layer.in_features, layer.out_features, layer.bias)
    tensors = load_file(layer.folder / "model.safetensors")
    try:
        linear.load_state_dict(
            {key.removeprefix("linear."): tensor.float() for key, tensor in tensors.items()}
        )
    except RuntimeError as error:
        raise LoadError(f"{layer.folder} does not hold the layer that it describes") from error
    return nn.Sequential(linear, _ACTIVATIONS[layer.activation]())
