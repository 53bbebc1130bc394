"""The supervisor and the frontend: killed, stopped, started."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import httpx2

from tests.process.box import CHAT, Box, MakeBox, lives, spec, wait_until
from tests.process.figures import MIB, figure, p99, timed
from tests.process.figures.workers import NEVER, WORDS, fresh, shielded, terminated


@figure("13", "kill -9 of the supervisor, to no process left", 2.0)
def supervisor_to_nothing(make: MakeBox) -> list[float]:
    box = fresh(make)
    family = box.family()
    box.process.kill()
    _, seconds = timed(lambda: wait_until(lambda: not any(lives(one) for one in family)))
    return [seconds]


@figure("13, 17", "a start among what a killed server left behind, to the first answer", 5.0)
def start_to_answer(make: MakeBox) -> list[float]:
    box = fresh(make)
    box.process.kill()
    box.process.wait()
    began_at = time.monotonic()
    box.start()
    wait_until(lambda: box.ask("/livez") == 200)
    return [time.monotonic() - began_at]


@contextlib.contextmanager
def _streams(box: Box, *texts: str) -> Iterator[list[Future[httpx2.Response]]]:
    """A stream with each of ``texts``, all of them in hand."""
    with ThreadPoolExecutor(len(texts)) as pool:
        streams = [pool.submit(box.chat, text, stream=True) for text in texts]
        wait_until(lambda: box.queue(CHAT)["in_flight"] == len(texts))
        yield streams


@figure("14", "SIGTERM with 4 streams of two seconds in hand, all of them whole, to exit 0", 30.0)
def drain_to_exit(make: MakeBox) -> list[float]:
    box = fresh(make)
    with _streams(box, *["/slow 100 " + "word " * 20] * 4) as streams:
        seconds = terminated(box)
        assert all("[DONE]" in stream.result().text for stream in streams)
        return [seconds]


@figure("14", "SIGTERM with streams that do not end, 2 s to drain, to exit 0", 14.0)
def endless_to_exit(make: MakeBox) -> list[float]:
    box = make(spec(CHAT), drain_s=2.0).wait_ready()
    with _streams(box, *(f"{WORDS}{number}" for number in range(4))) as streams:
        seconds = terminated(box)
        assert all('"code":"draining"' in stream.result().text for stream in streams)
        return [seconds]


@figure("15", "a second SIGTERM, to the error events of 4 streams", 2.0)
def second_signal_to_errors(make: MakeBox) -> list[float]:
    box = fresh(make)
    with _streams(box, *(f"{WORDS}{number}" for number in range(4))) as streams:
        box.process.send_signal(signal.SIGTERM)
        wait_until(lambda: box.health()["draining"])
        box.process.send_signal(signal.SIGTERM)
        sent_at = time.monotonic()
        for stream in streams:
            assert "error" in stream.result().text
        return [time.monotonic() - sent_at]


@figure("20", "kill -9 of the frontend, to an answer of the next", 2.0)
def frontend_to_answer(make: MakeBox) -> list[float]:
    box = fresh(make)
    os.kill(box.health()["frontend"]["pid"], signal.SIGKILL)
    killed_at = time.monotonic()
    with httpx2.Client(base_url=box.url, timeout=30) as client:
        wait_until(lambda: _status(client) == 200)
    return [time.monotonic() - killed_at]


@figure("20", "the same while its requests fill a worker, to an answer of that worker", 2.0)
def frontend_to_place(make: MakeBox) -> list[float]:
    box = fresh(make)
    pid = box.replica(CHAT)["pid"]
    with ThreadPoolExecutor(4) as pool:
        for number in range(4):
            pool.submit(shielded, box, f"{NEVER} {number}")
        wait_until(lambda: box.replica(CHAT)["in_flight"] == 4)
        os.kill(box.health()["frontend"]["pid"], signal.SIGKILL)
        killed_at = time.monotonic()
    wait_until(lambda: box.ask("/livez") == 200)
    wait_until(lambda: box.chat("x").status_code == 200)
    seconds = time.monotonic() - killed_at
    assert box.replica(CHAT)["pid"] == pid
    return [seconds]


@figure("22", "GET /livez beside four clients that send prompts of a megabyte (p99)", 0.1)
def beside_large_prompts(make: MakeBox) -> list[float]:
    box = fresh(make)
    over = threading.Event()
    text = "word " * (MIB // 5)

    def send() -> None:
        while not over.is_set():
            assert box.chat(text, max_tokens=1).status_code == 200

    with ThreadPoolExecutor(4) as pool, httpx2.Client(base_url=box.url, timeout=30) as client:
        senders = [pool.submit(send) for _ in range(4)]
        wait_until(lambda: box.replica(CHAT)["jobs"] > 4)
        seconds = []
        for _ in range(200):
            answer, took_s = timed(lambda: client.get("/livez"))
            assert answer.status_code == 200
            seconds.append(took_s)
            time.sleep(0.005)
        over.set()
        for sender in senders:
            sender.result()
    return [p99(seconds)]


@figure("44", "a setting that cannot be used, to exit 78", 2.0)
def bad_setting_to_exit(_: MakeBox) -> list[float]:
    return [_refused({"MAX_QUEUE_SIZE": "many"}, 78)]


@figure("44", "a port in use, to exit 1")
def taken_port_to_exit(_: MakeBox) -> list[float]:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        return [_refused({"PORT": str(taken.getsockname()[1])}, 1)]


def _refused(env: dict[str, str], status: int) -> float:
    command = [sys.executable, "-P", "-m", "supervisor.cli"]
    done, seconds = timed(
        lambda: subprocess.run(
            command, env=os.environ | env, capture_output=True, timeout=60, check=False
        )
    )
    assert done.returncode == status, done.stderr
    return seconds


def _status(client: httpx2.Client) -> int | None:
    try:
        return client.get("/livez").status_code
    except httpx2.TransportError:
        return None
