"""What `edge-serve top` draws: all that is told, in as much room as there is."""

from __future__ import annotations

from typing import Any

import pytest
from rich.cells import cell_len

from supervisor.cli.top.frame import Size, frame

TOLD: dict[str, Any] = {
    "url": "http://127.0.0.1:8000",
    "time": 1_790_000_000.0,
    "status": "ok",
    "supervisor": {"uptime_s": 7200, "pid": 1},
    "box": {
        "cpus": 4,
        "cpu_percent": 50.0,
        "load_1m": 1.5,
        "memory_total_mb": 8192,
        "memory_available_mb": 2048,
        "gpus": [
            {
                "name": "RTX",
                "memory_used_mb": 512,
                "memory_total_mb": 2048,
                "utilization_percent": 7,
            }
        ],
    },
    "models": [
        {
            "name": "org/chat",
            "state": "ready",
            "queue": {"depth": 3, "limit": 256, "in_flight": 8, "credit": 10, "eta_s": 4.2},
            "replicas": [{"pid": 7, "rss_mb": 1500.0, "cpu_percent": 90.0, "device": "cpu"}],
        },
        {
            "name": "org/large",
            "state": "starting",
            "queue": None,
            "replicas": [{"stage": "weights", "rss_mb": 90}],
        },
    ],
    "rates": {"org/chat": 31.4},
    "requests": [
        {
            "id": "req_1",
            "model": "org/chat",
            "stage": "waiting",
            "age_s": 2.5,
            "key": "ann",
            "client": "ann",
            "waiting": {"position": 2, "eta_start_ms": 1500, "eta_end_ms": 12_000},
        }
    ],
    "events": [
        {"seq": 2, "time": 1_790_000_000.0, "type": "model.state", "model": "m", "state": "ready"}
    ],
}
ESCAPES = "\x1b]0;owned\x07\x1b[2J\x9b1m\r\n\u202eevil"


def shown(told: dict[str, Any] = TOLD, width: int = 120, **more: Any) -> list[str]:
    return [line.plain for line in frame(told, Size(width, more.pop("height", None)), **more)]


def line(lines: list[str], begins: str) -> str:
    (found,) = [one for one in lines if one.startswith(begins)]
    return found


def test_the_machine_and_who_holds_its_memory() -> None:
    lines = shown()
    assert lines[0].startswith("edge-serve http://127.0.0.1:8000  ok, up 2 h")
    assert line(lines, "CPU") == "CPU ██████░░░░░░  50 % of 4  load 1.5  31.4 tokens/s"
    assert line(lines, "GPU") == "GPU ███░░░░░░░░░ 512 MB of 2.0 GB  7 %  RTX"
    memory = "6.0 GB of 8.0 GB  org/chat 1.5 GB  org/large 90 MB"
    assert line(lines, "MEM") == f"MEM █████████░░░ {memory}"


def test_models_and_requests() -> None:
    lines = shown()
    cells = ["org/chat", "ready", "1500", "3/256", "8/10", "4.2", "s", "31.4", "90", "cpu"]
    assert line(lines, "org/chat").split() == cells
    assert line(lines, "org/large").split() == ["org/large", "starting", "weights", "90", "0"]
    cells = ["req_1", "org/chat", "waiting", "2", "2.5", "s", "1.5", "s", "12", "s", "ann"]
    assert line(lines, "req_1").split() == cells
    assert lines[-1][8:] == " model.state m state=ready"


def test_who_is_no_operator_sees_the_rest() -> None:
    lines = shown({**TOLD, "requests": None, "events": None})
    assert line(lines, "org/chat")
    assert lines[-1].startswith("Requests and events are for operators")


def test_a_server_that_has_gone_is_said_to_have() -> None:
    lines = shown(trouble="connection refused")
    assert lines[1] == "no answer since then: connection refused"
    assert line(lines, "org/chat")
    assert shown({"url": "http://x"}, trouble="refused")[1].endswith("refused")


@pytest.mark.parametrize("width", [1, 7, 20, 40, 64, 80, 200])
def test_nothing_is_wider_than_the_terminal(width: int) -> None:
    models = [{**TOLD["models"][0], "name": "org/" + "größe-模型-" * 9}, *TOLD["models"]]
    lines = shown({**TOLD, "models": models}, width)
    assert max(map(cell_len, lines)) <= width


def test_a_narrow_terminal_keeps_what_matters() -> None:
    row = line(shown(width=48), "org/chat")
    assert row.split() == ["org/chat", "ready", "1500", "3/256", *row.split()[4:]]
    assert "cpu" not in row


def test_a_low_terminal_has_the_first_lines() -> None:
    assert shown(height=3) == shown()[:3]


@pytest.mark.parametrize(
    "told",
    [
        {**TOLD, "status": ESCAPES, "url": ESCAPES},
        {**TOLD, "models": [{"name": ESCAPES, "state": ESCAPES, "replicas": [{"stage": ESCAPES}]}]},
        {**TOLD, "requests": [{"id": ESCAPES, "stage": ESCAPES, "key": ESCAPES, "model": ESCAPES}]},
        {**TOLD, "events": [{"time": 0.0, "type": ESCAPES, "model": ESCAPES, "why": ESCAPES}]},
        {**TOLD, "box": {**TOLD["box"], "gpus": [{"name": ESCAPES}]}},
    ],
)
def test_what_others_have_written_is_nothing_but_text(told: dict[str, Any]) -> None:
    lines = shown(told, trouble=ESCAPES)
    assert all(one.isprintable() for one in lines)
    assert any("evil" in one for one in lines)
