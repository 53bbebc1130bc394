"""Keys, limits and usage of a whole server: changed while it runs, kept when it is killed."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from websockets.exceptions import ConnectionClosed

from frontend.usage.ledger import FLUSH_S
from ipc.messages.control import AccessConfig, BatchConfig, HistoryConfig
from ipc.messages.keys import ApiKey, KeyLimits, digest_of
from supervisor.plan import Origin
from supervisor.state.audit import NAME
from tests.process.box import CHAT, EMBED, SPEECH, Box, boxes, spec, wait_until
from tests.process.live.test_realtime import client

ADMIN, LIMITED, BUSY = "sk-admin-of-the-test", "sk-limited-of-the-test", "sk-busy-of-the-test"
DAILY = KeyLimits(tokens_per_day=4, models=[EMBED, "chat"])
FILE = f"# for people\nroot:{ADMIN}:admin\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("keys")


@pytest.fixture(scope="module")
def box(folder: Path) -> Iterator[Box]:
    keys = {
        "root": ApiKey.of(ADMIN, "admin"),
        "lim": ApiKey(digest=digest_of(LIMITED), limits=DAILY),
        "busy": ApiKey(digest=digest_of(BUSY), limits=KeyLimits(concurrent=1)),
    }
    (folder / "keys").write_text(FILE)
    with boxes(KeyedBox) as make:
        yield make(
            spec(CHAT, slots=4),
            spec("echo/chat-2"),
            spec(EMBED),
            spec(SPEECH),
            aliases={"chat": "echo/chat-2"},
            gate=AccessConfig(api_keys=keys),
            history=HistoryConfig(file=str(folder / "history.db")),
            batches=BatchConfig(folder=str(folder / "batches")),
            state_dir=str(folder),
            origin=Origin(keys_file=str(folder / "keys"), keys_digest=digest_of(FILE)),
        ).wait_ready()


class KeyedBox(Box):
    """Its client is the admin's."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.client.headers["authorization"] = f"Bearer {ADMIN}"


def asks(box: Box, secret: str, model: str = CHAT, text: str = "hi") -> httpx2.Response:
    body = {"model": model, "messages": [{"role": "user", "content": text}]}
    headers = {"authorization": f"Bearer {secret}"}
    return httpx2.post(f"{box.url}/v1/chat/completions", json=body, headers=headers, timeout=60)


def embeds(box: Box, secret: str, text: str = "one two three") -> httpx2.Response:
    headers = {"authorization": f"Bearer {secret}"}
    body = {"model": EMBED, "input": text}
    return httpx2.post(f"{box.url}/v1/embeddings", json=body, headers=headers, timeout=60)


def used(box: Box, key: str) -> float:
    """The requests of a key that were answered."""
    rows = box.client.get("/admin/usage", params={"by": "key", "key": key}).json()["rows"]
    return sum(float(row["requests"] - row["failed"]) for row in rows)


def kill_frontend(box: Box) -> None:
    pid = box.health()["frontend"]["pid"]
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: box.ask("/readyz") == 200 and box.health()["frontend"]["pid"] != pid)


# --- keys ---


def test_a_key_is_made_used_changed_and_removed(box: Box, folder: Path) -> None:
    made = box.client.post("/admin/keys/sam", json={"requests_per_min": 600}).json()
    secret = made["secret"]
    answer = asks(box, secret)
    assert (answer.status_code, answer.headers["x-ratelimit-limit-requests"]) == (200, "600")
    assert secret not in (folder / "keys").read_text()
    assert (folder / "keys").read_text().startswith(FILE)
    assert stat.S_IMODE((folder / "keys").stat().st_mode) == 0o600

    renewed = box.client.patch("/admin/keys/sam", json={"new_secret": True}).json()["secret"]
    assert [asks(box, one).status_code for one in (secret, renewed)] == [401, 200]
    box.client.delete("/admin/keys/sam")
    assert asks(box, renewed).status_code == 401
    assert (folder / "keys").read_text() == FILE

    def acts() -> list[tuple[str, str]]:
        whole = (folder / NAME).read_text().rpartition("\n")[0]
        lines = [json.loads(line) for line in whole.splitlines()]
        return [(line["by"], line["act"]) for line in lines if line["on"] == "sam"]

    wait_until(lambda: len(acts()) == 3)
    assert acts() == [("root", f"key.{act}") for act in ("add", "set", "remove")]
    events = box.client.get("/admin/events", params={"follow": "false"}).text
    kinds = [kind for kind in ("key.added", "key.changed", "key.removed") if kind in events]
    assert len(kinds) == 3
    assert digest_of(renewed) not in events


