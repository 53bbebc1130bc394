"""Workers that die, hang, do not start or do not go."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx2
import psutil

from tests.process.box import CHAT, EMBED, Box, MakeBox, lives, spec, wait_until
from tests.process.faults.fake_gpu import fake_gpu
from tests.process.figures import figure, p99, timed

NEVER = "/slow 100000 never"
WORDS = "/slow 50 " + "word " * 1000


def fresh(make: MakeBox) -> Box:
    return make(spec(CHAT, slots=4, prefetch=1, queue_limit=8), spec(EMBED)).wait_ready()


def dies(process: psutil.Process) -> float:
    """The seconds until ``process`` is gone; a zombie is."""
    _, seconds = timed(lambda: wait_until(lambda: not lives(process)))
    return seconds


def shielded(box: Box, text: str) -> None:
    """Ask for what a fault of the test may leave without an answer."""
    with contextlib.suppress(httpx2.TransportError):
        box.chat(text)


def terminated(box: Box) -> float:
    """The seconds that it takes to stop the server in good order."""
    box.process.send_signal(signal.SIGTERM)
    status, seconds = timed(lambda: box.process.wait(timeout=60))
    assert status == 0
    return seconds


def worker(box: Box, model: str = CHAT) -> psutil.Process:
    return psutil.Process(box.replica(model)["pid"])


def _to_error(box: Box, number: signal.Signals) -> float:
    text = f"{NEVER} {time.monotonic()}"
    return _to_end(box, number, lambda now: now["in_flight"] == 1, text)


def _to_end(
    box: Box, number: signal.Signals, begun: Callable[[Any], bool], text: str, **body: Any
) -> float:
    """From the signal, sent once the worker has ``begun``, to the end of its answer."""
    with ThreadPoolExecutor(1) as pool:
        ended = pool.submit(lambda: (box.chat(text, **body), time.monotonic())[1])
        wait_until(lambda: begun(box.replica(CHAT)))
        pid = box.replica(CHAT)["pid"]
        killed_at = time.monotonic()
        os.kill(pid, number)
        return ended.result() - killed_at


@figure("1", "kill -9 of a worker with a request in hand, to its 503", 0.25)
def death_to_error(make: MakeBox) -> list[float]:
    return [_to_error(fresh(make), signal.SIGKILL)]


@figure("1", "kill -9 of a worker, to the next one ready")
def death_to_ready(make: MakeBox) -> list[float]:
    return [_to_ready(fresh(make), signal.SIGKILL)]


@figure(
    "1",
    "p99 of another model's answers of 20 ms while a worker is killed four times, above",
    unit="%",
)
def disturbance(make: MakeBox) -> list[float]:
    """Above the same when nobody is killed."""
    box = fresh(make)
    quiet = _embeddings_s(box, 5.0)
    with ThreadPoolExecutor(1) as pool:
        beside = pool.submit(_embeddings_s, box, 5.0)
        while not beside.done():
            if box.replica(CHAT)["state"] == "ready":
                box.kill(CHAT)
            time.sleep(0.1)
    return [100 * (p99(beside.result()) / p99(quiet) - 1)]


def _embeddings_s(box: Box, seconds: float) -> list[float]:
    end_at, found = time.monotonic() + seconds, []
    with httpx2.Client(base_url=box.url, timeout=30) as client:
        while time.monotonic() < end_at:
            body = {"model": EMBED, "input": f"/slow 20 {time.monotonic()}"}
            answer, took_s = timed(lambda body=body: client.post("/v1/embeddings", json=body))  # type: ignore[misc]
            assert answer.status_code == 200
            found.append(took_s)
    return found


@figure("2", "kill -9 of a worker in the middle of a stream, to the end of its error event", 0.25)
def death_to_stream_error(make: MakeBox) -> list[float]:
    def begun(now: Any) -> bool:
        return bool(now["completion_tokens"] > 1)

    return [_to_end(fresh(make), signal.SIGKILL, begun, WORDS, stream=True)]


@figure("3", "SIGSEGV and SIGABRT with a request in hand, to its 503", 0.25)
def native_death_to_error(make: MakeBox) -> list[float]:
    return [_to_error(fresh(make), number) for number in (signal.SIGSEGV, signal.SIGABRT)]


@figure("4", "SIGSTOP of a worker, to its end by SIGKILL", 6.0)
def stop_to_kill(make: MakeBox) -> list[float]:
    process = worker(fresh(make))
    process.suspend()
    return [dies(process)]


@figure("5", "a deadlock beside a living heartbeat, `stall_s` of 2 s, to the request's 503", 4.5)
def stall_to_error(make: MakeBox) -> list[float]:
    box = make(spec(CHAT, stall_s=2.0)).wait_ready()
    answer, seconds = timed(lambda: box.chat("/hang"))
    assert answer.status_code == 503
    return [seconds]


@figure("8", "an open circuit: a request, to its 503", 0.05)
def circuit_to_error(make: MakeBox) -> Iterator[float]:
    box = _failing(make)
    for _ in range(40):
        answer, seconds = timed(lambda: box.chat("x"))
        assert answer.json()["error"]["code"] == "circuit_open"
        yield seconds


@figure("8", "processor time of the supervisor, five seconds with an open circuit", 1.0, "%")
def circuit_cpu(make: MakeBox) -> list[float]:
    supervisor = psutil.Process(_failing(make).process.pid)
    supervisor.cpu_percent()
    time.sleep(5.0)
    return [supervisor.cpu_percent()]


def _failing(make: MakeBox) -> Box:
    box = make(spec(CHAT, options={"load_fails": "always"}), spec(EMBED))
    wait_until(lambda: box.ask("/livez") == 200)
    wait_until(lambda: box.replica(CHAT)["state"] == "failed")
    return box


@figure("9", "a load without progress, `load_stall_s` of 1 s, from its start to its end", 3.0)
def load_stall_to_kill(make: MakeBox) -> list[float]:
    box = make(spec(CHAT, load_stall_s=1.0, options={"load_s": 1000}), spec(EMBED))
    process = wait_until(lambda: _loading(box))
    dies(process)
    return [time.time() - process.create_time()]


def _loading(box: Box) -> psutil.Process | None:
    family = box.family()
    return next((one for one in family if "chat-1" in one.cmdline()), None)


@figure("10", "a simulated GPU has its memory back, to the next worker's process", 1.0)
def vram_to_start(make: MakeBox) -> list[float]:
    with TemporaryDirectory() as folder, fake_gpu(Path(folder, "gpu.json")) as use:
        box = make(spec(CHAT, device="cuda:0")).wait_ready()
        process = worker(box)
        use(6 << 30, {process.pid: 4 << 30})
        time.sleep(2.5)  # the supervisor looks once a second, and says nothing of it
        use(6 << 30, {})
        process.kill()
        wait_until(lambda: box.replica(CHAT)["state"] == "backoff")
        use(2 << 30, {})
        _, seconds = timed(lambda: wait_until(lambda: box.replica(CHAT)["state"] == "starting"))
        return [seconds]


@figure("11", "a server whose worker ignores SIGTERM and has a child: drained, to its exit", 12.0)
def deaf_to_exit(make: MakeBox) -> list[float]:
    drain_s = 0.5
    box = make(spec(CHAT), drain_s=drain_s).wait_ready()
    assert box.chat("/child x").status_code == 200
    assert box.chat("/deaf x").status_code == 200
    with ThreadPoolExecutor(1) as pool:
        pool.submit(box.chat, "/hang")
        wait_until(lambda: box.replica(CHAT)["in_flight"] == 1)
        return [terminated(box) - drain_s]


@figure("12", "workers that one poison request kills, sent five times", 2, "count")
def poisoned_workers(make: MakeBox) -> list[float]:
    box = fresh(make)
    for _ in range(5):
        box.chat("/exit 9 poison")
        wait_until(lambda: box.replica(CHAT)["state"] == "ready")
    return [box.replica(CHAT)["restarts"]]


@figure("23", "an event that cannot be read, to the next worker ready")
def garbage_to_ready(make: MakeBox) -> list[float]:
    box = fresh(make)
    began_at = time.monotonic()
    assert box.chat("/garbage").status_code == 503
    wait_until(lambda: _is_back(box, 1))
    return [time.monotonic() - began_at]


def _to_ready(box: Box, number: signal.Signals) -> float:
    replica = box.replica(CHAT)
    os.kill(replica["pid"], number)
    _, seconds = timed(lambda: wait_until(lambda: _is_back(box, replica["generation"])))
    return seconds


def _is_back(box: Box, generation: int) -> bool:
    now = box.replica(CHAT)
    return bool(now["generation"] > generation and now["state"] == "ready")
