"""The figures of docs/reliability.md, on this machine: python tests/process/measure.py

Echo workers, so the figures are of the supervision and of starting a Python process, not of loading
a model. Prints a table with the median and the worst of each; writes nothing.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import statistics
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import httpx2
import psutil
from box import CHAT, EMBED, Box, MakeBox, boxes, spec, wait_until
from chaos import FDS, PATIENCE_S, Leaks, leaks
from ledger import Ledger, Outcome

NEVER = "/slow 100000 never"
# Four deaths in ten minutes leave a circuit closed.
KILLS_EACH = 4
MODELS_AT_ONCE = 25
PAUSE_S = 0.05
MEBIBYTE = 1 << 20


def death_to_error(box: Box) -> float:
    """kill -9 with a request in hand, to its 503."""
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(_timed, lambda: box.chat(f"{NEVER} {time.monotonic()}"))
        wait_until(lambda: box.replica(CHAT)["in_flight"] == 1)
        pid = box.replica(CHAT)["pid"]
        killed_at = time.monotonic()
        os.kill(pid, signal.SIGKILL)
        return answer.result() - killed_at


def death_to_stream_error(box: Box) -> float:
    """kill -9 in the middle of a stream, to the end of its error event."""
    text = "/slow 50 " + "word " * 1000 + str(time.monotonic())
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(_timed, lambda: box.chat(text, stream=True))
        wait_until(lambda: box.replica(CHAT)["completion_tokens"] > 1)
        pid = box.replica(CHAT)["pid"]
        killed_at = time.monotonic()
        os.kill(pid, signal.SIGKILL)
        return answer.result() - killed_at


def death_to_ready(box: Box) -> float:
    """kill -9, to the next generation ready."""
    return _until_ready(box, signal.SIGKILL)


def stop_to_replaced(box: Box) -> float:
    """SIGSTOP, to the next generation ready."""
    return _until_ready(box, signal.SIGSTOP)


def frontend_to_answer(box: Box) -> float:
    """kill -9 of the frontend, to the first answer of the next."""
    pid = box.health()["frontend"]["pid"]
    killed_at = time.monotonic()
    os.kill(pid, signal.SIGKILL)
    with httpx2.Client(base_url=box.url, timeout=30) as client:
        wait_until(lambda: _status(client) == 200)
    return time.monotonic() - killed_at


def supervisor_to_nothing(box: Box) -> float:
    """kill -9 of the supervisor, to no process left."""
    family = box.family()
    killed_at = time.monotonic()
    box.process.kill()
    wait_until(lambda: not any(_lives(process) for process in family))
    return time.monotonic() - killed_at


def drain(box: Box) -> float:
    """SIGTERM with 4 streams of two seconds in hand, to exit 0; all of them finish."""
    with ThreadPoolExecutor(4) as pool:
        text = "/slow 100 " + "word " * 20
        streams = [pool.submit(box.chat, text, stream=True) for _ in range(4)]
        wait_until(lambda: box.queue(CHAT)["in_flight"] == 4)
        asked_at = time.monotonic()
        box.process.send_signal(signal.SIGTERM)
        assert box.process.wait(timeout=60) == 0
        assert all("[DONE]" in stream.result().text for stream in streams)
        return time.monotonic() - asked_at


def flood(box: Box) -> list[float]:
    """The seconds that each 429 took, of 200 requests of 20 clients beside a full queue."""
    with ThreadPoolExecutor(20) as fill, ThreadPoolExecutor(20) as pool:
        held = [fill.submit(_shielded, lambda: box.chat(NEVER, timeout=15)) for _ in range(13)]
        wait_until(lambda: box.queue(CHAT)["depth"] == 8)
        refused = [pool.submit(_refused, box) for _ in range(200)]
        seconds = [job.result() for job in refused]
        box.kill(CHAT)
        box.stop()
        for job in held:
            job.result()
    return seconds


def beside_large_prompts(box: Box) -> list[float]:
    """The seconds of each GET /livez while 4 clients send prompts of a megabyte all the time."""
    over = threading.Event()
    text = "word " * (MEBIBYTE // 5)

    def send() -> None:
        while not over.is_set():
            assert box.chat(text, max_tokens=1).status_code == 200

    with ThreadPoolExecutor(4) as pool, httpx2.Client(base_url=box.url, timeout=30) as client:
        senders = [pool.submit(send) for _ in range(4)]
        wait_until(lambda: box.replica(CHAT)["jobs"] > 4)
        seconds = []
        for _ in range(200):
            began_at = time.monotonic()
            assert client.get("/livez").status_code == 200
            seconds.append(time.monotonic() - began_at)
            time.sleep(PAUSE_S / 10)
        over.set()
        for sender in senders:
            sender.result()
    return seconds


def kills(make: MakeBox, count: int) -> list[str]:
    """``count`` times kill -9 under load, within as few supervisors as the circuits allow.
    Returns what must not be: hung clients, disputed outcomes, zombies, leaks."""
    ledger, problems, done = Ledger(), list[str](), 0
    while done < count:
        models = [f"echo/chat-{number}" for number in range(MODELS_AT_ONCE)]
        box = make(*(spec(name, slots=2) for name in models)).wait_ready()
        before = leaks(box)
        wanted = min(count - done, KILLS_EACH * len(models))
        _kill_under_load(box, models, wanted, ledger)
        done += wanted
        box.wait_ready()
        problems += before.worse(leaks(box))
        problems += ledger.disputes([line for line in box.lines() if "request_id=kill-" in line])
        print(f"{done} kills: {_shown(before)} became {_shown(leaks(box))}; {ledger.counts()}")
        problems += [f"hung: {one.request_id}" for one in ledger.outcomes if one.code == "hung"]
        ledger.outcomes.clear()
        box.stop()
    return problems


def _kill_under_load(box: Box, models: list[str], count: int, ledger: Ledger) -> None:
    over = threading.Event()
    limits = httpx2.Limits(max_keepalive_connections=0)
    with (
        httpx2.Client(base_url=box.url, timeout=PATIENCE_S, limits=limits) as client,
        ThreadPoolExecutor(8) as pool,
    ):
        load = [pool.submit(_load, client, number, models, over, ledger) for number in range(8)]
        for number in range(count):
            name = models[number % len(models)]
            wait_until(lambda name=name: box.replica(name)["state"] == "ready")  # type: ignore[misc]
            os.kill(box.replica(name)["pid"], signal.SIGKILL)
            time.sleep(PAUSE_S)
        over.set()
        for one in load:
            one.result()


def _load(
    client: httpx2.Client, me: int, models: list[str], over: threading.Event, ledger: Ledger
) -> None:
    count = 0
    while not over.is_set():
        count += 1
        name = f"kill-{time.monotonic_ns()}-{me}-{count}"
        body = {
            "model": random.choice(models),
            "messages": [{"role": "user", "content": f"/slow 20 {name} " + "word " * 8}],
        }
        began_at = time.monotonic()
        try:
            headers = {"x-request-id": name}
            answer = client.post("/v1/chat/completions", json=body, headers=headers)
            code = "" if answer.status_code == 200 else answer.json()["error"]["code"]
            ledger.write(Outcome(name, answer.status_code, code, began_at, time.monotonic()))
        except httpx2.TransportError as error:
            code = "hung" if isinstance(error, httpx2.ReadTimeout) else type(error).__name__
            ledger.write(Outcome(name, 0, code, began_at, time.monotonic()))


def _until_ready(box: Box, number: signal.Signals) -> float:
    replica = box.replica(CHAT)
    sent_at = time.monotonic()
    os.kill(replica["pid"], number)

    def back() -> bool:
        now = box.replica(CHAT)
        return bool(now["generation"] > replica["generation"] and now["state"] == "ready")

    wait_until(back)
    return time.monotonic() - sent_at


def _timed(ask: Callable[[], object]) -> float:
    ask()
    return time.monotonic()


def _shielded(ask: Callable[[], object]) -> None:
    try:
        ask()
    except httpx2.TransportError:
        return


def _refused(box: Box) -> float:
    began_at = time.monotonic()
    assert box.chat("x").status_code == 429
    return time.monotonic() - began_at


def _status(client: httpx2.Client) -> int | None:
    try:
        return client.get("/livez").status_code
    except httpx2.TransportError:
        return None


def _lives(process: psutil.Process) -> bool:
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE


def _shown(found: Leaks) -> str:
    return f"{found.processes} processes, {found.zombies} zombies, {found.fds} descriptors"


def _row(name: str, seconds: list[float]) -> None:
    median, worst = statistics.median(seconds), max(seconds)
    print(
        f"| {name} | {1000 * median:.0f} ms | {1000 * worst:.0f} ms | {len(seconds)} |", flush=True
    )


MEASURES = [
    death_to_error,
    death_to_stream_error,
    death_to_ready,
    stop_to_replaced,
    frontend_to_answer,
    supervisor_to_nothing,
    drain,
]


def _fresh(make: MakeBox) -> Box:
    return make(spec(CHAT, slots=4, prefetch=1, queue_limit=8), spec(EMBED)).wait_ready()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--repeat", type=int, default=5)
    args = parser.parse_args()
    print(f"{psutil.cpu_count()} processors; fd tolerance {FDS}")
    with boxes() as make:
        if args.repeat:
            measure_all(make, args.repeat)
        if args.kills:
            print(f"hung clients, disputed outcomes, leaks: {kills(make, args.kills) or 0}")


def measure_all(make: MakeBox, repeat: int) -> None:
    """Every figure of `MEASURES`, each time of a fresh box, as a table."""
    print("| what | median | worst | runs |\n| --- | --- | --- | --- |")
    for measure in MEASURES:
        seconds = []
        for _ in range(repeat):
            box = _fresh(make)
            seconds.append(measure(box))
            box.stop()
        _row(str(measure.__doc__), seconds)
    _row(str(flood.__doc__), flood(_fresh(make)))
    beside = beside_large_prompts(_fresh(make))
    _row(str(beside_large_prompts.__doc__), beside)
    print(f"of the latter, p99 {1000 * sorted(beside)[int(0.99 * len(beside))]:.0f} ms")


if __name__ == "__main__":
    main()
