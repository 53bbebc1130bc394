"""Embeddings by torch, on any device that it knows."""

from __future__ import annotations

from collections.abc import Sequence

from ipc.types import Loaded, Spec
from worker.engine import Stage
from worker.engines.embed import TextEmbedding, Tokens, Vector
from worker.engines.sentence import read_checkpoint
from worker.engines.torch_encoder import Forward, dtype_of
from worker.engines.torch_sentence import SentenceModel
from worker.microbatch import MicroBatch


class TorchSentence(TextEmbedding):
    """A `Batched` model."""

    def load(self, spec: Spec, stage: Stage) -> Loaded:
        self._forward = Forward(spec)
        stage("tokenizer")
        checkpoint = read_checkpoint(spec.path)
        self.open(spec, checkpoint)
        stage("weights")
        self._forward.place(SentenceModel(checkpoint, dtype_of(spec)))
        return self.loaded(str(self._forward.device))

    def run(self, items: Sequence[Tokens]) -> list[Vector]:
        return list(self._forward(self.pad(items)))

    def close(self) -> None:
        self._forward.close()


class TorchEmbed(MicroBatch):
    """The engine of embedding models on torch."""

    def __init__(self) -> None:
        super().__init__(TorchSentence())
