"""Three drawings of what simulations have shown."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from tests.bench.simulation.growth import Series
from tests.bench.simulation.report import QUANTILES, Report

_INCHES = (7.0, 4.2)
_WIDE_INCHES = (9.0, 4.2)
_KINDS = {
    "route": "which box is asked",
    "eta": "when a box would begin",
    "queue": "a model's queue",
    "residency": "who is in memory",
}
_AXES = {"nodes": "boxes, each with ten models more", "models": "models on ten boxes"}
_MARKERS = "osD^"


def draw(day: Report, growth: Sequence[Series], folder: Path) -> None:
    """Into ``folder``: how cost grows, how long requests wait, and how a day went by."""
    folder.mkdir(parents=True, exist_ok=True)
    # The same numbers give the same file: names of its parts are not by chance, nor is it dated.
    with rc_context({"svg.hashsalt": "edge-serve", "svg.fonttype": "none", "font.size": 9}):
        _keep(_growth(growth), folder / "decisions.svg")
        _keep(_waits(day), folder / "waits.svg")
        _keep(_hours(day), folder / "day.svg")


def _keep(drawing: Figure, file: Path) -> None:
    drawing.savefig(file, metadata={"Date": None})


def _growth(growth: Sequence[Series]) -> Figure:
    drawing = Figure(figsize=_WIDE_INCHES, layout="constrained")
    panels = drawing.subplots(1, len(growth), sharey=True)
    for panel, series in zip(panels, growth, strict=True):
        for number, (kind, words) in enumerate(_KINDS.items()):
            points = series.each_us(kind)
            label = f"{words} ({series.slope(kind):+.2f})"
            marker, colour = _MARKERS[number], f"C{number}"
            x, y = zip(*points, strict=True)
            panel.plot(x, y, color=colour, marker=marker, markersize=4, label=label)
        panel.set_xlabel(_AXES[series.axis])
        _logarithmic(panel)
        panel.legend(frameon=False, loc="lower left", title="in brackets: the power of its growth")
        _quiet(panel)
    panels[0].set_ylim(1, 1000)
    panels[0].set_ylabel("µs of processor time for a decision")
    return drawing


def _waits(day: Report) -> Figure:
    drawing = Figure(figsize=_INCHES, layout="constrained")
    panel = drawing.subplots()
    # The share of requests that waited for longer; of the last one none did.
    shares = [100 * (1 - part) for part in QUANTILES[:-1]]
    for number, (label, seconds) in enumerate(
        (
            ("by least ETA, loaded on demand", day.wait_s),
            ("one queue, always loaded", day.perfect_s),
        )
    ):
        shown = [max(0.01, each) for each in seconds[:-1]]
        colour, marker = f"C{number}", _MARKERS[number]
        panel.plot(shown, shares, color=colour, marker=marker, markersize=4, label=label)
    _logarithmic(panel)
    panel.set_xlabel("seconds until a worker had it (0.01: at once)")
    panel.set_ylabel("% of requests that waited for longer")
    panel.legend(frameon=False)
    _quiet(panel)
    return drawing


def _hours(day: Report) -> Figure:
    drawing = Figure(figsize=_INCHES, layout="constrained")
    upper, lower = drawing.subplots(2, 1, sharex=True)
    hours = range(len(day.hours))
    upper.plot(hours, [each.requests / 3600 for each in day.hours], color="C0", label="requests")
    upper.plot(hours, [each.loads / 3600 for each in day.hours], color="C1", label="loads")
    upper.set_ylabel("a second")
    upper.set_ylim(bottom=0)
    upper.legend(frameon=False)
    found = [100 * each.hits / max(1, each.requests) for each in day.hours]
    lower.plot(hours, found, color="C2")
    lower.set_ylabel("% found their model loaded")
    lower.set_xlabel("hour of the day")
    lower.set_ylim(0, 100)
    for panel in (upper, lower):
        _quiet(panel)
    return drawing


def _logarithmic(panel: Axes) -> None:
    panel.set_xscale("log")
    panel.set_yscale("log")
    for axis in (panel.xaxis, panel.yaxis):
        axis.set_major_formatter("{x:,.10g}")
        axis.set_minor_formatter(NullFormatter())


def _quiet(panel: Axes) -> None:
    panel.grid(color="0.9")
    panel.set_axisbelow(True)
    panel.spines[["top", "right"]].set_visible(False)
