"""What is known after a crash: real processes, killed and hung, and their files."""

from __future__ import annotations

import base64
import contextlib
import gzip
import json
import os
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import pytest

from ipc.facts.samples import grey_png
from ipc.messages.control import AccessConfig, HistoryConfig, IncidentsConfig
from ipc.messages.keys import ApiKey
from tests.process.box import CHAT, EMBED, Box, Gate, MakeBox, spec, wait_until

SLOW = "/slow 200 " + "word " * 15
KEY = "sk-canary-key-1234567890"
CANARIES = ["canary-prompt", "canary-system", "canary-user", "canary-tool", "canary-field"]


def kept(folder: Path) -> dict[str, Any]:
    """What has a server keep everything in ``folder``."""
    folder.mkdir(exist_ok=True)
    return {
        "state_dir": str(folder),
        "history": HistoryConfig(file=str(folder / "history.db")),
        "incidents": IncidentsConfig(folder=str(folder / "incidents")),
    }


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


def files(state: Path) -> list[Path]:
    return sorted((state / "incidents").glob("*.json.gz"))


def told(state: Path, what: str) -> dict[str, Any]:
    """The file of the one incident of that kind, once there is one."""

    def found() -> list[Path]:
        return [file for file in files(state) if f"-{what}" in file.name]

    wait_until(found)
    (file,) = found()
    document: dict[str, Any] = json.loads(gzip.decompress(file.read_bytes()))
    return document


