"""What the command line shows: progress bars and tables, by rich."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TransferSpeedColumn,
)
from rich.table import Column, Table

from supervisor.archive import Report

Rows = Iterable[tuple[str, ...]]
# A report of the daemon, read from outside: nothing about its form is certain.
Health = dict[str, Any]


class Bars:
    """A bar for each file, a line for what has no length. Without a terminal a line for each, with
    its length, and no more: a log is no place for progress."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._tasks: dict[tuple[str, str], TaskID] = {}
        self._progress = Progress(
            TextColumn("{task.description}", table_column=Column(ratio=2)),
            BarColumn(bar_width=None, table_column=Column(ratio=1)),
            DownloadColumn(binary_units=True, table_column=Column(no_wrap=True)),
            TransferSpeedColumn(table_column=Column(no_wrap=True)),
            console=console,
            disable=not console.is_terminal,
            expand=True,
        )

    @contextmanager
    def shown(self) -> Iterator[None]:
        with self._progress:
            yield

    def report_for(self, model: str) -> Report:
        """A `Report` whose bars are named after ``model``."""

        def report(label: str, done: int, total: int) -> None:
            task = self._tasks.get((model, label))
            if task is None:
                what = f"{model}: {label}"
                if not (total and self._console.is_terminal):
                    length = f", {total >> 20} MiB" if total >> 20 else ""
                    self._console.print(f"{what}{length}", highlight=False, soft_wrap=True)
                task = self._progress.add_task(what, total=total or None, visible=total > 0)
                self._tasks[model, label] = task
            if total:
                self._progress.update(task, completed=done, total=total, visible=True)

        return report


def table(console: Console, heads: list[str], rows: Rows) -> None:
    """Print rows under heads; long cells fold rather than being cut."""
    made = Table(box=None, pad_edge=False, header_style="bold")
    for head in heads:
        made.add_column(head, overflow="fold")
    for row in rows:
        made.add_row(*row)
    console.print(made)


def fleet_rows(report: Health) -> Rows:
    """A row for each process in /health: who, state, what it takes, what it did."""
    for part in ("supervisor", "frontend"):
        if isinstance(report.get(part), dict):
            yield _row(part, report[part])
    for model in report.get("models") or []:
        replicas = model.get("replicas") or [{}]
        for replica in replicas:
            merged = {**replica, "state": replica.get("state", model.get("state"))}
            merged["reason"] = replica.get("reason") or model.get("reason")
            yield _row(str(model.get("name", "?")), merged)


FLEET_HEADS = ["process", "state", "pid", "device", "rss MB", "CPU %", "in flight", "restarts", ""]


def _row(name: str, one: Health) -> tuple[str, ...]:
    keys = ("state", "pid", "device", "rss_mb", "cpu_percent", "in_flight", "restarts")
    cells = ("" if one.get(key) is None else str(one[key]) for key in keys)
    return (name, *cells, str(one.get("reason") or one.get("stage") or ""))
