"""A cluster as two tables: its boxes, and where the replicas of its models are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from ipc.cluster import ClusterState
from supervisor.cli.table import Column, Row

BOXES = (
    Column("box"),
    Column("state"),
    Column("memory MB", rank=1, right=True),
    Column("GPUs", rank=2, right=True),
    Column("replicas", right=True),
)
MODELS = (Column("model"), Column("state"), Column("replicas", right=True))


def boxes(state: ClusterState) -> Iterator[Row]:
    count = Counter(address for model in state.models for address in model.on)
    for box in state.boxes:
        cells = (box.state, str(box.memory_mb), str(box.gpus), str(count[box.address]))
        yield Row(box.address, cells)


def models(state: ClusterState) -> Iterator[Row]:
    """A row for each; its note are the boxes, and why it does not stand well."""
    for model in state.models:
        told = [", ".join(f"{box} ({n})" for box, n in Counter(model.on).items()), model.why]
        yield Row(
            model.model, (model.state, str(len(model.on))), "; ".join(one for one in told if one)
        )
