"""``python -m tests.process.faults.floods``: what the largest allowed bodies do to everybody else.

Beside four clients who send one kind of them after the other, another process asks /livez; that,
and the frontend's memory before, at most and after, is printed for each kind. Reported, not tested:
on a busy machine all of it is noise.
"""

from __future__ import annotations

import argparse
import base64
import http.client
import multiprocessing
import os
import statistics
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple

import orjson
import psutil

from tests.process.box import CHAT, EMBED, RERANK, SPEECH, Box, boxes, spec

MIB = 1 << 20
# Just below the limits of 20 and 25 MiB.
JSON_BYTES, FORM_BYTES = 20 * MIB - 4096, 25 * MIB - 4096
PROSE = "The quick brown fox, jumping: over the lazy dog. "
JSON, FORM = "application/json", "multipart/form-data; boundary=cut"


class Kind(NamedTuple):
    """One body, sent again and again."""

    path: str
    body: bytes
    type: str = JSON


def filled(before: bytes, unit: bytes, after: bytes, size: int = JSON_BYTES) -> bytes:
    return before + unit * ((size - len(before) - len(after)) // len(unit)) + after


def chat(unit: bytes) -> Kind:
    head = orjson.dumps({"model": CHAT, "max_tokens": 1})[:-1]
    before = head + b',"messages":[{"role":"user","content":"'
    return Kind("/v1/chat/completions", filled(before, unit, b'"}]}'))


def values(unit: bytes, end: bytes = b"1]}") -> Kind:
    before = orjson.dumps({"model": EMBED})[:-1] + b',"input":['
    return Kind("/v1/embeddings", filled(before, unit, end))


def texts(count: int, chars: int) -> Kind:
    text = (PROSE * (chars // len(PROSE) + 1))[:chars]
    return Kind("/v1/embeddings", orjson.dumps({"model": EMBED, "input": [text] * count}))


def images() -> Kind:
    file = b"\xff\xd8\xff" + os.urandom(7 * MIB + 300_000)
    url = "data:image/jpeg;base64," + base64.b64encode(file).decode()
    parts = [{"type": "image_url", "image_url": {"url": url}}] * 2
    messages = [{"role": "user", "content": parts}]
    return Kind("/v1/chat/completions", orjson.dumps({"model": CHAT, "messages": messages}))


def ranking() -> Kind:
    body = {"model": RERANK, "query": "fox", "documents": [PROSE * 190] * 2048}
    return Kind("/v1/rerank", orjson.dumps({**body, "return_documents": True}))


def form(unit: bytes, filename: bool = True) -> Kind:
    name = b'; filename="a"' if filename else b""
    before = (
        b'--cut\r\nContent-Disposition: form-data; name="model"\r\n\r\n' + SPEECH.encode() + b"\r\n"
        b'--cut\r\nContent-Disposition: form-data; name="file"' + name + b"\r\n\r\n"
    )
    return Kind(
        "/v1/audio/transcriptions", filled(before, unit, b"\r\n--cut--\r\n", FORM_BYTES), FORM
    )


KINDS: dict[str, Callable[[], Kind]] = {
    "small chat": lambda: Kind(
        "/v1/chat/completions",
        orjson.dumps({"model": CHAT, "messages": [{"role": "user", "content": "hi"}]}),
    ),
    "lists": lambda: values(b"[],"),
    "objects": lambda: values(b"{},"),
    "keys": lambda: values(b'{"a":1},'),
    "token ids": lambda: values(b"12345,"),
    "broken": lambda: values(b"[["),
    "prose": lambda: chat(PROSE.encode()),
    "commas": lambda: chat(b"[,"),
    "quotes": lambda: chat(b'\\",'),
    "han": lambda: chat("中文,".encode()),
    "emoji": lambda: chat("🎉".encode()),
    "one emoji": lambda: Kind(
        "/v1/chat/completions", chat(b"x").body.replace(b"xxxx", "🎉".encode(), 1)
    ),
    "escapes": lambda: chat(b"\\u4e2d"),
    "2048 texts": lambda: texts(2048, 9_900),
    "vectors": lambda: texts(2048, 20),
    "images": images,
    "documents": ranking,
    "sound": lambda: form(os.urandom(1000)),
    "near cuts": lambda: form(b"\r\n--cu"),
    "part heads": lambda: form(b"\r\n--cut\r\na: b\r\n\r\n", filename=False),
}


class Prober:
    """Asks /livez each few milliseconds, in a process of its own."""

    def __init__(self, port: int) -> None:
        self._ours, theirs = multiprocessing.Pipe()
        self._process = multiprocessing.Process(target=_probe, args=(port, theirs), daemon=True)
        self._process.start()

    def stop(self) -> list[float]:
        self._ours.send(None)
        waits: list[float] = self._ours.recv()
        self._process.join()
        return waits


def _probe(port: int, stop: Any) -> None:
    waits = []
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    while not stop.poll(0.005):
        began_at = time.monotonic()
        connection.request("GET", "/livez")
        assert connection.getresponse().read()
        waits.append(time.monotonic() - began_at)
    stop.send(waits)


def send(box: Box, kind: Kind, until: float, statuses: Counter[int]) -> None:
    while time.monotonic() < until:
        try:
            answer = box.client.post(
                kind.path, content=kind.body, headers={"content-type": kind.type}, timeout=120
            )
            statuses[answer.status_code] += 1
        except OSError:
            statuses[0] += 1


def flood(box: Box, kind: Kind, clients: int, seconds: float) -> str:
    frontend = psutil.Process(box.health()["frontend"]["pid"])
    before = most = frontend.memory_info().rss
    statuses: Counter[int] = Counter()
    prober = Prober(box.port)
    args = (box, kind, time.monotonic() + seconds, statuses)
    threads = [threading.Thread(target=send, args=args) for _ in range(clients)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        most = max(most, frontend.memory_info().rss)
        time.sleep(0.02)
    waits = [1000 * wait for wait in prober.stop()]
    time.sleep(0.5)
    after = frontend.memory_info().rss
    cuts = statistics.quantiles(waits, n=100)
    told = ", ".join(f"{count} x {status}" for status, count in statuses.most_common())
    memory = " ".join(f"{size / MIB:6.0f}" for size in (before, most, after))
    return f"{cuts[49]:7.1f} {cuts[98]:7.1f} {max(waits):7.1f}  {memory}   {told}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kinds", default=",".join(KINDS), help="separated by commas")
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=5.0)
    asked = parser.parse_args()
    with boxes() as make:
        box = make(
            spec(CHAT, vision=True),
            spec(EMBED, options={"dimensions": 1024}),
            spec(RERANK),
            spec(SPEECH),
        ).wait_ready()
        print("kind          livez p50     p99   worst ms   MiB before, most, after   answers")
        for name in asked.kinds.split(","):
            print(
                f"{name:12}  {flood(box, KINDS[name](), asked.clients, asked.seconds)}", flush=True
            )


if __name__ == "__main__":
    main()