def command(box: Box, *argv: str) -> subprocess.CompletedProcess[str]:
    """What the command line says to this server, without `.env`."""
    return subprocess.run(
        [sys.executable, "-P", "-m", "supervisor.cli", *argv, "--url", box.url],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_a_worker_that_is_killed_in_mid_load_leaves_a_file_by_which_that_load_is_made_again(
    make_box: MakeBox, state: Path, tmp_path: Path
) -> None:
    slow: dict[str, Any] = {"slots": 2, "prefetch": 0, "options": {"word_ms": 200.0}}
    slow["migrate"] = False  # answers end with their worker
    box = make_box(spec(CHAT, **slow), spec(EMBED), **kept(state)).wait_ready()
    words = "word " * 40
    with ThreadPoolExecutor(8) as pool:
        chats = [pool.submit(box.chat, words, max_tokens=32) for _ in range(3)]
        wait_until(lambda: box.queue(CHAT)["in_flight"] == 2)
        leaves = pool.submit(box.chat, words, stream=True, timeout=0.5)
        assert box.embed("one", "two").status_code == 200
        with pytest.raises(httpx2.TimeoutException):
            leaves.result()
        box.kill(CHAT)
        assert {chat.result().status_code for chat in chats} <= {200, 503}
    crash = told(state, "crash")
    assert crash["in_hand"] == 2
    assert crash["told"].startswith(f"a worker of {CHAT} died (killed by SIGKILL), 2 requests in")
    assert {"kind": "embed", "texts": 2, "chars": 6} in [one["shape"] for one in crash["requests"]]
    chats_then = [one for one in crash["requests"] if one["shape"]["kind"] == "chat"]
    assert len(chats_then) == 4
    assert all(one["shape"]["chars"] == len(words) for one in chats_then)
    assert sum(one.get("error") == "worker_crashed" for one in chats_then) == 2
    assert crash["machine"]["memory"]["meminfo"]
    assert [one["type"] for one in crash["events"]][-1] in ("replica.exit", "model.state")

    listed = box.client.get("/admin/incidents").json()["incidents"]
    assert [one["id"] for one in listed] == [crash["id"]]
    answer = box.client.get(f"/admin/incidents/{crash['id']}")
    assert json.loads(gzip.decompress(answer.content)) == crash
    assert box.client.get("/admin/incidents/..%2F..%2Fhistory.db").status_code == 404
    said = command(box, "incidents", "last", "--save", str(tmp_path / "it.json.gz"))
    assert (said.returncode, crash["told"] in said.stdout) == (0, True), said.stderr
    box.stop()

    fresh = make_box(spec("other/chat", **slow), spec(EMBED)).wait_ready()
    argv = (str(tmp_path / "it.json.gz"), "--model", f"{CHAT}=other/chat", "--speed", "2", "--json")
    again = command(fresh, "replay", *argv)
    assert again.returncode == 0, again.stderr
    kinds = {(one["task"], one["stream"]): one for one in json.loads(again.stdout)["kinds"]}
    counts = {
        kind: (one["then"]["requests"], one["now"]["requests"]) for kind, one in kinds.items()
    }
    assert counts == {("chat", False): (3, 3), ("chat", True): (1, 1), ("embed", False): (1, 1)}
    assert kinds["chat", False]["now"]["ended"] == {"ok": 3}
    assert kinds["embed", False]["now"]["ended"] == {"ok": 1}


@pytest.mark.parametrize("directive", ["/hang", "/spin"])
def test_a_worker_that_hangs_says_where_before_it_is_killed(
    make_box: MakeBox, state: Path, directive: str
) -> None:
    box = make_box(spec(CHAT, stall_s=1.5), **kept(state)).wait_ready()
    assert box.chat(directive).status_code == 503
    hang = told(state, "hang")
    (frames,) = hang["stacks"].values()
    assert frames[0] == "Fatal Python error: Aborted"
    assert any("worker/engines/echo" in frame for frame in frames)
    assert (hang["what"], hang["in_hand"]) == ("hang", 1)


def test_a_worker_whose_very_heartbeat_stands_still_says_where(
    make_box: MakeBox, state: Path
) -> None:
    """A library holds the GIL and waits: nothing of Python runs, and no processor time is used."""
    box = make_box(spec(CHAT), **kept(state)).wait_ready()
    assert box.chat("/freeze").status_code == 503
    hang = told(state, "hang")
    (frames,) = hang["stacks"].values()
    assert any("faults.py" in frame and "freeze" in frame for frame in frames)
    assert "no heartbeat" in hang["told"]


def test_a_frontend_that_crashes_leaves_one_too_with_the_requests_before_it(
    make_box: MakeBox, state: Path
) -> None:
    box = make_box(spec(CHAT), **kept(state)).wait_ready()
    box.chat("one two three")
    pid = box.health()["frontend"]["pid"]

    def is_kept() -> bool:
        page = box.client.get("/admin/requests").json()["requests"]
        return any(one["model"] == CHAT and one["stage"] == "ended" for one in page)

    wait_until(is_kept)  # asking has it written
    os.kill(pid, signal.SIGABRT)
    crash = told(state, "frontend-crash")
    assert [one["model"] for one in crash["requests"] if one.get("shape")] == [CHAT]
    assert crash["stacks"]["frontend"][0] == "Fatal Python error: Aborted"
    assert "killed by SIGABRT" in crash["told"]


def read_until_cut(box: Box, text: str) -> None:
    with (
        contextlib.suppress(httpx2.TransportError),
        box.client.stream("POST", "/v1/chat/completions", json=chat(text), timeout=120) as answer,
    ):
        for _ in answer.iter_lines():
            pass


def test_what_a_frontend_had_in_hand_that_was_killed_is_counted_and_in_the_history(
    make_box: MakeBox, state: Path
) -> None:
    box = make_box(spec(CHAT, slots=2), **kept(state)).wait_ready()
    frontend = box.health()["frontend"]["pid"]
    with ThreadPoolExecutor(2) as pool:
        asked = [pool.submit(read_until_cut, box, "/slow 200 " + "word " * 200) for _ in range(2)]
        wait_until(lambda: rows_at_work(state) == 2)
        os.kill(frontend, signal.SIGKILL)
        for each in asked:
            each.result()
    crash = told(state, "frontend-crash")
    assert crash["in_hand"] == 2
    assert "2 requests in hand" in crash["told"]
    page = box.client.get("/admin/requests", params={"model": CHAT}).json()["requests"]
    assert [(one["stage"], one["error"]) for one in page] == [("ended", "lost_with_frontend")] * 2
    assert all(one["times"]["dispatched_s"] is not None for one in page)


def rows_at_work(state: Path) -> int:
    """How many of them are with a worker, as the file has it. Its owner locks it, so a copy of it
    is read."""
    with tempfile.TemporaryDirectory() as folder:
        for file in state.glob("history.db*"):
            shutil.copy(file, folder)
        with contextlib.closing(sqlite3.connect(Path(folder) / "history.db")) as copy:
            try:
                query = "SELECT record FROM requests_at_work"
                rows = [json.loads(row) for (row,) in copy.execute(query)]
            except sqlite3.Error:  # copied amid a write
                return 0
    return sum("dispatched_s" in row and row["dispatched_s"] is not None for row in rows)


def test_of_a_worker_that_is_killed_it_is_said_which_answers_went_on(
    make_box: MakeBox, state: Path, gate: Gate
) -> None:
    box = make_box(spec(CHAT, slots=2), **kept(state)).wait_ready()
    text = gate.held("word " * 60, after=2)
    with ThreadPoolExecutor(2) as pool, gate:
        asked = [pool.submit(read_until_cut, box, text) for _ in range(2)]

        def answering() -> bool:
            page = box.client.get("/admin/requests", params={"model": CHAT}).json()["requests"]
            return [one["stage"] for one in page] == ["answering"] * 2

        wait_until(answering)
        box.kill(CHAT)
        gate.open()
        for each in asked:
            each.result()
    crash = told(state, "crash")
    assert (crash["went_on"], crash["refused"]) == (2, 0)
    assert "2 requests in hand (2 went on with the next worker)" in crash["told"]
    page = box.client.get("/admin/requests", params={"model": CHAT}).json()["requests"]
    for one in page:
        assert [each["ended"] for each in one["earlier"]] == ["worker_died"]
        assert one["times"]["resumed_s"] > one["earlier"][0]["ended_s"]


def chat(text: str) -> dict[str, Any]:
    messages = [{"role": "user", "content": text}]
    return {"model": CHAT, "stream": True, "messages": messages, "max_tokens": 300}


def test_a_server_that_was_killed_is_told_of_by_the_next(make_box: MakeBox, state: Path) -> None:
    box = make_box(spec(CHAT), **kept(state)).wait_ready()
    box.chat("one two three")
    box.stop()  # kill -9
    box = make_box(spec(CHAT), **kept(state)).wait_ready()
    assert "killed, without having been stopped" in told(state, "server-died")["told"]
    box.process.terminate()
    box.process.wait(60)
    before = files(state)
    make_box(spec(CHAT), **kept(state)).wait_ready()
    assert files(state) == before


def test_a_crash_loop_is_one_file_and_its_open_circuit_another(
    make_box: MakeBox, state: Path
) -> None:
    failing: dict[str, Any] = {"load_fails": "always"}
    box = make_box(spec(CHAT, options=failing), spec(EMBED), **kept(state))
    wait_until(lambda: box.ask("/livez") == 200)
    assert "told to fail at load" in told(state, "load-failed")["told"]
    box.client.post(f"/admin/models/{CHAT}/restart")
    wait_until(lambda: box.replica(CHAT)["generation"] > 1)
    wait_until(lambda: box.replica(CHAT)["state"] == "failed")
    assert len(files(state)) == 1


def test_nothing_that_was_sent_is_in_it(make_box: MakeBox, state: Path) -> None:
    """Prompts, answers, names of tools and fields, images, keys; what programs print."""
    gate = AccessConfig(api_keys={"canary-name": ApiKey.of(KEY, role="admin")})
    box = make_box(spec(CHAT, vision=True), spec(EMBED), gate=gate, **kept(state))
    headers = {"authorization": f"Bearer {KEY}", "x-request-id": "canary-id"}
    box.client.headers.update(headers)
    box.wait_ready()
    image = base64.b64encode(grey_png(8)).decode()
    body = {
        "model": CHAT,
        "messages": [
            {"role": "system", "content": "canary-system"},
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "canary-prompt"},
                    {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{image}"}},
                ],
            },
        ],
        "tools": [{"type": "function", "function": {"name": "canary-tool", "parameters": {}}}],
        "user": "canary-user",
        "metadata": {"canary-field": "canary-field"},
    }
    assert box.client.post("/v1/chat/completions", json=body).status_code == 200
    assert box.embed("canary-prompt").status_code == 200
    assert box.chat("/raise canary-prompt").status_code == 500
    box.client.get("/v1/canary-field?canary-field=canary-field")
    crash = json.dumps(told(state, "crash"))
    (file,) = files(state)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    secrets = [*CANARIES, KEY, "canary-name", "canary-id", image]
    assert [secret for secret in secrets if secret in crash] == []
    assert "RuntimeError" in crash  # what broke, without what it said
    assert {one["client"] for one in json.loads(crash)["requests"]} == {1}


def test_where_nothing_is_kept_nothing_is_written(make_box: MakeBox, tmp_path: Path) -> None:
    box = make_box(spec(CHAT)).wait_ready()
    generation = box.kill(CHAT)
    wait_until(lambda: box.replica(CHAT)["generation"] > generation)
    assert box.client.get("/admin/incidents").json() == {"incidents": []}
    assert list(tmp_path.iterdir()) == []
