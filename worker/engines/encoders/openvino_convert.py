"""The one-time conversion of checkpoints to OpenVINO, in float32, for any number of texts of any
length.

The commonest models are built as they are, any other is exported from torch, which takes an
environment that has it and gigabytes of memory: run this apart.
"""

from __future__ import annotations

from pathlib import Path

import openvino

from worker.engines.encoders import openvino_bert
from worker.engines.encoders.cross import read_cross_encoder
from worker.engines.encoders.openvino_encoder import MODEL_FILE
from worker.engines.encoders.sentence import read_checkpoint


def convert(source: str, target: Path) -> None:
    """Write the embedding checkpoint ``source`` into the folder ``target``, pooling included.
    Raises `LoadError`."""
    checkpoint = read_checkpoint(source)
    if openvino_bert.builds(checkpoint.transformer):
        graph = openvino_bert.sentence_graph(checkpoint)
    else:
        from worker.engines.encoders import openvino_export

        graph = openvino_export.sentence_graph(checkpoint)
    openvino.save_model(graph, target / MODEL_FILE, compress_to_fp16=False)


def convert_pairs(source: str, target: Path) -> None:
    """The same for a cross-encoder, from pairs to logits."""
    checkpoint = read_cross_encoder(source)
    if openvino_bert.builds(checkpoint.folder):
        graph = openvino_bert.pair_graph(checkpoint)
    else:
        from worker.engines.encoders import openvino_export

        graph = openvino_export.pair_graph(checkpoint)
    openvino.save_model(graph, target / MODEL_FILE, compress_to_fp16=False)
