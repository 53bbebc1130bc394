"""What /admin/models says, as a table: which models are in memory, what they take, for how long."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from supervisor.cli.fleet_table import duration
from supervisor.cli.table import Column, Row

COLUMNS = (
    Column("model"),
    Column("state"),
    Column("MB", right=True),
    Column("queue", right=True),
    Column("busy", rank=1, right=True),
    Column("idle", right=True),
    Column("leaves in", right=True),
    Column("load", rank=2, right=True),
    Column("device", rank=3),
)


def rows(models: Iterable[dict[str, Any]]) -> Iterator[Row]:
    """A row for each model. Its memory is what it takes now, else what it was measured to."""
    for model in models:
        memory, jobs = model.get("memory") or {}, model.get("jobs") or {}
        stay = model.get("residency") or {}
        mb = memory.get("resident_mb") or memory.get("measured_mb") or memory.get("estimated_mb")
        cells = (
            _state(model),
            f"{mb:.0f}" if mb else "",
            _count(jobs.get("waiting")),
            _count(jobs.get("in_hand")),
            _seconds(stay.get("idle_s")),
            "pinned" if stay.get("pinned") else _seconds(stay.get("leaves_in_s")),
            f"{stay['load_s']:.1f} s" if stay.get("load_s") else "",
            str(model.get("device") or ""),
        )
        yield Row(str(model.get("id", "?")), cells, str(model.get("last_error") or ""))


def _state(model: dict[str, Any]) -> str:
    state = str(model.get("state") or "")
    return f"{state}, drained" if model.get("drained") else state


def _count(value: Any) -> str:
    return "" if value is None else str(value)


def _seconds(value: float | None) -> str:
    return "" if value is None else duration(value)
