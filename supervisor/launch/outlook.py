"""What a pull of a model of the catalog would take, before anything is fetched."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from msgspec import structs

from supervisor.config.catalog import Model
from supervisor.config.entries.source import HubRepo, LocalPath
from supervisor.config.settings import Settings
from supervisor.discovery import fit
from supervisor.discovery.fit import Fit
from supervisor.host.hardware import free_mb, total_mb
from supervisor.launch.candidate import Candidate
from supervisor.launch.stages import Launch
from supervisor.models import hub
from supervisor.models.archive import FetchError


@dataclass(frozen=True, kw_only=True)
class Outlook:
    """``fit`` is what ``candidate`` would take; nothing is fetched unless it ``is_missing``.
    ``unsized`` is why it is not known how many bytes those are, empty where it is."""

    candidate: Candidate
    fit: Fit
    is_missing: bool
    unsized: str

    @property
    def is_well(self) -> bool:
        return not self.is_missing or self.fit.verdict in ("fits", "fits_alone")

    def words(self) -> list[str]:
        """For people."""
        spec, variant = self.candidate.spec, self.candidate.model.entry.variant
        what = f"{spec.task} by {spec.engine} on {spec.device}{f', {variant}' if variant else ''}"
        return [f"{spec.name}: {what}", f"{spec.name}: {self._takes()}"]

    def facts(self) -> dict[str, Any]:
        """For programs."""
        spec, entry = self.candidate.spec, self.candidate.model.entry
        return {
            "name": spec.name,
            "task": spec.task,
            "engine": spec.engine,
            "device": spec.device,
            "variant": entry.variant or "",
            **structs.asdict(self.fit),
            "fetch_bytes": None if self.unsized else self.fit.fetch_bytes,
            "verdict": self.fit.verdict if self.is_missing else "",
            "remarks": [],
        }

    def _takes(self) -> str:
        if not self.is_missing:
            return "nothing is to be fetched"
        source = self.candidate.model.entry.origin()
        if self.unsized:
            return f"from {source}; how much there is to fetch is not known: {self.unsized}"
        return f"from {source}: {self.fit.words()}"


def outlook(launch: Launch, settings: Settings, candidate: Candidate) -> Outlook:
    """Asks the hub for sizes that no entry says. Raises `FetchError` for files of one's own that
    are not there."""
    fault = launch.fault(candidate, _silent)
    model, kind = candidate.model, candidate.spec.device.partition(":")[0]
    if fault and isinstance(model.source, LocalPath):
        raise FetchError(f"{candidate.name}: {fault}; correct source in its entry")
    fetch_bytes, unsized = _size(model, settings.hf_token) if fault else (0, "")
    return Outlook(
        candidate=candidate,
        fit=Fit(
            fetch_bytes=fetch_bytes,
            disk_free_bytes=fit.disk_free_bytes(settings.edge_serve_models_dir),
            memory_mb=_needed_mb(candidate),
            memory_free_mb=free_mb(kind),
            memory_total_mb=total_mb() if kind == "cpu" else free_mb(kind),
        ),
        is_missing=fault is not None,
        unsized=unsized,
    )


def _size(model: Model, token: str | None) -> tuple[int, str]:
    """How many bytes its files have; 0 and why not, where nobody tells."""
    entry, source = model.entry, model.source
    if not isinstance(source, HubRepo):
        return sum(file.bytes for file in entry.files.values()), ""
    try:
        return hub.bytes_of(source.repo, source.revision, entry.include, token), ""
    except FetchError as error:
        return 0, str(error)


def _needed_mb(candidate: Candidate) -> int:
    """Of one worker; 0 if nobody knows."""
    memory = candidate.memory
    if memory.mb is None:
        return 0
    return memory.mb if memory.measured else fit.with_margin(memory.mb)


def _silent(_label: str, _done: int, _total: int) -> None:
    return