def test_a_live_session_by_a_key_that_is_removed_is_ended(box: Box) -> None:
    secret = box.client.post("/admin/keys/mic", json={}).json()["secret"]
    with client(box, additional_headers={"Authorization": f"Bearer {secret}"}) as one:
        one.hear("session.created")
        box.client.delete("/admin/keys/mic")
        with pytest.raises(ConnectionClosed):
            one.hear()
        assert one.socket.close_code == 1008


def test_whoever_is_logged_in_by_a_key_that_is_removed_is_out(box: Box) -> None:
    secret = box.client.post("/admin/keys/page", json={"role": "admin"}).json()["secret"]
    with httpx2.Client(base_url=box.url, timeout=60) as browser:
        assert browser.post("/login", json={"key": secret}).status_code == 200
        assert browser.get("/admin/models").status_code == 200
        with browser.stream("GET", "/admin/events") as followed:
            box.client.delete("/admin/keys/page")
            for _ in followed.iter_bytes():  # which ends, since nobody may follow any more
                pass
        assert browser.get("/admin/models").status_code == 401


def test_the_last_admin_stays_and_so_do_keys_from_elsewhere(box: Box) -> None:
    for name, why in (("root", "the last key with the role admin"), ("lim", "API_KEYS")):
        refused = box.client.delete(f"/admin/keys/{name}")
        assert refused.status_code == 409
        assert why in refused.json()["error"]["message"]


