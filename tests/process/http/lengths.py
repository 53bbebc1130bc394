"""An embedding engine of the tests' own: a text's vector is its length, and work is noted."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path

from ipc.messages.blob import Blob
from ipc.messages.events import EmbedResult, Usage
from ipc.messages.jobs import EmbedInput, Job
from ipc.messages.spec import Loaded, Spec
from worker.engine import Stage
from worker.microbatch import MicroBatch


class _Lengths:
    """A `Batched` model; appends a byte to the file named by the option ``forwards`` for each item
    that it computes."""

    def load(self, spec: Spec, _: Stage) -> Loaded:
        self._forwards = Path(str(spec.options["forwards"]))
        return Loaded(device="cpu", dimensions=1)

    def split(self, job: Job) -> list[str]:
        assert isinstance(job.input, EmbedInput)
        return job.input.texts

    def size(self, item: str) -> int:
        return len(item)

    def key(self, item: str) -> str:
        return item

    def run(self, items: Sequence[str]) -> list[float]:
        with self._forwards.open("a") as file:
            file.write("." * len(items))
        return [float(len(item)) for item in items]

    def join(self, _: Job, items: Sequence[str], outputs: Sequence[float]) -> EmbedResult:
        return EmbedResult(
            vectors=Blob(struct.pack(f"<{len(outputs)}f", *outputs)),
            count=len(outputs),
            dimensions=1,
            usage=Usage(prompt_tokens=sum(map(len, items))),
        )

    def close(self) -> None:
        pass


class Lengths(MicroBatch):
    def __init__(self) -> None:
        super().__init__(_Lengths())
