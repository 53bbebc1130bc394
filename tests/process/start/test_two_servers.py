"""Two servers of one user, on two ports, with the same state folder: neither disturbs the other."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

from ipc.messages.control import BatchConfig, HistoryConfig, IncidentsConfig
from supervisor.plan import read_running
from tests.process.box import EMBED, Box, MakeBox, spec, wait_until

AT_WORK = ("state_not_kept", "pulls_not_kept", "batches_in_use", "history_not_kept")


def kept(folder: Path) -> dict[str, Any]:
    """What has a server keep everything in ``folder``, as the command line says it."""
    folder.mkdir(exist_ok=True)
    return {
        "state_dir": str(folder),
        "batches": BatchConfig(folder=str(folder / "batches")),
        "history": HistoryConfig(file=str(folder / "history.db")),
        "incidents": IncidentsConfig(folder=str(folder / "incidents")),
    }


def requests(box: Box) -> int:
    """How many requests are in its history."""
    return len(box.client.get("/admin/requests").json()["requests"])


def kill_frontend(box: Box) -> None:
    pid = box.health()["frontend"]["pid"]
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: box.ask("/readyz") == 200 and box.health()["frontend"]["pid"] != pid)


def test_the_second_keeps_nothing_and_says_so_once_and_the_first_keeps_its_own(
    make_box: MakeBox, tmp_path: Path
) -> None:
    state = tmp_path / "state"
    first = make_box(spec(EMBED), **kept(state)).wait_ready()
    assert first.embed("one").status_code == 200
    wait_until(lambda: requests(first) == 1)
    second = make_box(spec(EMBED), **kept(state)).wait_ready()

    (said,) = [line for line in second.lines() if "nothing_is_kept" in line]
    assert f"another edge-serve (process {first.process.pid}) keeps its files in {state}" in said
    assert "EDGE_SERVE_STATE_DIR" in said
    assert not [line for line in second.lines() if any(what in line for what in AT_WORK)]
    assert not list((state / "incidents").glob("*server-died*"))

    kill_frontend(first)
    assert (first.ask("/v1/batches"), second.ask("/v1/batches")) == (200, 503)
    assert requests(first) == 1
    assert not [line for line in first.lines() if any(what in line for what in AT_WORK)]


def test_the_folder_is_free_once_its_server_has_been_killed(
    make_box: MakeBox, tmp_path: Path
) -> None:
    state = tmp_path / "state"
    first = make_box(spec(EMBED), **kept(state)).wait_ready()
    first.stop()
    second = make_box(spec(EMBED), **kept(state)).wait_ready()
    assert second.ask("/v1/batches") == 200
    assert not [line for line in second.lines() if "nothing_is_kept" in line]


def test_what_runs_in_a_folder_is_known_while_it_does(make_box: MakeBox) -> None:
    box = make_box(spec(EMBED)).wait_ready()
    found = read_running(box.run_dir)
    assert found is not None
    assert (found.port, found.models) == (box.port, [EMBED])
