"""What is seen: bars while it measures, tables when it has."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from bench.figures import short
from bench.load.ladder import Limit
from bench.load.outcome import Level, Outcome, Run, Times
from bench.load.report import NAMES, amounts


class Bars:
    """A bar for each level; without a terminal, a line."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[said]}"),
            TimeElapsedColumn(),
            console=console,
            disable=not console.is_terminal,
            refresh_per_second=4,  # drawing takes processor time from what is measured
        )
        self._task: TaskID | None = None
        self._limit = Limit()
        self._begun_at = 0.0
        self._answered = self._failed = 0

    @contextmanager
    def shown(self) -> Iterator[None]:
        with self._progress:
            yield

    def level(self, label: str, limit: Limit) -> None:
        """A new bar."""
        if not self._console.is_terminal:
            self._console.print(label, highlight=False, soft_wrap=True)
        self._limit, self._begun_at = limit, perf_counter()
        self._answered = self._failed = 0
        total = limit.requests or limit.seconds
        self._task = self._progress.add_task(label, total=total, said="")

    def outcome(self, outcome: Outcome) -> None:
        """One request of the level has ended."""
        self._answered += not outcome.error
        self._failed += bool(outcome.error)
        seconds = perf_counter() - self._begun_at
        done = seconds if self._limit.requests is None else self._answered + self._failed
        said = f"{self._answered} answered, {self._answered / seconds:.3g}/s"
        said += f", {self._failed} failed" if self._failed else ""
        assert self._task is not None
        self._progress.update(self._task, completed=done, said=said)


def show(console: Console, run: Run) -> None:
    """The levels of one model as two tables, and what went wrong."""
    console.print(f"\n{run.model}", style="bold", highlight=False)
    console.print(_work(run.levels))
    console.print()
    console.print(_times(run.levels))
    for level in run.levels:
        for error, count in level.errors.most_common():
            said = next(one.message for one in level.outcomes if one.error == error)
            line = f"{count} of {len(level.outcomes)} failed at {level.clients}: {error}: {said}"
            console.print(line, style="red", highlight=False, soft_wrap=True, markup=False)


def _work(levels: list[Level]) -> Table:
    rates = amounts(levels)
    heads = ["clients", "answered", "failed", "requests/s", *rates.values(), "own CPU %"]
    table = _table(heads)
    for level in levels:
        done = (level.rate(amount) for amount in rates)
        table.add_row(
            str(level.clients),
            str(len(level.answered)),
            str(level.errors.total()),
            short(level.requests_per_s),
            *("" if rate is None else short(rate) for rate in done),
            f"{level.cpu_percent:.0f}",
        )
    return table


def _times(levels: list[Level]) -> Table:
    table = _table(["clients", "milliseconds", *Times._fields])
    table.columns[1].justify = "left"
    for level in levels:
        for number, (name, times) in enumerate(level.times().items()):
            clients = "" if number else str(level.clients)
            table.add_row(clients, NAMES[name], *map(short, times))
    return table


def _table(heads: list[str]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for head in heads:
        table.add_column(head, justify="right")
    return table
