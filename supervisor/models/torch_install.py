"""Torch and what goes with it, which not every box needs."""

from __future__ import annotations

from ipc.engines import ENGINES
from ipc.messages.spec import Spec
from supervisor.models.archive import Report
from supervisor.models.optional_packages import OptionalPackages

TORCH = OptionalPackages("torch", ("torch", "transformers", "accelerate"))


def serves_by_torch(spec: Spec) -> bool:
    """Whether serving takes torch. What a conversion takes is found out by trying it."""
    return spec.engine in ENGINES and ENGINES[spec.engine].needs_torch


def is_here() -> bool:
    """Whether torch can be imported, whatever its version."""
    return TORCH.are_here()


def install(report: Report) -> None:
    """Have torch here, see `OptionalPackages.install`. Raises `FetchError`."""
    TORCH.install(report)
