"""A state folder is one server's at a time."""

from __future__ import annotations

import os
from pathlib import Path

from ipc.messages.control import BatchConfig, HistoryConfig, IncidentsConfig, Serve
from supervisor.plan import Plan
from supervisor.state.claim import LOCK, claimed


def test_whoever_comes_first_has_it_until_its_end(tmp_path: Path) -> None:
    folder = str(tmp_path)
    with claimed(folder) as first, claimed(folder) as second:
        pass
    with claimed(folder) as third:
        pass
    assert (first, third) == ("", "")
    assert f"another edge-serve (process {os.getpid()}) keeps its files in {folder}." in second
    assert second.endswith("set another EDGE_SERVE_STATE_DIR for it")


def test_without_a_folder_there_is_nothing_to_own() -> None:
    with claimed("") as first, claimed("") as second:
        assert (first, second) == ("", "")


def test_a_folder_without_a_place_for_the_lock_is_left_to_those_who_write_there(
    tmp_path: Path,
) -> None:
    (tmp_path / LOCK).mkdir()
    with claimed(str(tmp_path)) as why_not:
        assert why_not == ""


def test_who_has_no_folder_tells_the_frontend_of_none() -> None:
    serve = Serve(
        specs=[],
        batches=BatchConfig(folder="/s/batches", max_lines=7),
        history=HistoryConfig(file="/s/history.db"),
        incidents=IncidentsConfig(folder="/s/incidents"),
    )
    plan = Plan(host="127.0.0.1", port=8000, run_dir="/run", state_dir="/s", serve=serve)
    found = plan.keeping_nothing()
    assert found.state_dir == ""
    assert found.serve.batches == BatchConfig(folder="", max_lines=7)
    assert found.serve.history == HistoryConfig(file="")
    assert found.serve.incidents == IncidentsConfig(folder="")
