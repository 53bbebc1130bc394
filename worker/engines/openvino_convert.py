"""The one-time conversion of an embedding checkpoint to OpenVINO. Imports torch: run it apart."""

from __future__ import annotations

from pathlib import Path

import openvino
import torch

from worker.engine import LoadError
from worker.engines.openvino_embed import MODEL_FILE
from worker.engines.sentence import Checkpoint, read_checkpoint
from worker.engines.torch_sentence import SentenceModel

# Far above what float32 loses on the way, far below what a wrong graph would cost.
_MIN_COSINE = 0.9999
_MAX_PROBE_TOKENS = 48


def convert(source: str, target: Path) -> None:
    """Write the checkpoint ``source`` into the folder ``target`` in float32, pooling included, for
    any number of texts of any length. Raises `LoadError`, also when the result disagrees."""
    checkpoint = read_checkpoint(source)
    model = SentenceModel(checkpoint).eval()
    # OpenVINO makes one fused operation of scaled-dot-product attention, but gives NaN where a mask
    # leaves a position nothing to look at, as sliding windows do in padding. Plain attention can.
    for attention in ("sdpa", "eager"):
        model.transformer.set_attn_implementation(attention)
        graph = _graph(model, checkpoint)
        cosine = _agreement(model, graph, checkpoint)
        if cosine >= _MIN_COSINE:
            openvino.save_model(graph, target / MODEL_FILE, compress_to_fp16=False)
            return
    raise LoadError(
        f"{source} does not survive conversion to OpenVINO (cosine {cosine:.4f}); "
        "serve it with engine torch"
    )


def _graph(model: SentenceModel, checkpoint: Checkpoint) -> openvino.Model:
    half = min(checkpoint.max_tokens, _MAX_PROBE_TOKENS) // 2
    example = _batch(checkpoint, [half, half + 1])
    any_size = {0: torch.export.Dim.AUTO, 1: torch.export.Dim.AUTO}
    sizes = dict.fromkeys(example, any_size)
    with torch.no_grad():
        # By export rather than by tracing: the masks of newer transformers cannot be traced.
        program = torch.export.export(model, (), example, dynamic_shapes=sizes, strict=False)
    return openvino.convert_model(program)


def _agreement(model: SentenceModel, graph: openvino.Model, checkpoint: Checkpoint) -> float:
    """The least cosine between the vectors of both, of batches of other sizes than the example."""
    longest = min(checkpoint.max_tokens, _MAX_PROBE_TOKENS)
    compiled = openvino.compile_model(graph, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    least = 1.0
    for lengths in ([1, longest, longest // 3 or 1], [longest], [1]):
        batch = _batch(checkpoint, lengths)
        with torch.no_grad():
            expected = model(**batch)
        got = torch.from_numpy(compiled([ids.numpy() for ids in batch.values()])[0])
        least = min(least, *torch.cosine_similarity(expected, got).nan_to_num(nan=-1.0).tolist())
    return least


def _batch(checkpoint: Checkpoint, lengths: list[int]) -> dict[str, torch.Tensor]:
    """Texts of such lengths, of small token ids that every vocabulary has."""
    mask = (torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]).long()
    ids = 5 + torch.arange(mask.numel()).reshape(mask.shape) % 97
    return {"input_ids": ids.where(mask == 1, checkpoint.pad_token), "attention_mask": mask}
