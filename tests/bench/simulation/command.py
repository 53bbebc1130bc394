"""``python -m tests.bench simulate``: thousands of boxes and models, and no process."""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path

import msgspec

from tests.bench.simulation.growth import Series, grow
from tests.bench.simulation.report import Report, report_of, told
from tests.bench.simulation.run import World, simulate


def main(argv: list[str]) -> int:
    how = _parser().parse_args(argv)
    logging.disable(logging.CRITICAL)  # each crash of a worker that is made up would be told
    try:
        return int(how.run(how) or 0)
    except KeyboardInterrupt:
        return 130


def _day(how: argparse.Namespace) -> None:
    world = World(
        nodes=how.nodes,
        models=how.models,
        seconds=3600 * how.hours,
        per_s=how.per_s,
        starts_at=3600 * how.starts_at,
        budget_mb=how.budget_mb,
        seed=how.seed,
    )
    report = report_of(simulate(world))
    print(told(report))
    _keep(report, how.json)


def _grow(how: argparse.Namespace) -> None:
    found = grow(how.seconds, lambda what: print(what, file=sys.stderr))
    for series in found:
        print(f"by {series.axis}, microseconds of a decision and the power by which it grows:")
        for kind in sorted(series.runs[0].each_us):
            each = ", ".join(f"{count:.0f}: {us:.1f}" for count, us in series.each_us(kind))
            print(f"  {kind:10} {each}; {series.slope(kind):+.2f}")
        per_s = ", ".join(f"{each.decisions_per_s:,.0f}" for each in series.runs)
        print(f"  decisions a second of processor time: {per_s}")
    _keep(found, how.json)


def _plot(how: argparse.Namespace) -> None:
    from tests.bench.simulation.plots import draw

    day = msgspec.json.decode(how.day.read_bytes(), type=Report)
    growth = msgspec.json.decode(how.growth.read_bytes(), type=list[Series])
    draw(day, growth, how.folder)


def _keep(found: Report | list[Series], file: Path | None) -> None:
    if file is not None:
        file.write_bytes(msgspec.json.format(msgspec.json.encode(found), indent=1) + b"\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="edge-serve bench simulate", description=__doc__)
    commands = parser.add_subparsers(required=True)
    day = commands.add_parser("day", help="a day, or a part of one")
    day.add_argument("--nodes", type=int, default=1000)
    day.add_argument("--models", type=int, default=10_000)
    day.add_argument("--hours", type=float, default=24.0)
    day.add_argument("--starts-at", type=float, default=0.0, help="the hour that it begins at")
    day.add_argument("--per-s", type=float, default=5.0, help="requests a second on average")
    day.add_argument("--budget-mb", type=int, default=3000, help="for models, per box")
    day.add_argument("--seed", type=int, default=1)
    day.set_defaults(run=_day)
    growth = commands.add_parser("growth", help="cost by boxes and by models")
    growth.add_argument("--seconds", type=float, default=600.0, help="of each simulation")
    growth.set_defaults(run=_grow)
    for each in (day, growth):
        each.add_argument("--json", type=Path, help="keep what was found in this file")
    plot = commands.add_parser("plot", help="draw what was kept")
    plot.add_argument("day", type=Path)
    plot.add_argument("growth", type=Path)
    plot.add_argument("folder", type=Path)
    plot.set_defaults(run=_plot)
    return parser
