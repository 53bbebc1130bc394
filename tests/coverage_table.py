"""Prints what the unit tests cover of each folder, and fails where that is under the floor.

``python -m tests.coverage_table REPORT``: REPORT is what ``coverage json`` writes. The floor is
``fail_under`` in pyproject.toml. What only processes of their own reach is not counted: the tests
of `tests/process` and `tests/contract` are there for it.
"""

from __future__ import annotations

import json
import sys
import tomllib
from collections import Counter
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

PROJECT = Path(__file__).parents[1] / "pyproject.toml"


def folder(file: str) -> str:
    """The package of ``file`` and at most one folder in it."""
    return "/".join(PurePosixPath(file).parent.parts[:2])


def covered(files: Mapping[str, Any]) -> dict[str, tuple[int, int]]:
    """Statements that ran and all statements, by folder."""
    ran, statements = Counter[str](), Counter[str]()
    for file, found in files.items():
        ran[folder(file)] += found["summary"]["covered_lines"]
        statements[folder(file)] += found["summary"]["num_statements"]
    return {name: (ran[name], count) for name, count in sorted(statements.items()) if count}


def line(name: str, ran: int, statements: int) -> str:
    return f"{name:<24}{statements:>8}{100 * ran / statements:>7.0f} %"


def main(report: Path) -> int:
    found = json.loads(report.read_text())
    floor = tomllib.loads(PROJECT.read_text())["tool"]["coverage"]["report"]["fail_under"]
    print(f"{'folder':<24}{'lines':>8}{'ran':>9}")
    for name, (ran, statements) in covered(found["files"]).items():
        print(line(name, ran, statements))
    total = found["totals"]
    print(line("all", total["covered_lines"], total["num_statements"]))
    if total["percent_covered"] < floor:
        print(f"under {floor} %: test what is new, by hand or in a history", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
