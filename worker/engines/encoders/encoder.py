"""What every engine of models that read whole texts is made of: a task, and an encoder.

The task cuts texts into tokens and makes answers of what comes out; the encoder is the model, by
one library or another. `embed` and `rerank` are the tasks, `openvino_encoder` and `torch_encoder`
the libraries, each with the engines that come of it.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from ipc.engine_options import Precision, RerankOptions
from ipc.messages.spec import Loaded, Spec
from worker.engine import Stage, options_of
from worker.microbatch import Batched

Array = NDArray[np.int64]
Checkpoint = TypeVar("Checkpoint")
Read = TypeVar("Read", contravariant=True)
Item = TypeVar("Item")
Options = TypeVar("Options", bound=RerankOptions)


class Place(NamedTuple):
    """Where a model computes, and in what."""

    device: str
    precision: str


class Encoder(Protocol[Read]):
    """A model of one library: from arrays of tokens to one output for each text."""

    def load(self, spec: Spec, checkpoint: Read, precision: Precision, stage: Stage) -> Place:
        """Take the model of ``checkpoint`` to ``spec.device``, to compute in ``precision``; auto
        is bf16 where the device computes in it natively, else f32. Raises `LoadError`."""
        ...

    def __call__(self, arrays: Sequence[Array]) -> NDArray[np.float32]:
        """The outputs for ``arrays``, each [texts, tokens]. Raises `OutOfMemory`."""
        ...

    def close(self) -> None: ...


class TextModel(Batched, Generic[Checkpoint, Options, Item]):
    """A `Batched` model but for what depends on its task, which a subclass adds."""

    options: type[Options]

    def __init__(self, encoder: Encoder[Checkpoint]) -> None:
        self._encoder = encoder

    def load(self, spec: Spec, stage: Stage) -> Loaded:
        options = options_of(spec, self.options)
        stage("tokenizer")
        checkpoint = self.read(spec.path)
        self.open(spec, options, checkpoint)
        return self.loaded(self._encoder.load(spec, checkpoint, options.precision, stage))

    def run(self, items: Sequence[Item]) -> list[Any]:
        return list(self._encoder(self.pad(items)))

    def close(self) -> None:
        self._encoder.close()

    @staticmethod
    @abstractmethod
    def read(path: str) -> Checkpoint:
        """What the checkpoint at ``path`` says about itself. Raises `LoadError`."""

    @abstractmethod
    def open(self, spec: Spec, options: Options, checkpoint: Checkpoint) -> None:
        """Get the tokenizer and the limits ready. Raises `LoadError`."""

    @abstractmethod
    def loaded(self, place: Place) -> Loaded: ...

    @abstractmethod
    def pad(self, items: Sequence[Item]) -> Sequence[Array]:
        """The encoder's inputs for ``items``, each [items, longest], padded on the right."""
