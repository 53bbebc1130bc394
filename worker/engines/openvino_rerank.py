"""Reranking by OpenVINO, from a checkpoint converted once. Serving needs no torch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ipc.types import Loaded, Spec
from worker.engine import Stage
from worker.engines.cross import read_cross_encoder
from worker.engines.openvino_model import Forward, converted
from worker.engines.rerank import Pair, PairScoring
from worker.microbatch import MicroBatch

_CONVERT = "worker.engines.openvino_convert:convert_pairs"


class OpenvinoPairs(PairScoring):
    """A `Batched` model."""

    def load(self, spec: Spec, stage: Stage) -> Loaded:
        self._forward = Forward(spec)
        stage("tokenizer")
        checkpoint = read_cross_encoder(spec.path)
        self.open(spec, checkpoint)
        folder = converted(spec, checkpoint.folder, _CONVERT, stage)
        stage("compiling")
        self._forward.place(folder)
        return self.loaded(self._forward.device)

    def run(self, items: Sequence[Pair]) -> list[np.float32]:
        return list(self._forward(self.pad(items)))

    def close(self) -> None:
        self._forward.close()


class OpenvinoRerank(MicroBatch):
    """The engine of reranking models on OpenVINO."""

    def __init__(self) -> None:
        super().__init__(OpenvinoPairs())

    def prepare(self, spec: Spec, stage: Stage) -> None:
        """Convert the checkpoint now, so that a worker need not. Raises `LoadError`."""
        converted(spec, read_cross_encoder(spec.path).folder, _CONVERT, stage)
