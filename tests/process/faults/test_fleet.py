"""The life of the whole: starting, stopping, losing the supervisor or the frontend."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import httpx2
import msgspec
import psutil
import pytest

from supervisor import plan as plans
from supervisor.lifecycle.restarts import CIRCUIT_FAILURES
from tests.process.box import CHAT, DEADLINE_S, EMBED, Box, Gate, MakeBox, spec, wait_until


def test_no_process_outlives_a_killed_supervisor(box: Box) -> None:
    family = box.family()
    assert len(family) == 4
    box.process.kill()
    gone, alive = psutil.wait_procs(family, timeout=DEADLINE_S)
    assert not alive
    assert len(gone) == 4


def test_sigterm_lets_open_streams_finish_and_refuses_the_rest(box: Box, gate: Gate) -> None:
    text = gate.held("word " * 15, after=1)
    with ThreadPoolExecutor(4) as pool, gate:
        streams = [pool.submit(lambda: box.chat(text, stream=True).text) for _ in range(3)]
        wait_until(lambda: box.queue(CHAT)["in_flight"] == 3)
        box.process.send_signal(signal.SIGTERM)
        refused = wait_until(lambda: (r := box.embed("x")).status_code == 503 and r)
        assert refused.json()["error"]["code"] == "draining"
        assert box.ask("/readyz") == 503
        gate.open()
        texts = [stream.result() for stream in streams]
    assert all(text.rstrip().endswith("data: [DONE]") for text in texts)
    assert box.process.wait(timeout=DEADLINE_S) == 0
    assert list(box.run_dir.iterdir()) == []


def test_streams_that_outlast_the_drain_end_with_an_error(make_box: MakeBox) -> None:
    box = make_box(spec(CHAT), drain_s=0.5).wait_ready()
    with ThreadPoolExecutor(1) as pool:
        stream = pool.submit(lambda: box.chat("/slow 300 " + "word " * 100, stream=True).text)
        wait_until(lambda: box.queue(CHAT)["in_flight"] == 1)
        box.process.send_signal(signal.SIGTERM)
        text = stream.result()
    assert "draining" in text
    assert "[DONE]" not in text
    assert box.process.wait(timeout=DEADLINE_S) == 0


def test_a_second_signal_does_not_wait(box: Box) -> None:
    with ThreadPoolExecutor(1) as pool:
        stream = pool.submit(lambda: box.chat("/slow 300 " + "word " * 100, stream=True).text)
        wait_until(lambda: box.queue(CHAT)["in_flight"] == 1)
        box.process.send_signal(signal.SIGINT)
        wait_until(lambda: box.ask("/readyz") == 503)
        box.process.send_signal(signal.SIGINT)
        assert "draining" in stream.result()
    assert box.process.wait(timeout=DEADLINE_S) == 0


def test_a_killed_frontend_comes_back_and_models_stay_loaded(box: Box) -> None:
    report = box.health()
    with ThreadPoolExecutor(1) as pool:
        orphan = pool.submit(box.chat, "/slow 100000 never")
        wait_until(lambda: box.replica(CHAT)["in_flight"] == 1)
        os.kill(report["frontend"]["pid"], signal.SIGKILL)
        assert isinstance(orphan.exception(), httpx2.TransportError)
    wait_until(lambda: box.ask("/readyz") == 200)
    assert box.health()["frontend"]["generation"] == 2
    assert box.replica(CHAT)["generation"] == 1
    wait_until(lambda: box.replica(CHAT)["in_flight"] == 0)
    assert box.chat("again").status_code == 200


def is_gone(pid: int) -> bool:
    return not psutil.pid_exists(pid)


def test_a_new_frontend_answers_nobody_before_it_knows_its_workers(box: Box) -> None:
    """A connection that is made while the frontend is away waits, and is then answered."""
    for generation in (1, 2, 3):
        frontend = box.health()["frontend"]
        assert frontend["generation"] == generation
        os.kill(frontend["pid"], signal.SIGKILL)
        wait_until(partial(is_gone, frontend["pid"]))
        with httpx2.Client(base_url=box.url, timeout=60) as client:
            body = {"model": EMBED, "input": "first"}
            first = client.post("/v1/embeddings", json=body)
        assert first.status_code == 200, first.text


def test_a_worker_whose_socket_has_vanished_serves_a_new_frontend_or_is_replaced(box: Box) -> None:
    frontend = box.health()["frontend"]["pid"]
    (box.run_dir / "chat-1.1").unlink()
    os.kill(frontend, signal.SIGKILL)
    wait_until(lambda: not psutil.pid_exists(frontend))
    answer = wait_until(lambda: (r := box.chat("anyone there?")).status_code == 200 and r)
    assert "anyone there?" in answer.text
    wait_until(lambda: box.ask("/readyz") == 200)


def test_a_stopped_frontend_is_replaced(box: Box) -> None:
    os.kill(box.health()["frontend"]["pid"], signal.SIGSTOP)
    wait_until(lambda: any("no heartbeat" in line for line in box.lines()))
    wait_until(lambda: box.ask("/readyz") == 200)
    assert box.health()["frontend"]["generation"] == 2


def test_a_frontend_that_is_killed_again_and_again_comes_back_each_time(
    make_box: MakeBox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More often than any worker may fail."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(DEADLINE_S)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        box = make_box(spec(EMBED)).wait_ready()
        for _ in range(CIRCUIT_FAILURES + 1):
            os.kill(frontend_pid(box), signal.SIGKILL)
        heard = listen_for(systemd, "READY=1")
        while not any("keeps failing (killed by SIGKILL)" in line for line in heard):
            heard += systemd.recv(4096).decode().splitlines()
        wait_until(lambda: box.ask("/readyz") == 200)
        listen_for(systemd, "STATUS=1 of 1 models ready")
    assert box.replica(EMBED)["generation"] == 1
    assert any("the frontend keeps failing; models stay loaded" in line for line in box.lines())


def frontend_pid(box: Box) -> int:
    """Of the next one that can be found."""

    def look() -> int | None:
        with contextlib.suppress(psutil.Error):
            for process in box.family():
                if "--listen-fd" in process.cmdline():
                    return process.pid
        return None

    found: int = wait_until(look)
    return found


def test_a_frontend_that_never_starts_ends_the_server(
    make_box: MakeBox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import os, sys\nif 'frontend' in sys.orig_argv: os._exit(9)\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    box = make_box(spec(EMBED))
    assert box.process.wait(timeout=DEADLINE_S) == 1
    assert any("the frontend cannot start" in line for line in box.lines())


def test_one_run_folder_has_one_supervisor(box: Box) -> None:
    path = plans.write(box.plan)
    argv = [sys.executable, "-m", "supervisor", str(path)]
    second = subprocess.run(argv, capture_output=True, text=True, timeout=DEADLINE_S)
    assert second.returncode == 1
    assert second.stderr.splitlines()[-1].startswith("edge-serve: another edge-serve runs in")
    wait_until(lambda: box.ask("/readyz") == 200)


def test_a_port_in_use_is_said_at_once(make_box: MakeBox) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        box = make_box(spec(EMBED))
        box.process.kill()
        box.process.wait()
        box.plan = msgspec.structs.replace(box.plan, port=taken.getsockname()[1])
        box.start()
        assert box.process.wait(timeout=DEADLINE_S) == 1
    assert "cannot listen on 127.0.0.1" in box.lines()[-1]


def test_what_a_crash_left_behind_is_swept(make_box: MakeBox) -> None:
    box = make_box(spec(EMBED)).wait_ready()
    box.process.kill()
    box.process.wait()
    stale = box.run_dir / "embed-1.77"
    stale.touch()
    box.start()
    box.wait_ready()
    assert not stale.exists()
    assert box.embed("x").status_code == 200


def test_systemd_is_told_the_truth(
    make_box: MakeBox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """READY once clients are answered, STATUS as models come, WATCHDOG while the loop turns."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(DEADLINE_S)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        monkeypatch.setenv("WATCHDOG_USEC", "900000")
        box = make_box(spec(EMBED))
        # From the start on: the socket keeps a few lines only, and drops what comes after them.
        listen_for(systemd, "READY=1", "STATUS=1 of 1 models ready", "WATCHDOG=1")
        os.kill(box.process.pid, signal.SIGTERM)
        listen_for(systemd, "STOPPING=1")
        assert box.process.wait(timeout=DEADLINE_S) == 0


def listen_for(systemd: socket.socket, *wanted: str) -> list[str]:
    """Everything heard until each of ``wanted`` has come."""
    heard: list[str] = []
    end_at = time.monotonic() + DEADLINE_S
    while not set(wanted) <= set(heard):
        assert time.monotonic() < end_at, heard
        heard += systemd.recv(4096).decode().splitlines()
    return heard
