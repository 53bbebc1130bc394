"""Tables at every width: no name is ever broken or cut."""

from __future__ import annotations

import io

from rich.console import Console

from supervisor.cli import fleet_table
from supervisor.cli.table import Column, Row, show

COLUMNS = (Column("model"), Column("task"), Column("MB", rank=1, right=True))
ROWS = [
    Row("acme/one", ("chat", "98"), "A small model, for tests of many kinds."),
    Row("acme/a-name-that-is-rather-long", ("speech", "1450")),
]


def lines(width: int) -> list[str]:
    out = io.StringIO()
    show(Console(file=out, width=width), COLUMNS, ROWS, "description")
    return out.getvalue().splitlines()


def test_where_all_fits_a_row_is_a_line() -> None:
    assert lines(100) == [
        "model                            task      MB  description",
        "acme/one                         chat      98  A small model, for tests of many kinds.",
        "acme/a-name-that-is-rather-long  speech  1450",
    ]


def test_notes_move_below_first() -> None:
    assert lines(50) == [
        "model                            task      MB",
        "acme/one                         chat      98",
        "  A small model, for tests of many kinds.",
        "acme/a-name-that-is-rather-long  speech  1450",
    ]


def test_then_columns_leave() -> None:
    assert lines(40) == [
        "model                            task",
        "acme/one                         chat",
        "  A small model, for tests of many",
        "  kinds.",
        "acme/a-name-that-is-rather-long  speech",
    ]


def test_at_last_names_have_lines_of_their_own() -> None:
    assert lines(20) == [
        "model",
        "  task",
        "acme/one",
        "  chat",
        "  A small model, for",
        "  tests of many",
        "  kinds.",
        "acme/a-name-that-is-rather-long",
        "  speech",
    ]


def test_states_have_colours_on_a_terminal_and_names_have_none() -> None:
    out = io.StringIO()
    console = Console(file=out, width=80, force_terminal=True, color_system="standard")
    show(console, (Column("process"), Column("state")), [Row("ready", ("ready",))])
    assert out.getvalue().splitlines()[-1] == "ready  \x1b[32m  ready\x1b[0m"


# --- /health as a table ---

HEALTH = {
    "supervisor": {"pid": 1, "rss_mb": 31.6, "cpu_percent": 0.4, "uptime_s": 7300},
    "frontend": {"pid": 2, "state": "ready", "rss_mb": 63, "uptime_s": 59},
    "models": [
        {
            "name": "acme/chat",
            "state": "ready",
            "queue": {"depth": 3, "limit": 64},
            "replicas": [
                {"pid": 3, "state": "ready", "prompt_tokens": 10, "completion_tokens": 20},
                {"pid": 4, "state": "starting", "stage": "loading", "completion_tokens": 0},
            ],
        },
        {"name": "acme/embed", "state": "failed", "reason": "not pulled yet", "replicas": []},
    ],
}


def test_the_fleet_has_a_row_for_each_process() -> None:
    out = io.StringIO()
    console = Console(file=out, width=80)
    rates = fleet_table.rates({3: 10}, fleet_table.tokens(HEALTH), 2.0)
    show(console, fleet_table.COLUMNS, list(fleet_table.rows(HEALTH, rates)), "why")
    assert out.getvalue().splitlines() == [
        "process     state       up  MB  CPU %  queue  tok/s  busy  restarts  pid  device",
        "supervisor  ready      2 h  32      0                                  1",
        "frontend    ready     59 s  63                                         2",
        "acme/chat   ready                       3/64     10                    3",
        "acme/chat   starting                                                   4",
        "  loading",
        "acme/embed  failed",
        "  not pulled yet",
    ]


def test_tokens_a_second_are_of_processes_that_were_there_before() -> None:
    assert fleet_table.tokens(HEALTH) == {3: 30, 4: 0}
    assert fleet_table.rates({3: 10, 9: 5}, {3: 30, 4: 7}, 4.0) == {3: 5.0}
    assert fleet_table.rates({3: 10}, {3: 30}, 0.0) == {}


def test_durations_are_in_the_largest_unit() -> None:
    seconds = [0, 59, 60, 3599, 3600, 86_399, 86_400, 10**6]
    found = [fleet_table.duration(each) for each in seconds]
    assert found == ["0 s", "59 s", "1 min", "59 min", "1 h", "23 h", "1 d", "11 d"]
