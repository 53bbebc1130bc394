"""Six models under half of the memory that they take, asked for ten minutes by Zipf's law.

    python -P -m tests.process.figures.zipf [--minutes 10] [--apart 2.0] [--seed 1]

The engines are the real ones, on the packaged models; two entries of the same files count as two.
It prints what docs/residency.md has: losses, loads beside those of other rules on the same trace,
the memory that a sampler has seen, and who was replaced too soon.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx2
import psutil

from tests.ports import free_port
from tests.process.box import wait_until
from tests.process.figures.swap_rules import belady, one_at_a_time

ROOT = Path(__file__).parents[3]
MODELS = {  # the most asked for first: its folder, its task, the keys of its entry
    "chat/one": ("HuggingFaceTB--SmolLM2-135M-Instruct", "chat", {}),
    "embed/one": ("sentence-transformers--all-MiniLM-L6-v2", "embed", {}),
    "speech/one": ("openai--whisper-base", "speech", {"engine": "ctranslate2"}),
    "speak/one": ("hibari", "speak", {"engine": "hibari"}),
    "chat/two": ("HuggingFaceTB--SmolLM2-135M-Instruct", "chat", {}),
    "embed/two": ("sentence-transformers--all-MiniLM-L6-v2", "embed", {}),
}
RECORDING = ROOT / "tests/.data/jfk.wav"
RESIDENCE_S = 30.0
PATIENCE_S = 300.0


class Server:
    """edge-serve with ``budget_mb`` for its models, all of them on demand."""

    def __init__(self, folder: Path, budget_mb: int) -> None:
        self.port = free_port()
        self.log = folder / f"log-{budget_mb}"
        config = folder / "models.yaml"
        config.write_text(json.dumps({"models": [_entry(name) for name in MODELS]}))
        env = {
            **os.environ,
            "MODEL_LOAD": "on_demand",
            "MODEL_IDLE_UNLOAD_SEC": "0",
            "MODEL_PRELOAD": "0",
            "MEMORY_BUDGET_MB": str(budget_mb),
            "EDGE_SERVE_STATE_DIR": str(folder / "state"),
            "EDGE_SERVE_RUN_DIR": str(folder / f"run-{budget_mb}"),
            "LOG_FORMAT": "json",
            "LOG_LEVEL": "info",
        }
        argv = [sys.executable, "-P", "-m", "supervisor.cli", "--config", str(config)]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [*argv, "--port", str(self.port)], env=env, stdout=log, stderr=log
            )
        self.client = httpx2.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=PATIENCE_S)
        wait_until(self.answers, deadline_s=600)

    def answers(self) -> bool:
        try:
            return self.client.get("/readyz", timeout=5).status_code == 200
        except httpx2.TransportError:
            return False

    def ask(self, model: str) -> int:
        """The status of one request for the model."""
        task = MODELS[model][1]
        if task == "chat":
            messages = [{"role": "user", "content": "Say a few words about the sea."}]
            body = {"model": model, "messages": messages, "max_tokens": 16}
            return self.client.post("/v1/chat/completions", json=body).status_code
        if task == "embed":
            body = {"model": model, "input": ["the sea", "a ship"]}
            return self.client.post("/v1/embeddings", json=body).status_code
        if task == "speak":
            body = {"model": model, "input": "The sea is calm."}
            return self.client.post("/v1/audio/speech", json=body).status_code
        files = {"file": ("jfk.wav", RECORDING.read_bytes())}
        data = {"model": model}
        return self.client.post("/v1/audio/transcriptions", files=files, data=data).status_code

    def models(self) -> dict[str, dict[str, Any]]:
        found = self.client.get("/health").json()["models"]
        return {one["name"]: one for one in found}

    def facts(self) -> list[dict[str, Any]]:
        """The lines of its log that are of this server."""
        lines = self.log.read_text().splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]

    def stop(self) -> None:
        self.client.close()
        self.process.terminate()
        self.process.wait(60)


def _entry(name: str) -> dict[str, Any]:
    folder, task, keys = MODELS[name]
    return {"name": name, "task": task, "source": f"file:{ROOT / 'models' / folder}", **keys}


@dataclass
class Sampler:
    """What the workers hold: their private bytes, added up twice a second."""

    server: Server
    most_mb: float = 0.0
    over: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        while not self.over.wait(0.5):
            self.most_mb = max(self.most_mb, self._held_mb())

    def _held_mb(self) -> float:
        held = 0
        for one in psutil.Process(self.server.process.pid).children(recursive=True):
            try:
                if "worker" in one.cmdline():
                    held += one.memory_full_info().uss
            except psutil.Error:
                continue
        return held / 2**20


def measured(folder: Path) -> dict[str, float]:
    """What each model takes, known to the server from here on."""
    server = Server(folder, 0)
    for model in MODELS:
        assert server.ask(model) == 200, model
    known = server.models()
    sizes: dict[str, float] = {}
    for model in MODELS:
        sizes[model] = max(known[model]["memory_mb"], known[model]["load_peak_mb"] or 0)
    server.stop()
    return sizes


def trace_of(minutes: float, apart_s: float, seed: int) -> list[tuple[float, str]]:
    """When who is asked for: the n-th model 1/n as often as the first."""
    chance, at, trace = random.Random(seed), 0.0, []
    names, weights = list(MODELS), [1 / rank for rank in range(1, len(MODELS) + 1)]
    while (at := at + chance.expovariate(1 / apart_s)) < 60 * minutes:
        trace.append((at, chance.choices(names, weights)[0]))
    return trace


def played(server: Server, trace: list[tuple[float, str]]) -> list[tuple[float, int, float]]:
    """Of each request when it was sent by the wall clock, its status and its seconds."""
    began_at = time.monotonic()

    def send(at: float, model: str) -> tuple[float, int, float]:
        time.sleep(max(0.0, began_at + at - time.monotonic()))
        sent_at, clock = time.time(), time.monotonic()
        try:
            status = server.ask(model)
        except httpx2.TransportError:
            status = 0
        return sent_at, status, time.monotonic() - clock

    with ThreadPoolExecutor(64) as pool:
        return list(pool.map(send, *zip(*trace, strict=True)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--apart", type=float, default=2.0)
    parser.add_argument("--seed", type=int, default=1)
    how = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="zipf-"))
    sizes = measured(folder)
    budget_mb = round(sum(sizes.values()) / 2)
    trace = trace_of(how.minutes, how.apart, how.seed)
    server = Server(folder, budget_mb)
    sampler = Sampler(server)
    watching = threading.Thread(target=sampler.run)
    watching.start()
    outcomes = played(server, trace)
    sampler.over.set()
    watching.join()
    server.stop()
    told(sizes, budget_mb, trace, outcomes, server.facts(), sampler.most_mb)
    print(f"logs: {folder}")


def told(
    sizes: dict[str, float],
    budget_mb: int,
    trace: list[tuple[float, str]],
    outcomes: list[tuple[float, int, float]],
    facts: list[dict[str, Any]],
    most_mb: float,
) -> None:
    names, count = [name for _, name in trace], len(trace)
    loads = sum(one["event"] == "load" for one in facts)
    seconds = sorted(took_s for _, _, took_s in outcomes)
    print("models, MB at their most:", {name: round(mb) for name, mb in sizes.items()})
    print(f"budget {budget_mb} MB; private bytes of all workers at most {most_mb:.0f} MB")
    print(f"requests {count}, lost {sum(status != 200 for _, status, _ in outcomes)}")
    print(f"requests that came while their model was in: {_hits(trace, outcomes, facts)}")
    print("loads: ours, Belady's rule, one at a time")
    for rule, times in (
        ("ours", loads),
        ("Belady", belady(names, sizes, budget_mb)),
        ("one at a time", one_at_a_time(names)),
    ):
        print(f"  {rule:14} {times:4}  hits {100 * (1 - times / count):.1f} %")
    middle_s, late_s = seconds[count // 2], seconds[count * 9 // 10]
    print(f"seconds of a request: median {middle_s:.2f}, p90 {late_s:.2f}")
    print(f"replaced within {RESIDENCE_S:g} s of their load: {_too_soon(facts)}")


def _hits(
    trace: list[tuple[float, str]],
    outcomes: list[tuple[float, int, float]],
    facts: list[dict[str, Any]],
) -> int:
    """How many requests found their model ready, by the log."""
    changes = [
        (_seconds(one), one["model"], one["event"] == "ready")
        for one in facts
        if one["event"] in ("ready", "unload")
    ]
    hits = 0
    for (_, model), (sent_at, _, _) in zip(trace, outcomes, strict=True):
        known = [is_in for at, name, is_in in changes if name == model and at <= sent_at]
        hits += bool(known) and known[-1]
    return hits


def _too_soon(facts: list[dict[str, Any]]) -> int:
    """How often a model made room for another before it had been in for a while."""
    ready_at: dict[str, float] = {}
    count = 0
    for one in facts:
        if one["event"] == "ready":
            ready_at[one["model"]] = _seconds(one)
        if one["event"] == "unload":
            stayed_s = _seconds(one) - ready_at.get(one["model"], 0.0)
            count += stayed_s < RESIDENCE_S - 0.5
    return count


def _seconds(fact: dict[str, Any]) -> float:
    return datetime.fromisoformat(str(fact["timestamp"])).timestamp()


if __name__ == "__main__":
    main()
