"""What is known of one model on its way to being served."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from ipc.messages.spec import Spec
from supervisor.cluster import forwarding
from supervisor.config.catalog import Model
from supervisor.config.spec import Files
from supervisor.host.hardware import Box
from supervisor.launch.memory import Memory
from supervisor.models.store import Manifest


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A model of the catalog, its variant chosen, and what has been found out about it by now.

    ``pulled`` is what the store has by its name, ``files`` what its files are, and ``spec`` what a
    worker would be told on ``box``, each part of it by whom ``said_by`` has, see `Specified`.
    ``weights`` tells its files from others, and ``memory`` is what one worker takes of the box. A
    stage that changes one of these returns another candidate.
    """

    model: Model
    pulled: Manifest | None
    files: Files
    box: Box
    spec: Spec
    said_by: dict[str, str]
    weights: str
    memory: Memory

    @property
    def name(self) -> str:
        return self.model.entry.name

    @property
    def variant_here(self) -> str:
        """Which of its variants has been pulled; empty if none has."""
        return self.pulled.variant if self.pulled else ""

    @property
    def needed_mb(self) -> int:
        """What all its replicas take; 0 if nobody knows."""
        if self.model.entry.cluster:
            return forwarding.MEMORY_MB
        return (self.memory.mb or 0) * self.spec.replicas


class Candidates(NamedTuple):
    """The chosen models, and a line for each variant and engine that was chosen by what was found
    out here: which, and why."""

    all: list[Candidate]
    notes: list[str]

    def with_reasons(self) -> Candidates:
        """The same, with the lines of engines."""
        specs = [one.spec for one in self.all if one.spec.engine_why]
        told = [f"{spec.name}: engine {spec.engine}: {spec.engine_why}" for spec in specs]
        return Candidates(self.all, self.notes + told)
