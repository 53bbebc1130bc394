"""The figures of docs/reliability.md, on this machine: python -m tests.process.faults.measure

Echo workers, so the figures are of the supervision and of starting a Python process, not of loading
a model. Prints a table with the median and the worst of each, and what was promised; ends with
status 1 where a promise was broken.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Iterable

import psutil

from tests.process.box import MakeBox, boxes
from tests.process.figures import ALL, Figure, clients, inputs, is_broken, row, server, workers
from tests.process.figures.kills import Kills, kills

MODULES = (workers, server, clients, inputs)


def take(make: MakeBox, chosen: Iterable[Figure], repeat: int) -> bool:
    """Print each of ``chosen``, taken ``repeat`` times. Returns whether all promises were kept."""
    kept = True
    print("| case | from, to | median | worst | runs | promised |", flush=True)
    print("| --- | --- | --- | --- | --- | --- |", flush=True)
    for one in chosen:
        times = 1 if one.once else repeat
        values = [value for _ in range(times) for value in one.take(make)]
        kept = kept and not is_broken(one, values)
        print(row(one, values), flush=True)
    return kept


def tell(found: Kills) -> bool:
    """Print what came of the kills. Returns whether all was well."""
    print(f"{len(found.to_ready_s)} times kill -9 under load: {found.outcomes}")
    for name, seconds in (("error", found.to_error_s), ("ready", found.to_ready_s)):
        median, worst = (1000 * value for value in (statistics.median(seconds), max(seconds)))
        print(f"  to {name}: median {median:.0f} ms, worst {worst:.0f} ms of {len(seconds)}")
    print(f"  {found.before} became {found.after}")
    print(f"  hung clients, disputed outcomes, leaks: {found.problems or 0}", flush=True)
    return not found.problems


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--kills", type=int, default=200, help="0: none")
    parser.add_argument("--case", default="", help="a number: only what is of that case")
    args = parser.parse_args()
    print(f"{psutil.cpu_count()} processors")
    ordered = sorted(ALL, key=lambda one: int(one.cases.split(", ")[0]))
    chosen = [one for one in ordered if not args.case or args.case in one.cases.split(", ")]
    with boxes() as make:
        kept = take(make, chosen, args.repeat)
        if args.kills:
            kept = tell(kills(make, args.kills)) and kept
    return not kept


if __name__ == "__main__":
    sys.exit(main())
