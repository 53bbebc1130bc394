"""What only CUDA has: steps captured as graphs, tokens that come to the host while the next step
runs, and memory of its own. Everything is on the one stream of the engine's thread, so what was
begun first is done first."""

from __future__ import annotations

import bisect
import logging
from collections.abc import Callable
from typing import Any

import torch

from worker.engines.torch_chat.sampling import ALL, GREEDY, USUAL, Need

logger = logging.getLogger(__name__)

Step = Callable[[int, Need], None]
# The kinds of sampling that have graphs of their own, the cheapest first.
_KINDS = (GREEDY, USUAL, ALL)

# Beside weights, keys and values: what a forward needs while it runs, and the graphs.
_WORKING_BYTES = 2 << 30
_WORKING_SHARE = 0.1


class Graphs:
    """A ``step`` for so many slots at most as there are ``sizes``, launched as one graph each.

    BatchSlots beyond those in use are run too; that costs less than a graph for each count. What is
    picked greedily has graphs of its own, since drawing from a large vocabulary takes a while, and
    so has what uses only the usual options. What few ask for (grammars, biases, log probabilities)
    is in no graph: such a step is launched operation by operation.
    """

    def __init__(self, step: Step, sizes: list[int]) -> None:
        self._step = step
        self._sizes = sizes
        self._graphs: dict[tuple[int, Need], torch.cuda.CUDAGraph] = {}

    @property
    def detail(self) -> str:
        return f"{len(self._graphs)} CUDA graphs" if self._graphs else "no CUDA graphs"

    def run(self, count: int, need: Need) -> None:
        """Begin a step of the first ``count`` slots."""
        size = self._sizes[bisect.bisect_left(self._sizes, count)]
        kind = next((kind for kind in _KINDS if kind.covers(need)), need)
        graph = self._graphs.get((size, kind))
        if graph is None:
            self._step(size, kind)
        else:
            graph.replay()

    def capture(self) -> None:
        """Capture every graph. Where a model does what cannot be captured, steps are launched
        operation by operation instead, and the log says why."""
        pool = None
        try:
            # The largest first: the smaller ones then find room in its memory.
            for size in reversed(self._sizes):
                for kind in reversed(_KINDS):
                    graph = self._captured(size, kind, pool)
                    pool = pool or graph.pool()
                    self._graphs[size, kind] = graph
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            self._graphs.clear()
            reason = str(error).partition("\n")[0]
            logger.warning("decode_not_captured", extra={"reason": reason})

    def _captured(self, size: int, need: Need, pool: Any) -> torch.cuda.CUDAGraph:
        stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(2):  # kernels are chosen, compiled and given their memory before
                self._step(size, need)
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        # Other threads may go on using CUDA meanwhile.
        with torch.cuda.graph(graph, pool=pool, capture_error_mode="thread_local"):
            self._step(size, need)
        return graph


class Arriving:
    """``numbers`` on their way to the host."""

    def __init__(self, numbers: torch.Tensor) -> None:
        on_cuda = numbers.device.type == "cuda"
        self._host = torch.empty(numbers.shape, dtype=numbers.dtype, pin_memory=on_cuda)
        self._host.copy_(numbers, non_blocking=True)
        self._done: torch.cuda.Event | None = None
        if on_cuda:
            # Waiting sleeps rather than spins, for there are other threads in this process.
            self._done = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]
            self._done.record()

    def read(self) -> list[Any]:
        """Wait until they are here. Returns a number each, or a list of those of a row."""
        if self._done is not None:
            self._done.synchronize()
        found: list[Any] = self._host.tolist()
        return found


def free_bytes(device: torch.device) -> int:
    """How much memory of a CUDA device can be given to keys and values."""
    torch.cuda.empty_cache()
    free, total = torch.cuda.mem_get_info(device)
    return max(0, free - min(_WORKING_BYTES, int(total * _WORKING_SHARE)))
