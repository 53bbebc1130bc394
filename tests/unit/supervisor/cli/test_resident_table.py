"""What `edge-serve ps` shows of each model."""

from __future__ import annotations

from typing import Any

from supervisor.cli.resident_table import COLUMNS, rows

READY: dict[str, Any] = {
    "id": "org/chat",
    "state": "ready",
    "device": "cpu",
    "memory": {"resident_mb": 512.4, "measured_mb": 500},
    "jobs": {"waiting": 3, "in_hand": 1},
    "residency": {"pinned": False, "idle_s": None, "leaves_in_s": 600.0, "load_s": 2.25},
}


def shown(model: dict[str, Any]) -> dict[str, str]:
    (row,) = rows([model])
    return dict(zip([column.head for column in COLUMNS], (row.name, *row.cells), strict=True))


def test_a_model_that_is_in_says_what_it_takes_and_when_it_leaves() -> None:
    assert shown(READY) == {
        "model": "org/chat",
        "state": "ready",
        "MB": "512",
        "queue": "3",
        "busy": "1",
        "idle": "",
        "leaves in": "10 min",
        "load": "2.2 s",
        "device": "cpu",
    }


def test_one_that_is_pinned_does_not_leave() -> None:
    assert shown({**READY, "residency": {"pinned": True}})["leaves in"] == "pinned"


def test_one_that_is_out_says_what_it_would_take() -> None:
    memory = {"resident_mb": 0, "measured_mb": None, "estimated_mb": 300}
    told = shown({**READY, "state": "unloaded", "memory": memory})
    assert (told["state"], told["MB"]) == ("unloaded", "300")


def test_one_that_could_not_be_fetched_says_why() -> None:
    gone = {"id": "org/gone", "state": "failed", "last_error": "no network", "memory": None}
    (row,) = rows([gone])
    assert (row.name, row.cells[0], row.note) == ("org/gone", "failed", "no network")
