"""Seeded chaos: random faults under load, and afterwards the books must balance.

    bin/test chaos MINUTES [--seed N] [--real]

Each round is a fresh edge-serve with at most three faults for each model: a fifth failure opens a
circuit, rightly so, and a machine under such a load may add one by itself. After a round everybody
must be ready again, nothing may have leaked, the server must stop when asked, and its log must tell
of each request what its client saw.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
import wave
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import psutil

from tests.process.box import CHAT, EMBED, SPEECH, Box, MakeBox, boxes, spec, wait_until
from tests.process.faults.ledger import CUT, LEFT, Ledger, Outcome, stream_outcome

CLIENTS = 8
FAULTS_EACH = 3
FRONTEND_FAULTS = 3
FAULT_EVERY_S = (0.3, 1.5)
PATIENCE_S = 60.0  # a client that waits longer is one that hangs
REPAIR_S = 60.0
FDS = 5
SHM = Path("/dev/shm")
REAL = {
    CHAT: "HuggingFaceTB/SmolLM2-135M-Instruct",
    EMBED: "sentence-transformers/all-MiniLM-L6-v2",
    SPEECH: "openai/whisper-base",
}
SIGNALS = [signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT, signal.SIGSTOP, signal.SIGTERM]
DIRECTIVES = ["/exit 9", "/raise", "/garbage", "/hang", "/allocate 300", "/signal SEGV"]


class RealBox(Box):
    """The default models, started as users start them."""

    def start(self) -> None:
        argv = [sys.executable, "-P", "-m", "supervisor.cli", "--port", str(self.port)]
        env = {**os.environ, "EDGE_SERVE_RUN_DIR": str(self.run_dir)}
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                argv, env=env, stdout=log, stderr=log, start_new_session=True
            )


def echo_box(make: MakeBox) -> Box:
    quick = {"stall_s": 5.0, "memory_limit_mb": 250}
    return make(
        spec(CHAT, replicas=2, queue_limit=16, **quick), spec(EMBED, **quick), spec(SPEECH, **quick)
    )


@contextlib.contextmanager
def real_box() -> Iterator[Box]:
    # A short path, as in `boxes`.
    with tempfile.TemporaryDirectory(prefix="es-") as folder:
        box = RealBox(Path(folder, "real"))
        try:
            yield box
        finally:
            box.stop()


@dataclass
class Report:
    """What a round came to; it is well when there are no ``problems``."""

    seed: int
    faults: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    outcomes: dict[str, int] = field(default_factory=dict)

    def __str__(self) -> str:
        told = ", ".join(f"{name}: {count}" for name, count in self.outcomes.items())
        lines = [f"seed {self.seed}: {len(self.faults)} faults; {told}"]
        return "\n".join([*lines, *(f"  PROBLEM {problem}" for problem in self.problems)])


class Round:
    """One edge-serve under load and under fire."""

    def __init__(self, box: Box, seed: int, *, real: bool = False) -> None:
        self._box = box
        self._seed = seed
        self._real = real
        self._rng = random.Random(seed)
        self._ledger = Ledger()
        self._deaths: list[float] = []
        self._over = threading.Event()
        self._http = httpx2.Client(
            base_url=box.url,
            timeout=PATIENCE_S,
            limits=httpx2.Limits(max_keepalive_connections=0),
        )

    def run(self, seconds: float) -> Report:
        report = Report(self._seed)
        shared = set(SHM.iterdir())
        self._wait_ready()
        before = leaks(self._box)
        with ThreadPoolExecutor(CLIENTS + 1) as pool:
            clients = [pool.submit(self._load, number) for number in range(CLIENTS)]
            report.faults = self._fire(seconds)
            self._over.set()
            for client in clients:
                client.result()
        self._wait_ready()
        wait_until(self._at_rest, REPAIR_S)
        report.problems += before.worse(leaks(self._box))
        report.problems += self._stop()
        report.outcomes = self._ledger.counts()
        report.problems += self._ledger.disputes(self._requests(), self._deaths)
        left = set(SHM.iterdir()) - shared
        report.problems += [f"{one} is left" for one in left if not _is_used(one)]
        self._http.close()
        return report

    # --- load ---

    def _load(self, number: int) -> None:
        rng = random.Random(f"{self._seed}/{number}")
        asks = [self._chat, self._stream, self._embed, self._speech, self._leave]
        count = 0
        while not self._over.is_set():
            count += 1
            self._ask(rng.choice(asks), f"chaos-{number}-{count}", rng)

    def _ask(
        self,
        ask: Callable[[dict[str, str], random.Random], tuple[int, str]],
        request_id: str,
        rng: random.Random,
    ) -> None:
        began_at = time.monotonic()
        try:
            status, code = ask({"x-request-id": request_id}, rng)
        except httpx2.ReadTimeout:
            hung = time.monotonic() - began_at >= PATIENCE_S
            status, code = (CUT, "hung") if hung else (LEFT, "")
        except httpx2.TransportError as error:
            status, code = CUT, type(error).__name__
        self._ledger.write(Outcome(request_id, status, code, began_at, time.monotonic()))

    def _chat(self, headers: dict[str, str], rng: random.Random) -> tuple[int, str]:
        return whole(self._post_chat(headers, rng, stream=False))

    def _stream(self, headers: dict[str, str], rng: random.Random) -> tuple[int, str]:
        answer = self._post_chat(headers, rng, stream=True)
        if answer.status_code != 200:
            return whole(answer)
        return stream_outcome([line for line in answer.text.splitlines() if line])

    def _leave(self, headers: dict[str, str], rng: random.Random) -> tuple[int, str]:
        return whole(self._post_chat(headers, rng, stream=False, timeout=rng.uniform(0.02, 0.3)))

    def _post_chat(
        self, headers: dict[str, str], rng: random.Random, stream: bool, timeout: float = PATIENCE_S
    ) -> httpx2.Response:
        text = (
            f"Say {rng.random()}."
            if self._real
            else f"/slow {rng.randint(1, 20)} " + f"word {rng.random()} " * 10
        )
        body = {
            "model": self._name(CHAT),
            "messages": [{"role": "user", "content": text}],
            "stream": stream,
            "max_tokens": 24,
        }
        return self._http.post("/v1/chat/completions", json=body, headers=headers, timeout=timeout)

    def _embed(self, headers: dict[str, str], rng: random.Random) -> tuple[int, str]:
        body = {"model": self._name(EMBED), "input": [f"text {rng.random()}"] * rng.randint(1, 8)}
        return whole(self._http.post("/v1/embeddings", json=body, headers=headers))

    def _speech(self, headers: dict[str, str], rng: random.Random) -> tuple[int, str]:
        return whole(
            self._http.post(
                "/v1/audio/transcriptions",
                data={"model": self._name(SPEECH), "prompt": f"words {rng.random()}"},
                files={"file": ("a.wav", _WAV)},
                headers=headers,
            )
        )

    def _name(self, model: str) -> str:
        return REAL[model] if self._real else model

    # --- fire ---

    def _fire(self, seconds: float) -> list[str]:
        end_at = time.monotonic() + seconds
        done: list[str] = []
        left = dict.fromkeys((CHAT, EMBED, SPEECH), FAULTS_EACH) | {"": FRONTEND_FAULTS}
        while time.monotonic() < end_at and any(left.values()):
            time.sleep(self._rng.uniform(*FAULT_EVERY_S))
            victim = self._rng.choice([name for name, count in left.items() if count])
            left[victim] -= 1
            done.append(self._hurt(victim))
        self._over.wait(max(0.0, end_at - time.monotonic()))
        return done

    def _hurt(self, victim: str) -> str:
        if not victim:
            return self._kill_frontend()
        if not self._real and self._rng.random() < 0.5:
            return self._misuse(victim)
        number = self._rng.choice(SIGNALS)
        replica = self._box.replica(self._name(victim))
        if replica["pid"]:
            os.kill(replica["pid"], number)
        return f"{number.name} to {victim}"

    def _kill_frontend(self) -> str:
        frontend = self._box.health()["frontend"]
        self._deaths.append(time.monotonic())
        os.kill(frontend["pid"], signal.SIGKILL)
        wait_until(lambda: self._box.ask("/livez") == 200)
        return "SIGKILL to the frontend"

    def _misuse(self, victim: str) -> str:
        """A request that breaks its worker. Different each time, so none is a known poison."""
        directive = self._rng.choice(DIRECTIVES)
        text = f"{directive} {self._rng.random()}"
        headers = {"x-request-id": f"chaos-fault-{self._rng.random()}"}
        self._ask(
            lambda *_: whole(self._post(victim, text, headers)), headers["x-request-id"], self._rng
        )
        return f"{directive} to {victim}"

    def _post(self, victim: str, text: str, headers: dict[str, str]) -> httpx2.Response:
        if victim == CHAT:
            body: dict[str, Any] = {"messages": [{"role": "user", "content": text}]}
            return self._http.post(
                "/v1/chat/completions", json={"model": CHAT, **body}, headers=headers
            )
        if victim == EMBED:
            body = {"model": EMBED, "input": text}
            return self._http.post("/v1/embeddings", json=body, headers=headers)
        return self._http.post(
            "/v1/audio/transcriptions",
            data={"model": SPEECH, "prompt": text},
            files={"file": ("a.wav", _WAV)},
            headers=headers,
        )

    # --- the aftermath ---

    def _wait_ready(self) -> None:
        try:
            wait_until(self._all_ready, REPAIR_S)
        except AssertionError:
            missing = self._box.client.get("/readyz").text
            ends = [line for line in self._box.lines() if ": exited " in line]
            told = "\n".join([f"seed {self._seed}: {missing}", *ends])
            raise AssertionError(told) from None

    def _all_ready(self) -> bool:
        if self._box.process.poll() is not None:
            raise AssertionError("it has stopped:\n" + "\n".join(self._box.lines()[-20:]))
        return self._box.ask("/readyz") == 200

    def _at_rest(self) -> bool:
        models = self._box.health()["models"]
        ready = all(one["state"] == "ready" for model in models for one in model["replicas"])
        return ready and not any(model["queue"]["in_flight"] for model in models)

    def _stop(self) -> list[str]:
        family = self._box.family()
        self._box.process.send_signal(signal.SIGTERM)
        try:
            status = self._box.process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            return ["it does not stop"]
        found = [f"stopped with status {status}"] if status else []
        found += [f"{one} outlives it" for one in family if one.is_running()]
        return found + [
            f"left in the run folder: {one.name}" for one in self._box.run_dir.iterdir()
        ]

    def _requests(self) -> list[str]:
        return [line for line in self._box.lines() if "request_id=chaos-" in line]


@dataclass
class Leaks:
    """What a leak would grow, at rest."""

    processes: int
    zombies: int
    fds: int
    sockets: int

    def worse(self, after: Leaks) -> list[str]:
        found = []
        if after.processes != self.processes or after.zombies:
            found.append(f"processes: {self} became {after}")
        if abs(after.fds - self.fds) > FDS:
            found.append(f"the supervisor's descriptors: {self.fds} became {after.fds}")
        if after.sockets != self.sockets:
            found.append(f"files in the run folder: {self.sockets} became {after.sockets}")
        return found


def leaks(box: Box) -> Leaks:
    """The probe, on a box at rest."""
    family = box.family()
    zombies = [one for one in family if one.status() == psutil.STATUS_ZOMBIE]
    fds = psutil.Process(box.process.pid).num_fds()
    return Leaks(len(family), len(zombies), fds, len(list(box.run_dir.iterdir())))


def _is_used(file: Path) -> bool:
    """Whether a living process has it mapped or open, and so not one of ours: they have ended."""
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            mapped = {Path(region.path) for region in process.memory_maps()}
            if file in mapped | {Path(opened.path) for opened in process.open_files()}:
                return True
    return not file.exists()


def whole(answer: httpx2.Response) -> tuple[int, str]:
    """Its status, and the code of its error."""
    code = "" if answer.status_code == 200 else answer.json()["error"]["code"]
    return answer.status_code, code


def _wav() -> bytes:
    """A second of silence."""
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(16_000)
        writer.writeframes(bytes(32_000))
    return file.getvalue()


_WAV = _wav()


def play(seed: int, seconds: float, *, real: bool = False) -> Report:
    """One round."""
    if real:
        with real_box() as box:
            return Round(box, seed, real=True).run(seconds)
    with boxes() as make:
        return Round(echo_box(make), seed).run(seconds)


def main() -> int:
    parser = argparse.ArgumentParser(prog="bin/test chaos", description="Seeded chaos.")
    parser.add_argument("minutes", type=float)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--real", action="store_true", help="the three default models, as pulled")
    args = parser.parse_args()
    seconds = 60.0 if args.real else 20.0
    end_at = time.monotonic() + 60 * args.minutes
    seed, bad = args.seed, 0
    print(f"the first seed is {seed}", flush=True)
    while time.monotonic() < end_at:
        report = play(seed, seconds, real=args.real)
        print(report, flush=True)
        bad += bool(report.problems)
        seed += 1
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
