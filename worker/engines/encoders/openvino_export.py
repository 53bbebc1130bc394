"""Any checkpoint as a graph of OpenVINO, exported from torch and held against it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import openvino
import torch
from torch import Tensor, nn

from worker.engine import LoadError
from worker.engines.encoders.cross import CrossEncoder
from worker.engines.encoders.sentence import Checkpoint
from worker.engines.encoders.torch_cross import PairModel
from worker.engines.encoders.torch_sentence import SentenceModel

# Far above what float32 loses on the way, far below what a wrong graph would cost.
_MAX_COSINE_ERROR = 1e-4
_MAX_LOGIT_ERROR = 1e-3
_MAX_PROBE_TOKENS = 48

Batch = dict[str, Tensor]
MakeBatch = Callable[[list[int]], Batch]
Distance = Callable[[Tensor, Tensor], Tensor]


def sentence_graph(checkpoint: Checkpoint) -> openvino.Model:
    """From token ids and attention mask to vectors. Raises `LoadError`, also when the graph and
    torch disagree."""
    model = SentenceModel(checkpoint).eval()
    longest = min(checkpoint.max_tokens, _MAX_PROBE_TOKENS)

    def batch(lengths: list[int]) -> Batch:
        return _batch(lengths, checkpoint.pad_token)

    def distance(one: Tensor, other: Tensor) -> Tensor:
        return (1 - torch.cosine_similarity(one, other)) / _MAX_COSINE_ERROR

    return _exported(model, checkpoint.folder, batch, longest, distance)


def pair_graph(checkpoint: CrossEncoder) -> openvino.Model:
    """From pairs to logits. Raises as `sentence_graph`."""
    model = PairModel(checkpoint).eval()
    longest = min(checkpoint.max_tokens, _MAX_PROBE_TOKENS)

    def batch(lengths: list[int]) -> Batch:
        inputs = _batch(lengths, checkpoint.pad_token)
        if checkpoint.segments:
            mask = inputs["attention_mask"]
            inputs["token_type_ids"] = mask * (mask.cumsum(dim=1) * 2 > mask.sum(dim=1)[:, None])
        return inputs

    def distance(one: Tensor, other: Tensor) -> Tensor:
        return (one - other).abs() / (_MAX_LOGIT_ERROR * (1 + one.abs()))

    return _exported(model, checkpoint.folder, batch, longest, distance)


def _exported(
    model: nn.Module, folder: Path, batch: MakeBatch, longest: int, distance: Distance
) -> openvino.Model:
    """``model`` as OpenVINO's, once the two agree; a ``distance`` over 1 is too far."""
    # OpenVINO makes one fused operation of scaled-dot-product attention, but gives NaN where a mask
    # leaves a position nothing to look at, as sliding windows do in padding. Plain attention can.
    for attention in ("sdpa", "eager"):
        model.transformer.set_attn_implementation(attention)  # type: ignore[operator, union-attr]
        graph = _graph(model, batch([longest // 2, longest // 2 + 1]))
        farthest = _farthest(model, graph, batch, longest, distance)
        if farthest <= 1:
            return graph
    raise LoadError(
        f"{folder} does not survive conversion to OpenVINO (off by {farthest:.3g} times what is "
        "allowed); serve it with engine torch"
    )


def _graph(model: nn.Module, example: Batch) -> openvino.Model:
    any_size = {0: torch.export.Dim.AUTO, 1: torch.export.Dim.AUTO}
    sizes = dict.fromkeys(example, any_size)
    with torch.no_grad():
        # By export rather than by tracing: the masks of newer transformers cannot be traced.
        program = torch.export.export(model, (), example, dynamic_shapes=sizes, strict=False)
    return openvino.convert_model(program)


def _farthest(
    model: nn.Module, graph: openvino.Model, batch: MakeBatch, longest: int, distance: Distance
) -> float:
    """How far both are apart at most, in batches of other sizes than the example."""
    compiled = openvino.compile_model(graph, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    farthest = 0.0
    for lengths in ([1, longest, longest // 3 or 1], [longest], [1]):
        inputs = batch(lengths)
        with torch.no_grad():
            expected = model(**inputs)
        got = torch.from_numpy(compiled([ids.numpy() for ids in inputs.values()])[0])
        apart = distance(expected, got).nan_to_num(nan=torch.inf)
        farthest = max(farthest, *apart.tolist())
    return farthest


def _batch(lengths: list[int], pad_token: int) -> Batch:
    """Texts of such lengths, of small token ids that every vocabulary has."""
    mask = (torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]).long()
    ids = 5 + torch.arange(mask.numel()).reshape(mask.shape) % 97
    return {"input_ids": ids.where(mask == 1, pad_token), "attention_mask": mask}
