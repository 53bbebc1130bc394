"""Embeddings by OpenVINO, from a checkpoint converted once. Serving needs no torch."""

from __future__ import annotations

from collections.abc import Sequence

from ipc.types import Loaded, Spec
from worker.engine import Stage
from worker.engines.embed import TextEmbedding, Tokens, Vector
from worker.engines.openvino_model import Forward, converted
from worker.engines.sentence import read_checkpoint
from worker.microbatch import MicroBatch

_CONVERT = "worker.engines.openvino_convert:convert"


class OpenvinoSentence(TextEmbedding):
    """A `Batched` model."""

    def load(self, spec: Spec, stage: Stage) -> Loaded:
        self._forward = Forward(spec)
        stage("tokenizer")
        checkpoint = read_checkpoint(spec.path)
        self.open(spec, checkpoint)
        folder = converted(spec, checkpoint.folder, _CONVERT, stage)
        stage("compiling")
        self._forward.place(folder)
        return self.loaded(self._forward.device)

    def run(self, items: Sequence[Tokens]) -> list[Vector]:
        return list(self._forward(self.pad(items)))

    def close(self) -> None:
        self._forward.close()


class OpenvinoEmbed(MicroBatch):
    """The engine of embedding models on OpenVINO."""

    def __init__(self) -> None:
        super().__init__(OpenvinoSentence())

    def prepare(self, spec: Spec, stage: Stage) -> None:
        """Convert the checkpoint now, so that a worker need not. Raises `LoadError`."""
        converted(spec, read_checkpoint(spec.path).folder, _CONVERT, stage)
