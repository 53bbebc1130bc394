"""What was computed lately, by what it was computed from."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

Output = TypeVar("Output")


class Cache(Generic[Output]):
    """Holds the ``limit`` outputs that were asked for last; 0 holds none."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._outputs: OrderedDict[Hashable, Output] = OrderedDict()

    def get(self, key: Hashable) -> Output | None:
        """The output kept under ``key``, which is now the last to go."""
        output = self._outputs.get(key)
        if output is not None:
            self._outputs.move_to_end(key)
        return output

    def put(self, key: Hashable, output: Output) -> None:
        self._outputs[key] = output
        self._outputs.move_to_end(key)
        while len(self._outputs) > self.limit:
            self._outputs.popitem(last=False)
