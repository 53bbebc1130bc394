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

from ipc.messages.spec import Loaded, Spec
from worker.engine import LoadError, Stage, check_options
from worker.microbatch import Batched

Array = NDArray[np.int64]
Checkpoint = TypeVar("Checkpoint")
Read = TypeVar("Read", contravariant=True)
Item = TypeVar("Item")

# What the option ``precision`` may be; ``auto`` is bf16 where the device computes in it natively.
PRECISIONS = ("f32", "bf16", "f16", "auto")


class Place(NamedTuple):
    """Where a model computes, and in what."""

    device: str
    precision: str


class Encoder(Protocol[Read]):
    """A model of one library: from arrays of tokens to one output for each text."""

    def load(self, spec: Spec, checkpoint: Read, stage: Stage) -> Place:
        """Take the model of ``checkpoint`` to ``spec.device``. Raises `LoadError`."""
        ...

    def __call__(self, arrays: Sequence[Array]) -> NDArray[np.float32]:
        """The outputs for ``arrays``, each [texts, tokens]. Raises `OutOfMemory`."""
        ...

    def close(self) -> None: ...


class TextModel(Batched, Generic[Checkpoint, Item]):
    """A `Batched` model but for what depends on its task, which a subclass adds."""

    # The names of those among ``spec.options`` that the task reads.
    options: tuple[str, ...]

    def __init__(self, encoder: Encoder[Checkpoint]) -> None:
        self._encoder = encoder

    def load(self, spec: Spec, stage: Stage) -> Loaded:
        check_options(spec, (*self.options, "precision"))
        stage("tokenizer")
        checkpoint = self.read(spec.path)
        self.open(spec, checkpoint)
        return self.loaded(self._encoder.load(spec, checkpoint, stage))

    def run(self, items: Sequence[Item]) -> list[Any]:
        return list(self._encoder(self.pad(items)))

    def close(self) -> None:
        self._encoder.close()

    @staticmethod
    @abstractmethod
    def read(path: str) -> Checkpoint:
        """What the checkpoint at ``path`` says about itself. Raises `LoadError`."""

    @abstractmethod
    def open(self, spec: Spec, checkpoint: Checkpoint) -> None:
        """Get the tokenizer and the limits ready. Raises `LoadError`."""

    @abstractmethod
    def loaded(self, place: Place) -> Loaded: ...

    @abstractmethod
    def pad(self, items: Sequence[Item]) -> Sequence[Array]:
        """The encoder's inputs for ``items``, each [items, longest], padded on the right."""


def precision(spec: Spec) -> str:
    """The option ``precision``, f32 unless told otherwise: vectors are kept for years and compared
    with others that were made elsewhere. Raises `LoadError`."""
    name = str(spec.options.get("precision", "f32"))
    if name not in PRECISIONS:
        raise LoadError(f"option precision={name!r} is not one of {', '.join(PRECISIONS)}")
    return name
