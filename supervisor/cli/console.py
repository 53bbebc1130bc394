"""The progress of downloads: bars on a terminal, lines in a log."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.table import Column
from rich.text import Text

from supervisor.cli.harmless import harmless
from supervisor.models.archive import Report


class Bars:
    """A bar for each file, a line for what has no length. Without a terminal a line for each, with
    its length, and no more: a log is no place for progress."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._tasks: dict[tuple[str, str], TaskID] = {}
        self._progress = Progress(
            TextColumn("{task.description}", markup=False, table_column=Column(ratio=2)),
            BarColumn(bar_width=None, table_column=Column(ratio=1)),
            DownloadColumn(binary_units=True, table_column=Column(no_wrap=True)),
            TransferSpeedColumn(table_column=Column(no_wrap=True)),
            TimeRemainingColumn(compact=True, table_column=Column(no_wrap=True)),
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
                what = harmless(f"{model}: {label}")
                if not (total and self._console.is_terminal):
                    length = f", {total >> 20} MiB" if total >> 20 else ""
                    line = Text(f"{what}{length}")
                    self._console.print(line, highlight=False, soft_wrap=True)
                task = self._progress.add_task(what, total=total or None, visible=total > 0)
                self._tasks[model, label] = task
            if total:
                self._progress.update(task, completed=done, total=total, visible=True)

        return report
