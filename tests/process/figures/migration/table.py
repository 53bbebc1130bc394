"""What is kept of each kill, and the table that docs/reliability.md has of them."""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from pathlib import Path

import msgspec

# Two tokens whose log probabilities are no further apart may change places by rounding alone.
NEAR_TIE = 0.25


class Kill(msgspec.Struct, frozen=True):
    """One stream whose worker was killed. ``apart`` is that of a `Parting` at character ``parts``,
    both None where its text is that of an unbroken one; ``joint`` the characters that its client
    had when the worker was killed. ``gap_s`` is from the last text before it to the first behind,
    of which the next worker was started after ``start_s``, was ready after ``load_s`` more and had
    said something after ``first_s`` more, in which it reads prompt and answer. ``load_average`` is
    that of the machine in the minute before."""

    engine: str
    api: str
    killed_at: int
    gap_s: float
    load_s: float
    start_s: float
    first_s: float
    load_average: float
    is_whole: bool  # it had one end, no error, and all its tokens
    is_consistent: bool
    is_same: bool
    migrated: int
    joint: int
    error: str = ""
    parts: int | None = None
    mine: str = ""
    others: str = ""
    apart: float | None = None

    @property
    def is_near_tie(self) -> bool:
        return self.apart is not None and self.apart <= NEAR_TIE


def keep(path: Path | None, kill: Kill) -> None:
    """Write it behind those of earlier runs."""
    if path is not None:
        with path.open("ab") as file:
            file.write(msgspec.json.encode(kill) + b"\n")


def kept(paths: Sequence[Path]) -> list[Kill]:
    lines = [line for path in paths for line in path.read_bytes().splitlines()]
    return [msgspec.json.decode(line, type=Kill) for line in lines]


def show(kills: Sequence[Kill]) -> None:
    """Print a row for each engine and API, and where answers part that are no near tie."""
    for engine, api in sorted({(one.engine, one.api) for one in kills}):
        these = [one for one in kills if (one.engine, one.api) == (engine, api)]
        print(json.dumps({"engine": engine, "api": api, **_row(these)}))
        for one in these:
            if not one.is_same and not one.is_near_tie:
                print(f"  {one.killed_at}: {one.parts} of {one.joint}: {one.mine!r}, ", end="")
                print(f"{one.others!r}, {one.apart} {one.error}")


def _row(kills: Sequence[Kill]) -> dict[str, object]:
    others = [one for one in kills if not one.is_same]
    ties = [one.apart for one in others if one.apart is not None]
    over_s = [one.gap_s - one.load_s for one in kills]
    return {
        "kills": len(kills),
        "migrated": sum(one.migrated == 1 for one in kills),
        "one end, all tokens": sum(one.is_whole for one in kills),
        "tokens are the text": sum(one.is_consistent for one in kills),
        "same text": sum(one.is_same for one in kills),
        "near ties": f"{sum(one.is_near_tie for one in others)} of {len(others)}",
        "furthest apart": round(max(ties, default=0.0), 3),
        "part before the kill": sum((one.parts or 0) < one.joint for one in others),
        "gap_s": _spread([one.gap_s for one in kills]),
        "load_s": _spread([one.load_s for one in kills]),
        "start_s": _spread([one.start_s for one in kills]),
        "first_s": _spread([one.first_s for one in kills]),
        "gap less load_s": _spread(over_s),
        "over load + 1 s": sum(over > 1 for over in over_s),
        "load average": _spread([one.load_average for one in kills]),
    }


def _spread(values: Sequence[float]) -> str:
    return f"{min(values):.2f}, {statistics.median(values):.2f}, {max(values):.2f}"
