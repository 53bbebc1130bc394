"""A repository of the hub as far as it matters which model it holds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from supervisor.models import hub


@dataclass(frozen=True, kw_only=True)
class Repository:
    """``files`` has the bytes of each by its name. ``config`` is its config.json and ``sampling``
    its generation_config.json, empty where it has none; ``parameters`` are as the hub counts them,
    0 where it does not."""

    repo: str
    files: Mapping[str, int]
    config: Mapping[str, Any] = field(default_factory=dict)
    sampling: Mapping[str, Any] = field(default_factory=dict)
    parameters: int = 0
    has_template: bool = False

    def matching(self, patterns: Sequence[str]) -> list[str]:
        """The files that a pull fetches for ``patterns``."""
        but = [] if patterns in (hub.PICKLED, hub.OPENVINO) else hub.EXCLUDE
        return hub.matching(self.files, patterns, but)

    def bytes_of(self, names: Iterable[str]) -> int:
        return sum(self.files[name] for name in names)

    @property
    def architecture(self) -> str:
        """The class that config.json names; empty if it names none."""
        found = self.config.get("architectures")
        return str(found[0]) if isinstance(found, list) and found else ""
