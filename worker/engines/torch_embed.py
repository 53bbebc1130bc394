"""Embeddings by torch, on any device that it knows."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from ipc.errors import OutOfMemory
from ipc.types import Loaded, Spec
from worker.engine import LoadError, Stage
from worker.engines.embed import TextEmbedding, Tokens, Vector
from worker.engines.sentence import read_checkpoint
from worker.engines.torch_load import DTYPES, find_device, use_threads
from worker.engines.torch_sentence import SentenceModel
from worker.microbatch import MicroBatch


class TorchSentence(TextEmbedding):
    """A `Batched` model. Computes in the option ``dtype``, float32 unless told otherwise, since
    vectors are compared with others that were made long before."""

    def load(self, spec: Spec, stage: Stage) -> Loaded:
        self._device = find_device(spec.device)
        use_threads(spec.threads)
        stage("tokenizer")
        checkpoint = read_checkpoint(spec.path)
        self.open(spec, checkpoint)
        stage("weights")
        self._model = self._placed(SentenceModel(checkpoint, _dtype(spec)), spec)
        return self.loaded(str(self._device))

    def run(self, items: Sequence[Tokens]) -> list[Vector]:
        ids, mask = (torch.from_numpy(array).to(self._device) for array in self.pad(items))
        try:
            with torch.inference_mode():
                vectors = self._model(ids, mask).cpu().numpy()
        except torch.OutOfMemoryError as error:
            if self._device.type == "cuda":
                torch.cuda.empty_cache()
            raise OutOfMemory(f"{self._device} has no memory left; try again later") from error
        return list(vectors)

    def close(self) -> None:
        del self._model

    def _placed(self, model: SentenceModel, spec: Spec) -> SentenceModel:
        try:
            return model.eval().to(self._device)
        except torch.OutOfMemoryError as error:
            reason = f"{spec.path} does not fit on {self._device}: {error}"
            raise LoadError(reason, permanent=False) from error


class TorchEmbed(MicroBatch):
    """The engine of embedding models on torch."""

    def __init__(self) -> None:
        super().__init__(TorchSentence())


def _dtype(spec: Spec) -> torch.dtype:
    name = str(spec.options.get("dtype", "float32"))
    if name not in DTYPES:
        raise LoadError(f"option dtype={name!r} is not one of {', '.join(DTYPES)}")
    return DTYPES[name]
