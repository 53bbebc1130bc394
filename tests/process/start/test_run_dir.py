"""The run folder goes away under a running server: a logout, whoever cleans /tmp, a wrong rm."""

from __future__ import annotations

import os
import shutil
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.process.box import CHAT, DEADLINE_S, EMBED, Box, MakeBox, spec, wait_until


def said(box: Box, what: str) -> bool:
    return any(what in line for line in box.lines())


def replaced(box: Box, model: str) -> bool:
    """Kill the model's worker and wait for the next one."""
    generation = box.kill(model)
    wait_until(lambda: box.replica(model)["generation"] == generation + 1)
    return bool(wait_until(lambda: box.replica(model)["state"] == "ready"))


def everybody_can_be_replaced(box: Box) -> None:
    os.kill(box.health()["frontend"]["pid"], signal.SIGKILL)
    wait_until(lambda: box.ask("/livez") == 200 and box.health()["frontend"]["generation"] == 2)
    wait_until(lambda: box.ask("/readyz") == 200)
    assert box.chat("by the same worker").status_code == 200
    assert box.replica(CHAT)["generation"] == 1
    assert replaced(box, CHAT)
    assert box.chat("by the next one").status_code == 200


def test_a_run_folder_that_was_removed_is_made_again_and_no_request_is_lost(box: Box) -> None:
    with ThreadPoolExecutor(1) as pool:
        stream = pool.submit(lambda: box.chat("/slow 200 " + "word " * 20, stream=True).text)
        wait_until(lambda: box.replica(CHAT)["in_flight"] == 1)
        shutil.rmtree(box.run_dir)
        wait_until(lambda: said(box, "run_dir_restored"))
        assert box.chat("meanwhile").status_code == 200
        assert stream.result().rstrip().endswith("data: [DONE]")
    wait_until(lambda: (box.run_dir / "chat-1.1").exists())
    everybody_can_be_replaced(box)
    assert box.run_dir.stat().st_mode & 0o777 == 0o700
    box.process.send_signal(signal.SIGTERM)
    assert box.process.wait(timeout=DEADLINE_S) == 0
    assert list(box.run_dir.iterdir()) == []


@pytest.mark.parametrize("name", ["control", "lock", "chat-1.1"])
def test_a_file_of_it_that_was_removed_costs_nothing(box: Box, name: str) -> None:
    (box.run_dir / name).unlink()
    wait_until(lambda: (box.run_dir / name).exists())
    everybody_can_be_replaced(box)


def test_a_frontend_that_starts_while_the_folder_is_gone_finds_everybody(box: Box) -> None:
    for count in range(3):
        frontend = box.health()["frontend"]
        shutil.rmtree(box.run_dir)
        os.kill(frontend["pid"], signal.SIGKILL)
        wait_until(lambda: box.ask("/readyz") == 200)
        assert box.chat(f"still here {count}").status_code == 200
    assert [box.replica(model)["generation"] for model in (CHAT, EMBED)] == [1, 1]


def test_a_worker_that_loads_meanwhile_is_served(make_box: MakeBox) -> None:
    box = make_box(spec(CHAT, options={"load_s": 2}), spec(EMBED))
    wait_until(lambda: box.ask("/livez") == 200)
    box.wait_loading(CHAT)
    shutil.rmtree(box.run_dir)
    box.wait_ready()
    assert box.chat("here").status_code == 200
    assert box.embed("here").status_code == 200


def test_sigterm_bears_a_folder_that_is_gone(box: Box) -> None:
    box.process.send_signal(signal.SIGSTOP)  # before it can make it again
    shutil.rmtree(box.run_dir)
    box.process.send_signal(signal.SIGTERM)
    box.process.send_signal(signal.SIGCONT)
    assert box.process.wait(timeout=DEADLINE_S) == 0
    assert not said(box, "Traceback")


def test_a_folder_that_cannot_be_made_again_stops_the_server_with_a_line(box: Box) -> None:
    shutil.rmtree(box.run_dir)
    box.run_dir.write_text("a file in its place")
    try:
        assert box.process.wait(timeout=DEADLINE_S) == 1
        assert said(box, "the run folder was removed and cannot be made again")
        assert not said(box, "Traceback")
    finally:
        Path(box.run_dir).unlink()
