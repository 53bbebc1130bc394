"""What the command line shows of a download, on a terminal and in a log."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from supervisor.cli.console import Bars

MIB = 1 << 20


def shown(*, terminal: bool, reports: list[tuple[str, int, int]]) -> str:
    out = io.StringIO()
    bars = Bars(Console(file=out, force_terminal=terminal, width=100))
    report = bars.report_for("a/b")
    with bars.shown():
        for each in reports:
            report(*each)
    return out.getvalue()


DOWNLOAD = [("model.bin", done * MIB, 72 * MIB) for done in range(0, 73, 6)]


def test_in_a_log_a_download_is_one_line_with_its_length() -> None:
    said = shown(terminal=False, reports=[("not pulled yet", 0, 0), *DOWNLOAD, ("config", 1, 600)])
    assert said.splitlines() == ["a/b: not pulled yet", "a/b: model.bin, 72 MiB", "a/b: config"]


def test_on_a_terminal_it_is_a_bar_in_megabytes() -> None:
    said = shown(terminal=True, reports=DOWNLOAD)
    assert "a/b: model.bin" in said
    assert "72.0/72.0 MiB" in said


@pytest.mark.parametrize("terminal", [True, False])
def test_a_length_may_become_known_later(*, terminal: bool) -> None:
    said = shown(terminal=terminal, reports=[("hf:a/b", 0, 0), ("hf:a/b", 3 * MIB, 9 * MIB)])
    assert "a/b: hf:a/b\n" in said
    assert ("3.0/9.0 MiB" in said) is terminal
