"""Managing a running server from outside: real processes, killed and cancelled."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import psutil
import pytest

from ipc.messages.control import AccessConfig
from ipc.messages.keys import ApiKey
from supervisor.state.audit import NAME, broken_at
from tests.process.box import CHAT, DEADLINE_S, EMBED, Box, Gate, MakeBox, spec, wait_until

SLOW = "/slow 200 " + "word " * 500  # longer than any deadline here
ID = {"x-request-id": "mine/7"}


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path


@pytest.fixture
def box(make_box: MakeBox, state: Path) -> Box:
    return make_box(
        spec(CHAT, slots=1, prefetch=0, queue_limit=8),
        spec(EMBED, load="on_demand"),
        state_dir=str(state),
    ).wait_ready()


def model(box: Box, name: str) -> dict[str, Any]:
    found: dict[str, Any] = box.client.get(f"/admin/models/{name}").json()
    return found


def act(box: Box, name: str, what: str, **body: Any) -> httpx2.Response:
    return box.client.post(f"/admin/models/{name}/{what}", json=body)


def events(box: Box, after: int = 0) -> list[dict[str, Any]]:
    text = box.client.get("/admin/events", params={"follow": "false", "after": after}).text
    lines = text.splitlines()
    return [json.loads(line[6:]) for line in lines if line.startswith("data: ")]


def kinds(box: Box, name: str) -> list[str]:
    return [one["type"] for one in events(box) if one["model"] == name]


def audit(state: Path) -> list[dict[str, Any]]:
    file = state / NAME
    return [json.loads(line) for line in file.read_bytes().splitlines()] if file.exists() else []


def test_a_model_is_loaded_unloaded_pinned_and_restarted_and_each_is_written_down(
    box: Box, state: Path
) -> None:
    assert model(box, EMBED)["state"] == "unloaded"
    loaded = act(box, EMBED, "load", wait=True, keep_alive_s=600)
    assert (loaded.status_code, loaded.json()["state"]) == (200, "ready")
    assert loaded.json()["residency"]["idle_unload_s"] == 600.0
    assert act(box, EMBED, "pin").json()["residency"]["pinned"] is True
    assert act(box, EMBED, "unpin").json()["residency"]["pinned"] is False
    before = model(box, EMBED)["replicas"][0]["generation"]
    assert act(box, EMBED, "restart").status_code == 202
    wait_until(lambda: model(box, EMBED)["replicas"][-1]["generation"] > before)
    wait_until(lambda: model(box, EMBED)["state"] == "ready")
    assert act(box, EMBED, "unload").status_code in (200, 202)
    wait_until(lambda: model(box, EMBED)["state"] == "unloaded")
    assert box.embed("hello").status_code == 200  # it comes back for whoever asks
    wait_until(lambda: len(audit(state)) == 5)
    done = [(one["by"], one["act"], one["on"], one["result"]) for one in audit(state)]
    assert done == [
        ("127.0.0.1", f"model.{what}", EMBED, "ok")
        for what in ("load", "pin", "unpin", "restart", "unload")
    ]
    assert stat.S_IMODE((state / NAME).stat().st_mode) == 0o600
    assert broken_at((state / NAME).read_bytes().splitlines()) is None
    assert {"model.load", "model.unload", "model.state", "replica.exit"} <= {*kinds(box, EMBED)}


def test_a_drained_model_finishes_what_it_has_and_refuses_what_comes_until_it_is_resumed(
    box: Box, gate: Gate
) -> None:
    with ThreadPoolExecutor(1) as client, gate:
        answer = client.submit(box.chat, gate.held("word " * 10))
        wait_until(lambda: model(box, CHAT)["jobs"]["in_hand"] == 1)
        assert act(box, CHAT, "drain").json()["drained"] is True
        refused = box.chat("hello")
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "model_draining")
        assert int(refused.headers["retry-after"]) > 0
        assert box.ask("/readyz") == 503
        gate.open()
        assert answer.result().status_code == 200
    box.kill(CHAT)
    wait_until(lambda: model(box, CHAT)["state"] == "ready")
    assert box.chat("hello").status_code == 503  # also by another worker
    assert act(box, CHAT, "resume").json()["drained"] is False
    assert box.chat("hello").status_code == 200
    wait_until(lambda: box.ask("/readyz") == 200)


def test_a_box_is_drained_and_resumed_from_a_shell(box: Box) -> None:
    assert edge_serve(box, "drain").returncode == 1
    drained = edge_serve(box, "drain", "--all")
    assert f"{CHAT}: ready, takes nothing new" in drained.stdout.splitlines()
    assert (box.chat("hello").status_code, box.embed("hello").status_code) == (503, 503)
    assert "ready, drained" in edge_serve(box, "ps").stdout
    assert edge_serve(box, "resume", CHAT).returncode == 0
    assert (box.chat("hello").status_code, box.embed("hello").status_code) == (200, 503)
    assert edge_serve(box, "resume", "--all").returncode == 0
    assert box.embed("hello").status_code == 200


def test_a_model_with_work_is_not_unloaded_unless_by_force(box: Box, gate: Gate) -> None:
    with ThreadPoolExecutor(1) as client, gate:
        answer = client.submit(box.chat, gate.held("word " * 10))
        wait_until(lambda: model(box, CHAT)["jobs"]["in_hand"] == 1)
        busy = act(box, CHAT, "unload")
        assert (busy.status_code, busy.json()["error"]["code"]) == (409, "busy")
        assert act(box, CHAT, "unload", force=True).status_code == 202
        gate.open()
        assert answer.result().status_code == 200
    wait_until(lambda: model(box, CHAT)["state"] == "unloaded")


@pytest.mark.parametrize("stream", [False, True])
def test_a_request_is_cancelled_its_client_is_told_and_its_place_is_free(
    box: Box, stream: bool
) -> None:
    body = {"model": CHAT, "messages": [{"role": "user", "content": SLOW}], "stream": stream}
    with ThreadPoolExecutor(1) as client:
        answer = client.submit(box.client.post, "/v1/chat/completions", json=body, headers=ID)

        def stage() -> str | None:
            told = box.client.get("/admin/requests/mine/7").json()
            found: str | None = told.get("stage")
            return found

        wait_until(lambda: stage() == "answering")
        assert box.client.delete("/admin/requests/mine/7").status_code == 200
        got = answer.result(timeout=DEADLINE_S)
    assert "cancelled_by_operator" in got.text
    assert got.status_code == (200 if stream else 503)
    assert "[DONE]" not in got.text
    assert box.chat("hello", timeout=DEADLINE_S).status_code == 200  # one slot, which is free
    told = box.client.get("/admin/requests/mine/7").json()
    assert (told["stage"], told["status"], told["error"]) == (
        "ended",
        503,
        "cancelled_by_operator",
    )
    assert "word" not in box.client.get("/admin/requests").text


def test_a_worker_that_dies_leaves_its_last_words_and_an_event(box: Box) -> None:
    name = model(box, CHAT)["replicas"][0]["replica"]
    box.kill(CHAT, signal.SIGABRT)
    wait_until(lambda: "replica.exit" in kinds(box, CHAT))
    (died,) = [one for one in events(box) if one["type"] == "replica.exit"]
    assert (died["model"], died["reason"], died["planned"]) == (CHAT, "killed by SIGABRT", False)
    said = box.client.get(f"/admin/logs/{name}").text
    assert "Fatal Python error: Aborted" in said
    lines = box.log.read_text().splitlines()  # others write there, too
    assert set(said.splitlines()) <= set(lines)
    assert "exited" in box.client.get("/admin/logs/supervisor", params={"tail": 50}).text
    assert "path=/" in box.client.get("/admin/logs/frontend").text
    assert box.client.get("/admin/logs/none").status_code == 404


def test_events_are_followed_and_gone_on_with_after_a_new_frontend(box: Box) -> None:
    seen: list[dict[str, Any]] = []

    def follow() -> None:
        with box.client.stream("GET", "/admin/events") as answer:
            try:
                told = (line[6:] for line in answer.iter_lines() if line.startswith("data: "))
                seen.extend(map(json.loads, told))
            except httpx2.TransportError:
                return

    thread = threading.Thread(target=follow)
    thread.start()
    wait_until(lambda: any(one["type"] == "model.state" for one in seen))
    act(box, EMBED, "load", wait=True)
    wait_until(lambda: any(one["type"] == "model.load" for one in seen))
    os.kill(box.health()["frontend"]["pid"], signal.SIGKILL)
    thread.join(DEADLINE_S)
    last = seen[-1]["seq"]
    wait_until(lambda: box.ask("/readyz") == 200)
    fresh = wait_until(lambda: events(box, after=last))
    assert fresh[0]["seq"] == last + 1
    assert [one["seq"] for one in events(box)] == [*range(1, fresh[-1]["seq"] + 1)]


def test_the_lines_of_a_process_are_followed(box: Box) -> None:
    with box.client.stream("GET", "/admin/logs/supervisor?follow=1&tail=0") as answer:
        lines = answer.iter_lines()
        act(box, EMBED, "load")
        line = next(line for line in lines if "data: " in line and "load" in line)
    assert json.loads(line[6:])["process"] == "supervisor"


def test_a_server_that_is_drained_ends_who_follows_finishes_what_it_has_and_exits(
    box: Box, gate: Gate
) -> None:
    with (
        ThreadPoolExecutor(1) as client,
        gate,
        box.client.stream("GET", "/admin/events") as follows,
    ):
        assert follows.status_code == 200
        answer = client.submit(box.chat, gate.held("word"))
        wait_until(lambda: model(box, CHAT)["jobs"]["in_hand"] == 1)
        told = box.client.post("/admin/drain")
        assert (told.status_code, told.json()) == (202, {"stopping": True, "drain_s": 30.0})
        gate.open()
        assert answer.result(DEADLINE_S).status_code == 200
        for _ in follows.iter_bytes():  # up to its end
            pass
    assert box.process.wait(DEADLINE_S) == 0
    assert not [one for one in psutil.process_iter() if one.pid == box.process.pid]


def edge_serve(box: Box, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command line, with no other settings than where ``box`` listens."""
    return subprocess.run(
        [sys.executable, "-P", "-m", "supervisor.cli", *arguments],
        env={"PATH": os.environ["PATH"], "PORT": str(box.port)},
        cwd=box.run_dir,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_command_line_loads_unloads_and_shows_it(box: Box) -> None:
    loaded = edge_serve(box, "load", EMBED, "--wait", "--pin")
    assert (loaded.returncode, loaded.stdout) == (0, f"{EMBED}: ready\n")
    shown = edge_serve(box, "ps").stdout.splitlines()
    assert shown[0].split()[:4] == ["model", "state", "MB", "queue"]
    assert [line.split()[:2] for line in shown[1:]] == [[CHAT, "ready"], [EMBED, "ready"]]
    assert "pinned" in shown[2]
    assert "ready" in edge_serve(box, "logs").stdout
    happened = edge_serve(box, "events").stdout
    assert f"model.state {EMBED} state=ready" in happened
    assert edge_serve(box, "unload", EMBED).returncode == 0
    unknown = edge_serve(box, "load", "org/none")
    assert unknown.returncode == 1
    assert "this server has no such model" in unknown.stderr


def test_a_key_needs_the_role_and_its_name_is_written_down(make_box: MakeBox, state: Path) -> None:
    user, admin = "sk-user-0123456789abcdef", "sk-admin-0123456789abcdef"
    keys = {"ann": ApiKey.of(admin, "admin"), "bob": ApiKey.of(user)}
    box = make_box(spec(EMBED), gate=AccessConfig(api_keys=keys), state_dir=str(state))
    box.client.headers["authorization"] = f"Bearer {user}"
    box.wait_ready()
    refused = act(box, EMBED, "unload")
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "admin_required")
    box.client.headers["authorization"] = f"Bearer {admin}"
    assert act(box, EMBED, "pin").status_code == 200
    wait_until(lambda: audit(state))
    assert [(one["by"], one["act"]) for one in audit(state)] == [("ann", "model.pin")]
    assert admin not in (state / NAME).read_text()
