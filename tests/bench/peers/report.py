"""The figures as Markdown tables and as plots."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import median

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Drawing
from matplotlib.ticker import NullLocator

from bench.figures import short
from tests.bench.peers.results import Figure
from tests.bench.peers.sides import OURS

_INCHES = (7.0, 4.2)
_DPI = 100
_MARKERS = "osD^vPX"


def grouped(figures: Sequence[Figure]) -> dict[str, list[Figure]]:
    """The figures by group, in the order in which they were made; numbers by their size."""
    groups: dict[str, list[Figure]] = {}
    for figure in figures:
        groups.setdefault(figure.group, []).append(figure)
    for some in groups.values():
        if _numbers(some):
            some.sort(key=lambda figure: int(figure.x))
    return groups


def _numbers(figures: Sequence[Figure]) -> bool:
    return all(figure.x.isdecimal() for figure in figures)


def markdown(group: str, figures: Sequence[Figure]) -> str:
    """A table with a column for each side: medians, and in brackets edge-serve over that side,
    as the median of the rounds' own ratios; at the end the number of rounds."""
    sides = _sides(figures)
    lines = [
        f"| {group}, {figures[0].unit} | {' | '.join(sides)} | rounds |",
        f"| --- |{' --- |' * (len(sides) + 1)}",
    ]
    for figure in figures:
        cells = [figure.x, *(_cell(figure, side) for side in sides), _rounds(figure)]
        lines += [f"| {' | '.join(cells)} |"]
    return "\n".join(lines)


def _sides(figures: Sequence[Figure]) -> list[str]:
    return list(dict.fromkeys(side for figure in figures for side in figure.sides))


def _cell(figure: Figure, side: str) -> str:
    values = figure.of(side)
    if not values:
        return ""
    if side == OURS:
        return f"**{short(median(values))}**"
    ratios = figure.ratios(side)
    if not ratios:
        return short(median(values))
    return f"{short(median(values))} ({short(median(ratios))})"


def _rounds(figure: Figure) -> str:
    """How many, of the side with the fewest and of that with the most."""
    counts = [len(figure.of(side)) for side in figure.sides]
    return f"{min(counts)} to {max(counts)}" if min(counts) < max(counts) else str(max(counts))


def draw(group: str, figures: Sequence[Figure], file: Path) -> None:
    """Lines over the number of streams where ``x`` is a number, else bars side by side.

    The kind of file is that of its suffix. Raises `OSError`.
    """
    drawing = Drawing(figsize=_INCHES, layout="constrained", dpi=_DPI)
    panel = drawing.subplots()
    (_lines if _numbers(figures) else _bars)(panel, figures)
    panel.set_title(group, fontsize=11)
    panel.spines[["top", "right"]].set_visible(False)
    panel.set_axisbelow(True)
    panel.legend(fontsize=8, frameon=False)
    # Words as words, and the same file for the same figures.
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": group}):
        drawing.savefig(file, metadata={"Date": None} if file.suffix == ".svg" else None)


def _lines(panel: Axes, figures: Sequence[Figure]) -> None:
    for number, side in enumerate(_sides(figures)):
        known = [figure for figure in figures if side in figure.sides]
        panel.plot(
            [int(figure.x) for figure in known],
            [median(figure.of(side)) for figure in known],
            marker=_MARKERS[number % len(_MARKERS)],
            linewidth=2.5 if side == OURS else 1.2,
            label=side,
        )
    ticks = [int(figure.x) for figure in figures]
    panel.set_xscale("log", base=2)
    panel.set_yscale("log")
    panel.set_xticks(ticks, [str(tick) for tick in ticks])
    panel.xaxis.set_minor_locator(NullLocator())
    panel.yaxis.set_major_formatter("{x:,.10g}")
    panel.yaxis.set_minor_formatter("{x:,.10g}")
    panel.tick_params(axis="y", which="both", labelsize=8)
    panel.set_xlabel("at once")
    panel.set_ylabel(figures[0].unit)
    panel.grid(color="0.9")


def _bars(panel: Axes, figures: Sequence[Figure]) -> None:
    sides = _sides(figures)
    height = 0.8 / len(sides)
    for number, side in enumerate(sides):
        known = [(row, figure) for row, figure in enumerate(figures) if side in figure.sides]
        panel.barh(
            [row + height * (number - (len(sides) - 1) / 2) for row, _ in known],
            [median(figure.of(side)) for _, figure in known],
            height,
            label=side,
        )
    panel.set_yticks(range(len(figures)), [figure.x for figure in figures], fontsize=8)
    panel.invert_yaxis()
    panel.set_xlabel(figures[0].unit)
    panel.grid(color="0.9", axis="x")
