"""What /health says, as a table: who runs, how busy, since when."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from supervisor.cli.table import Column, Row

# A report of the daemon, read from outside: nothing about its form is certain.
Health = dict[str, Any]
# Tokens a second of each process, by its pid.
Rates = Mapping[int, float]

COLUMNS = (
    Column("process"),
    Column("state"),
    Column("up", right=True),
    Column("MB", right=True),
    Column("CPU %", rank=1, right=True),
    Column("queue", right=True),
    Column("tok/s", right=True),
    Column("busy", rank=2, right=True),
    Column("restarts", rank=3, right=True),
    Column("pid", rank=4, right=True),
    Column("device", rank=5),
)


def rows(report: Health, rates: Rates) -> Iterator[Row]:
    """A row for each process; a model's queue stands beside its first one."""
    for part in ("supervisor", "frontend"):
        if isinstance(report.get(part), dict):
            yield _row(part, {"state": "ready", **report[part]}, {}, rates)
    for model in report.get("models") or []:
        queue = model.get("queue") or {}
        for replica in model.get("replicas") or [{}]:
            yield _row(str(model.get("name", "?")), _told(model, replica), queue, rates)
            queue = {}


def _told(model: Health, replica: Health) -> Health:
    """What a replica says of itself, and where it says nothing, what its model does. How the last
    one of an unloaded model ended is nothing to mend, so it is left out."""
    if model.get("state") == "unloaded":
        return {**replica, "state": "unloaded", "reason": None}
    state = replica.get("state", model.get("state"))
    return {**replica, "state": state, "reason": replica.get("reason") or model.get("reason")}


def tokens(report: Health) -> dict[int, int]:
    """How many tokens each process has read and written since it started, by its pid."""
    return {
        int(replica["pid"]): int(replica.get("prompt_tokens", 0) + replica["completion_tokens"])
        for model in report.get("models") or []
        for replica in model.get("replicas") or []
        if replica.get("pid") and "completion_tokens" in replica
    }


def rates(before: Mapping[int, int], after: Mapping[int, int], seconds: float) -> Rates:
    """Tokens a second between two counts. A process that was not there before has none yet."""
    return {
        pid: (count - before[pid]) / seconds
        for pid, count in after.items()
        if pid in before and seconds > 0
    }


def duration(seconds: float) -> str:
    """``seconds`` in the largest unit that is not zero: 42 s, 5 min, 3 h, 12 d."""
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= length:
            return f"{int(seconds // length)} {unit}"
    return f"{int(seconds)} s"


def _row(name: str, one: Health, queue: Health, rates: Rates) -> Row:
    pid = one.get("pid")
    uptime_s = one.get("uptime_s")
    cells = (
        _text(one.get("state")),
        "" if uptime_s is None else duration(uptime_s),
        _rounded(one.get("rss_mb")),
        _rounded(one.get("cpu_percent")),
        f"{queue['depth']}/{queue['limit']}" if "depth" in queue and "limit" in queue else "",
        _rounded(rates.get(pid)) if pid else "",
        _text(one.get("in_flight")),
        _text(one.get("restarts")),
        _text(pid or None),
        _text(one.get("device")),
    )
    return Row(name, cells, _text(one.get("reason") or one.get("stage")))


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def _rounded(value: float | None) -> str:
    return "" if value is None else f"{value:.0f}"