def test_the_same_from_a_shell(box: Box) -> None:
    def run(*words: str) -> str:
        argv = [sys.executable, "-P", "-m", "supervisor.cli", *words, "--url", box.url]
        env = {**os.environ, "EDGE_SERVE_API_KEY": ADMIN}
        done = subprocess.run(argv, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    secret = run("keys", "add", "shell", "tokens_per_day=1000", f"models={CHAT}").strip()
    assert asks(box, secret).status_code == 200
    run("keys", "set", "shell", "weight=2", "models=")
    listed = json.loads(run("keys", "list", "--json"))["keys"]
    (own,) = [one for one in listed if one["name"] == "shell"]
    assert (own["weight"], own["tokens_per_day"], own["models"]) == (2.0, 1000, [])
    assert "shell" in run("keys", "list")
    table = run("usage", "--by", "key,model", "--csv").splitlines()
    assert any(line.startswith(f"shell,{CHAT},1,0,") for line in table)
    assert "shell" in run("usage")
    run("keys", "rm", "shell")
    assert asks(box, secret).status_code == 401


# --- limits ---


def test_models_that_a_key_may_not_use_are_not_there_for_it(box: Box) -> None:
    headers = {"authorization": f"Bearer {LIMITED}"}
    with httpx2.Client(base_url=box.url, headers=headers, timeout=60) as client:
        listed = [one["id"] for one in client.get("/v1/models").json()["data"]]
        assert sorted(listed) == ["chat", "echo/chat-2", EMBED]
        assert client.get(f"/v1/models/{CHAT}").status_code == 404
        refused = asks(box, LIMITED)
        assert (refused.status_code, refused.json()["error"]["code"]) == (404, "model_not_found")
        assert f"'{CHAT}' for this key" in refused.json()["error"]["message"]
        assert CHAT not in [
            one["id"] for one in client.get("/.well-known/edge-serve.json").json()["models"]
        ]
        batch = client.post(
            "/v1/files",
            data={"purpose": "batch"},
            files={"file": ("a.jsonl", line("a", CHAT).encode())},
        )
        asked = {"input_file_id": batch.json()["id"], "endpoint": "/v1/chat/completions"}
        refused = client.post("/v1/batches", json={**asked, "completion_window": "24h"})
        assert refused.json().get("status", refused.json()) not in ("completed", "in_progress")


def line(name: str, model: str) -> str:
    body = {"model": model, "messages": [{"role": "user", "content": "hi"}]}
    return json.dumps(
        {"custom_id": name, "method": "POST", "url": "/v1/chat/completions", "body": body}
    )


def test_one_at_a_time(box: Box) -> None:
    body = {
        "model": CHAT,
        "messages": [{"role": "user", "content": "/slow 200 " + "word " * 100}],
        "stream": True,
    }
    headers = {"authorization": f"Bearer {BUSY}"}
    with httpx2.Client(base_url=box.url, headers=headers, timeout=60) as client:
        with client.stream("POST", "/v1/chat/completions", json=body) as first:
            parts = first.iter_bytes()
            next(parts)
            second = asks(box, BUSY)
            assert second.status_code == 429, second.text
            assert second.json()["error"]["code"] == "rate_limit_exceeded"
        # Whoever has left makes room, and what was written until then counts.
        wait_until(lambda: asks(box, BUSY).status_code == 200)
    rows = box.client.get("/admin/usage", params={"by": "outcome", "key": "busy"}).json()["rows"]
    (left,) = [row for row in rows if row["outcome"] == "client_closed_request"]
    assert left["completion_tokens"] > 0


def test_a_day_that_is_used_up_stays_so_when_the_frontend_is_killed(box: Box, folder: Path) -> None:
    first = embeds(box, LIMITED)
    assert first.status_code == 200
    wait_until(lambda: embeds(box, LIMITED).status_code == 429)
    is_kept(folder, box)
    kill_frontend(box)
    refused = embeds(box, LIMITED)
    error = refused.json()["error"]
    assert (refused.status_code, error["code"]) == (429, "insufficient_quota")
    assert refused.headers["x-ratelimit-remaining-tokens"] == "0"


# --- usage ---


def is_kept(folder: Path, box: Box) -> None:
    """All that has been counted by now is in the file, by itself: something is that came after it
    was handed over."""
    handed_over_s = time.time() + FLUSH_S + 1.0
    log = folder / "history.db-wal"

    def is_later() -> bool:
        asks(box, ADMIN)
        return log.exists() and log.stat().st_mtime > handed_over_s

    wait_until(is_later)


def test_usage_is_there_after_a_kill(box: Box, folder: Path) -> None:
    made = box.client.post("/admin/keys/counted").json()
    for _ in range(20):
        assert asks(box, made["secret"]).status_code == 200
    is_kept(folder, box)
    kill_frontend(box)
    assert used(box, "counted") == 20


def test_lines_of_a_batch_count_to_their_key(box: Box) -> None:
    secret = box.client.post("/admin/keys/batches").json()["secret"]
    headers = {"authorization": f"Bearer {secret}"}
    text = "\n".join(line(f"l{number}", CHAT) for number in range(5))
    with httpx2.Client(base_url=box.url, headers=headers, timeout=60) as client:
        files = {"file": ("a.jsonl", text.encode())}
        file = client.post("/v1/files", data={"purpose": "batch"}, files=files).json()
        asked = {
            "input_file_id": file["id"],
            "endpoint": "/v1/chat/completions",
            "completion_window": "24h",
        }
        batch = client.post("/v1/batches", json=asked).json()["id"]
        wait_until(lambda: client.get(f"/v1/batches/{batch}").json()["status"] == "completed")
    assert used(box, "batches") == 5


def test_a_key_that_is_removed_leaves_nothing_to_the_next_one(box: Box, folder: Path) -> None:
    def files(secret: str) -> Any:
        headers = {"authorization": f"Bearer {secret}"}
        with httpx2.Client(base_url=box.url, headers=headers, timeout=60) as client:
            sent = {"file": ("a.jsonl", line("a", CHAT).encode())}
            client.post("/v1/files", data={"purpose": "batch"}, files=sent).raise_for_status()
            return [one["id"] for one in client.get("/v1/files").json()["data"]]

    (first,) = files(box.client.post("/admin/keys/twice").json()["secret"])
    box.client.delete("/admin/keys/twice").raise_for_status()
    assert first not in files(box.client.post("/admin/keys/twice").json()["secret"])
    wait_until(lambda: not (folder / "batches" / "files" / first).exists())


def test_what_was_written_by_hand_is_not_undone(box: Box, folder: Path) -> None:
    before = (folder / "keys").read_text()
    (folder / "keys").write_text(before + "# by hand\n")
    refused = box.client.post("/admin/keys/late")
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "conflict")
    assert "edge-serve reload first" in box.client.get("/admin/keys").json()["why_not_changeable"]
    (folder / "keys").write_text(before)
    assert box.client.get("/admin/keys").json()["why_not_changeable"] is None
