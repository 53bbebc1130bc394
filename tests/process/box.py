"""A whole edge-serve on echo engines: real processes, real sockets, faults on demand."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import psutil

from ipc.messages.control import Serve
from ipc.messages.spec import Spec
from supervisor import plan as plans
from supervisor.plan import Plan
from tests.ports import free_port

CHAT, EMBED, SPEECH = "echo/chat", "echo/embed", "echo/speech"
RERANK = "echo/rerank"
DEADLINE_S = 120.0  # others may have the processors; nothing waits as long on a free machine


def wait_until(what: Callable[[], Any], deadline_s: float = DEADLINE_S) -> Any:
    """The first true value of ``what``; fails when there is none before the deadline."""
    end_at = time.monotonic() + deadline_s
    while time.monotonic() < end_at:
        value = what()
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError(f"not within {deadline_s:g} s: {what}")


def lives(process: psutil.Process) -> bool:
    """Whether it runs. A zombie does not: it waits for an init that may take its time."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def whole(report: dict[str, Any]) -> dict[str, Any] | None:
    """A report of /health with the supervisor's part; None without."""
    return report if report.get("supervisor") else None


class Gate:
    """A file that answers and loads of the echo engine wait for: a test says when they go on, so
    that what it does meanwhile has all the time that it takes."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "gate"

    def held(self, text: str, after: int = 0) -> str:
        """A chat that says so many tokens of ``text``, and the others once the gate is open."""
        return f"/hold {after}:{self.file} {text}"

    @property
    def loads(self) -> dict[str, Any]:
        """The options of a model that goes on loading until then."""
        return {"load_until": str(self.file)}

    def open(self) -> None:
        self.file.touch()

    def close(self) -> None:
        """For what comes from now on."""
        self.file.unlink(missing_ok=True)

    def __enter__(self) -> Gate:
        """Open at the end of the block, whatever becomes of it."""
        return self

    def __exit__(self, *_: object) -> None:
        self.open()


def spec(name: str, **changes: Any) -> Spec:
    task = name.rpartition("/")[2].partition("-")[0]
    values: dict[str, Any] = {"name": name, "task": task, "engine": "echo", "path": ""}
    return Spec(**(values | changes))


class Box:
    """One running edge-serve and the client side of it."""

    program = "supervisor"
    stdin: int | None = None

    def __init__(self, run_dir: Path, *specs: Spec, **plan: Any) -> None:
        self.port = free_port()
        self.run_dir = run_dir
        names = set(Serve.__struct_fields__) - set(Plan.__struct_fields__)
        limits = {name: plan.pop(name) for name in names & plan.keys()}
        serve = Serve(specs=list(specs), **limits)
        self.plan = Plan(
            host="127.0.0.1", port=self.port, run_dir=str(run_dir), serve=serve, **plan
        )
        self.log = run_dir.with_suffix(".log")
        self.url = f"http://127.0.0.1:{self.port}"
        self.client = httpx2.Client(base_url=self.url, timeout=DEADLINE_S)
        self.start()

    def start(self) -> None:
        self.run_dir.mkdir(mode=0o700, exist_ok=True)
        argv = [sys.executable, "-P", "-m", self.program, str(plans.write(self.plan))]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                argv, stdin=self.stdin, stdout=log, stderr=log, start_new_session=True
            )

    def wait_ready(self) -> Box:
        wait_until(lambda: self.ask("/readyz") == 200)
        return self

    def ask(self, path: str) -> int | None:
        """The status of a GET, or None while nobody answers."""
        try:
            return self.client.get(path, timeout=20).status_code
        except httpx2.TransportError:
            return None

    def health(self) -> dict[str, Any]:
        """What the supervisor tells, once it does: where others have the processors, it may not be
        heard within the time that the frontend waits for it."""
        report: dict[str, Any] = wait_until(lambda: whole(self.client.get("/health").json()))
        return report

    def replica(self, model: str) -> dict[str, Any]:
        """The first replica of ``model`` as /health tells of it."""
        entry = next(entry for entry in self.health()["models"] if entry["name"] == model)
        found: dict[str, Any] = entry["replicas"][0]
        return found

    def _living(self, model: str) -> dict[str, Any] | None:
        replica = self.replica(model)
        return replica if replica["pid"] else None

    def queue(self, model: str) -> dict[str, float]:
        entry = next(entry for entry in self.health()["models"] if entry["name"] == model)
        found: dict[str, float] = entry["queue"]
        return found

    def chat(self, text: str, **body: Any) -> httpx2.Response:
        messages = [{"role": "user", "content": text}]
        timeout = body.pop("timeout", DEADLINE_S)
        return self.client.post(
            "/v1/chat/completions",
            json={"model": CHAT, "messages": messages, **body},
            timeout=timeout,
        )

    def embed(self, *texts: str, model: str = EMBED) -> httpx2.Response:
        return self.client.post("/v1/embeddings", json={"model": model, "input": list(texts)})

    def family(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)

    def kill(self, model: str, number: signal.Signals = signal.SIGKILL) -> int:
        """Send a signal to the model's worker, once it has one; returns its generation."""
        # Between two workers the pid is 0, which would be whoever runs the test.
        replica = wait_until(lambda: self._living(model))
        os.kill(replica["pid"], number)
        return int(replica["generation"])

    def wait_loading(self, model: str) -> None:
        """Until the model's worker reads its files. One that has done so before anybody looked is
        killed, and its successor waited for."""

        def loads() -> bool:
            replica = self.replica(model)
            if replica["state"] == "ready":
                self.kill(model)
            return bool(replica["stage"] == "reading the script")

        wait_until(loads)

    def die(self) -> None:
        """Kill the whole server. While a process of it is on its way out it takes connections, and
        breaks them off."""
        family = self.family()
        self.process.kill()
        self.process.wait()
        wait_until(lambda: not any(lives(one) for one in family))

    def lines(self) -> list[str]:
        """The lines of the log that are whole."""
        return self.log.read_text().rpartition("\n")[0].splitlines()

    def stop(self) -> None:
        self.client.close()
        if self.process.poll() is None:
            family = self.family()
            self.process.kill()
            # One that a test stopped before it had asked to die with its parent would stay.
            for process in family:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
        self.process.wait()


MakeBox = Callable[..., Box]


@contextlib.contextmanager
def boxes(kind: type[Box] = Box) -> Iterator[MakeBox]:
    """Starts boxes that end with the block; ``kind`` is what each is."""
    started: list[Box] = []
    # Short paths: a socket's path has 107 bytes, and pytest's own folders use most of them.
    folder = Path(tempfile.mkdtemp(prefix="es-"))

    def make(*specs: Spec, **plan: Any) -> Box:
        started.append(kind(folder / str(len(started)), *specs, **plan))
        return started[-1]

    try:
        yield make
    finally:
        for box in started:
            box.stop()
        shutil.rmtree(folder)
