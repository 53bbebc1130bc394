"""Latency and throughput against load, drawn into a file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import NullLocator

from bench.load.outcome import Run
from bench.load.report import NAMES, amounts

_PANEL_INCHES = (5.2, 3.6)
_MARGIN_INCHES = 1.0  # what stands above and below the panels
_DPI = 150
_Line = Literal["-", "--", ":"]
_LINES: dict[str, tuple[_Line, float]] = {  # with their opacity
    "p50": ("-", 1.0),
    "p95": ("--", 0.7),
    "p99": (":", 0.5),
}
_MARKERS = "osD^v"


def draw(title: str, subtitle: str, runs: list[Run], file: Path) -> None:
    """Panels for each kind of time and for throughput; a colour for each model.

    The kind of file is that of its suffix. Raises `OSError`.
    """
    levels = [level for run in runs for level in run.levels]
    kinds = [name for name in NAMES if any(name in level.times() for level in levels)]
    columns = 2 if kinds else 1
    rows = -(-(len(kinds) + 1) // columns)
    width, height = _PANEL_INCHES
    size = (columns * width, rows * height + _MARGIN_INCHES)
    figure = Figure(figsize=size, layout="constrained", dpi=_DPI)
    figure.suptitle(title, fontweight="bold", fontsize=12)
    panels = figure.subplots(rows, columns, squeeze=False).flatten()
    for panel, name in zip(panels, kinds, strict=False):
        _times(panel, name, runs)
    _throughput(panels[len(kinds)], amounts(levels), runs)
    for panel in panels[: len(kinds) + 1]:
        _scale(panel, sorted({level.clients for level in levels}))
    for panel in panels[len(kinds) + 1 :]:
        panel.set_axis_off()
    # Outside of the panels, where they hide no line of any of them.
    figure.legend(handles=_quantiles(), loc="outside upper right", ncols=3, frameon=False)
    figure.legend(
        handles=_models(runs),
        loc="outside lower center",
        ncols=2,
        frameon=False,
        title=subtitle,
        title_fontsize=8,
    )
    figure.savefig(file)


def _times(panel: Axes, name: str, runs: list[Run]) -> None:
    for number, run in enumerate(runs):
        known = [(level.clients, level.times()[name]) for level in run.levels if level.answered]
        clients = [count for count, _ in known]
        for quantile, (line, opacity) in _LINES.items():
            values = [getattr(times, quantile) for _, times in known]
            panel.plot(clients, values, line, alpha=opacity, **_look(number))
    panel.set_title(NAMES[name], fontsize=10)
    panel.set_ylabel("milliseconds")


def _throughput(panel: Axes, rates: Mapping[str, str], runs: list[Run]) -> None:
    """What was done in a second: the first of ``rates``, or requests where none is known."""
    amount, head = next(iter(rates.items()), ("", "requests/s"))
    for number, run in enumerate(runs):
        values = [
            (level.rate(amount) or 0.0) if amount else level.requests_per_s for level in run.levels
        ]
        panel.plot([level.clients for level in run.levels], values, **_look(number))
    panel.set_title("throughput", fontsize=10)
    panel.set_ylabel(head)


def _scale(panel: Axes, clients: list[int]) -> None:
    panel.set_xscale("log", base=2)
    panel.set_xticks(clients, [str(count) for count in clients])
    panel.xaxis.set_minor_locator(NullLocator())
    panel.yaxis.set_major_formatter("{x:,.10g}")
    panel.set_xlabel("clients, each with one request at a time")
    panel.set_ylim(0, 1.08 * panel.get_ylim()[1])
    panel.grid(color="0.9")
    panel.set_axisbelow(True)
    panel.spines[["top", "right"]].set_visible(False)


def _look(number: int) -> dict[str, Any]:
    """That of one model."""
    marker = _MARKERS[number % len(_MARKERS)]
    return {"color": f"C{number}", "marker": marker, "markersize": 4}


def _models(runs: list[Run]) -> list[Line2D]:
    return [Line2D([], [], label=run.model, **_look(number)) for number, run in enumerate(runs)]


def _quantiles() -> list[Line2D]:
    return [
        Line2D([], [], color="0.2", linestyle=line, alpha=opacity, label=quantile)
        for quantile, (line, opacity) in _LINES.items()
    ]
