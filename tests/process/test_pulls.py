"""Pulls as jobs of a running server: real processes, and a hub that speaks the real API."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.fake_hub import FakeHub
from tests.process.box import CHAT, Box, MakeBox, lives, spec, wait_until
from tests.unit.supervisor.discovery.test_discover import gguf

SOURCE = "hf:acme/one"
# Of an architecture that only llama.cpp reads, so that nothing is converted.
WEIGHTS = gguf(general__architecture="gemma3", gemma3__block_count=1) + bytes(4 << 20)
# Where a pull stops while a test does something amid it.
HELD_AT = 5 << 19


@pytest.fixture
def hub(tmp_path: Path) -> FakeHub:
    fake = FakeHub(tmp_path / "hub")
    fake.put("acme/one", {"one-Q8_0.gguf": WEIGHTS})
    return fake


@pytest.fixture
def models(tmp_path: Path) -> Path:
    return tmp_path / "models"


@pytest.fixture
def box(hub: FakeHub, models: Path, tmp_path: Path, make_box: MakeBox) -> Iterator[Box]:
    with hub.running() as url:
        state = tmp_path / "state"
        state.mkdir(mode=0o700)
        env = {"HF_ENDPOINT": url, "EDGE_SERVE_MODELS_DIR": str(models), "HF_HUB_OFFLINE": ""}
        box = make_box(spec(CHAT), state_dir=str(state), command_env=env, ollama=True)
        yield box.wait_ready()


def begin(box: Box, **body: Any) -> str:
    answer = box.client.post("/admin/pulls", json={"source": SOURCE, **body})
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


def pull(box: Box, pull_id: str) -> dict[str, Any]:
    found: dict[str, Any] = box.client.get(f"/admin/pulls/{pull_id}").json()
    return found


def wait_for(box: Box, pull_id: str, state: str) -> dict[str, Any]:
    wait_until(lambda: pull(box, pull_id)["state"] in (state, "failed"))
    found = pull(box, pull_id)
    assert found["state"] == state, found
    return found


def hold(hub: FakeHub) -> None:
    """Up to there it comes slowly, since how far it is is told only as more of it comes."""
    hub.chunk_s, hub.holds_at = 0.1, HELD_AT


def let_go(hub: FakeHub) -> None:
    hub.chunk_s, hub.holds_at = 0.0, None


def wait_until_half(box: Box, pull_id: str) -> None:
    wait_until(lambda: pull(box, pull_id)["done_bytes"] > 1 << 20)


def served(box: Box) -> list[str]:
    return [one["id"] for one in box.client.get("/v1/models").json()["data"]]


def jobs(box: Box) -> list[psutil.Process]:
    return [one for one in box.family() if lives(one) and "supervisor.cli.job" in one.cmdline()]


def test_an_estimate_tells_what_a_pull_would_take(box: Box, models: Path) -> None:
    told = box.client.post("/admin/pulls?estimate=1", json={"source": SOURCE}).json()
    assert (told["model"], told["task"], told["engine"]) == ("acme/one", "chat", "llama.cpp")
    assert (told["fetch_bytes"], told["verdict"]) == (len(WEIGHTS), "fits")
    assert not (models / "acme--one").exists()
    refused = box.client.post("/admin/pulls?estimate=1", json={"source": "hf:acme/none"})
    assert refused.status_code == 400
    assert "does not exist" in refused.json()["error"]["message"]


def test_an_estimate_without_a_hub_is_not_the_askers_mistake(
    models: Path, make_box: MakeBox
) -> None:
    env = {"HF_ENDPOINT": "http://127.0.0.1:1", "EDGE_SERVE_MODELS_DIR": str(models)}
    box = make_box(spec(CHAT), command_env={**env, "HF_HUB_OFFLINE": ""}).wait_ready()
    told = box.client.post("/admin/pulls?estimate=1", json={"source": SOURCE})
    assert (told.status_code, told.json()["error"]["code"]) == (503, "unavailable")
    assert "refused" in told.json()["error"]["message"]


def test_a_pulled_model_joins_the_server(box: Box, models: Path) -> None:
    pull_id = begin(box)
    done = wait_for(box, pull_id, "finished")
    assert (done["done_bytes"], done["total_bytes"]) == (len(WEIGHTS), len(WEIGHTS))
    assert (models / "acme--one" / "one-Q8_0.gguf").read_bytes() == WEIGHTS
    wait_until(lambda: "acme/one" in served(box))
    assert "acme/one" in (models / "pulled.yaml").read_text()
    assert box.chat("hello").status_code == 200


def test_a_job_gives_way_and_its_words_are_kept(box: Box, hub: FakeHub) -> None:
    hold(hub)
    pull_id = begin(box)
    wait_until_half(box, pull_id)
    (job,) = jobs(box)
    assert job.nice() == 19
    assert "progress" in box.client.get(f"/admin/logs/{pull_id}").text


def test_a_paused_pull_goes_on_where_it_was_also_after_a_restart(box: Box, hub: FakeHub) -> None:
    hold(hub)
    pull_id = begin(box)
    wait_until_half(box, pull_id)
    assert box.client.post(f"/admin/pulls/{pull_id}/pause").json()["state"] == "paused"
    wait_until(lambda: jobs(box) == [])
    box.process.send_signal(signal.SIGTERM)
    assert box.process.wait(timeout=60) == 0
    box.start()
    box.wait_ready()
    assert pull(box, pull_id)["state"] == "paused"
    let_go(hub)
    before = len(hub.sent)
    assert box.client.post(f"/admin/pulls/{pull_id}/resume").status_code == 202
    wait_for(box, pull_id, "finished")
    begins = [at for name, at, count in hub.sent[before:] if name.endswith("gguf") and count > 1e6]
    assert begins
    assert min(begins) > 1 << 19


def test_a_pull_outlives_a_server_that_is_killed(box: Box, hub: FakeHub, models: Path) -> None:
    hold(hub)
    pull_id = begin(box)
    wait_until_half(box, pull_id)
    children = box.family()
    box.process.kill()
    box.process.wait()
    wait_until(lambda: not any(lives(child) for child in children))
    let_go(hub)
    box.start()
    box.wait_ready()
    wait_for(box, pull_id, "finished")
    assert (models / "acme--one" / "one-Q8_0.gguf").read_bytes() == WEIGHTS


def test_a_model_is_removed_with_its_files_and_what_was_written_of_it(
    box: Box, models: Path
) -> None:
    wait_for(box, begin(box), "finished")
    wait_until(lambda: "acme/one" in served(box))
    removed = box.client.delete("/admin/models/acme/one")
    assert removed.status_code == 200, removed.text
    assert removed.json()["bytes"] >= len(WEIGHTS)
    assert "acme/one" not in served(box)
    assert not (models / "acme--one").exists()
    assert "acme/one" not in (models / "pulled.yaml").read_text()
    assert box.client.delete("/admin/models/acme/one").status_code == 404


def test_a_pull_as_ollamas_clients_ask_for_it(hub: FakeHub, models: Path, box: Box) -> None:
    hub.chunk_s = 0.05
    name = "hf.co/acme/one:Q8_0"
    with box.client.stream("POST", "/api/pull", json={"model": name}) as answer:
        assert answer.headers["content-type"] == "application/x-ndjson"
        lines = [json.loads(line) for line in answer.iter_lines()]
    assert [lines[0], lines[-1]] == [{"status": "pulling manifest"}, {"status": "success"}]
    bars = [line for line in lines if "digest" in line]
    assert {line["total"] for line in bars} == {len(WEIGHTS)}
    assert len({line["completed"] for line in bars}) > 2
    assert (models / "acme--one--Q8_0" / "one-Q8_0.gguf").read_bytes() == WEIGHTS
    assert "acme/one:Q8_0" in [one["name"] for one in box.client.get("/api/tags").json()["models"]]
    assert box.client.post("/api/show", json={"model": name}).status_code == 200
    assert box.client.request("DELETE", "/api/delete", json={"model": name}).status_code == 200
    assert not (models / "acme--one--Q8_0").exists()


def test_a_pull_as_llama_cpps_router_has_it(hub: FakeHub, box: Box) -> None:
    hub.chunk_s = 0.05
    name = "acme/one:Q8_0"
    seen: list[dict[str, Any]] = []

    def follow() -> None:
        with box.client.stream("GET", "/models/sse") as answer:
            for line in answer.iter_lines():
                if line.startswith("data: "):
                    seen.append(json.loads(line[6:]))
                    if seen[-1]["event"] == "download_finished":
                        return
                elif line:
                    ready.set()  # the first comment

    ready = threading.Event()
    thread = threading.Thread(target=follow)
    thread.start()
    assert ready.wait(30)
    assert box.client.post("/models", json={"model": name}).json() == {"success": True}
    thread.join(60)
    assert {"download_progress", "download_finished"} <= {
        one["event"] for one in seen if one["model"] == name
    }
    wait_until(lambda: name in [one["id"] for one in box.client.get("/models").json()["data"]])
    removed = box.client.delete("/models", params={"model": name})
    assert removed.json() == {"success": True}
    assert name not in [one["id"] for one in box.client.get("/models").json()["data"]]


def test_a_cancelled_pull_leaves_nothing(box: Box, hub: FakeHub, models: Path) -> None:
    hold(hub)
    pull_id = begin(box)
    wait_until_half(box, pull_id)
    assert box.client.delete(f"/admin/pulls/{pull_id}").json()["state"] == "cancelled"
    wait_until(lambda: not (models / "acme--one.partial").exists())
    wait_until(lambda: jobs(box) == [])
    assert not (models / "pulled.yaml").exists()
    assert "acme/one" not in served(box)


def test_a_job_that_is_killed_is_told_so_and_may_be_gone_on_with(box: Box, hub: FakeHub) -> None:
    hold(hub)
    pull_id = begin(box)
    wait_until_half(box, pull_id)
    (job,) = jobs(box)
    job.kill()
    wait_until(lambda: pull(box, pull_id)["state"] == "failed")
    assert pull(box, pull_id)["error"].startswith("killed by SIGKILL")
    let_go(hub)
    box.client.post(f"/admin/pulls/{pull_id}/resume")
    wait_for(box, pull_id, "finished")
