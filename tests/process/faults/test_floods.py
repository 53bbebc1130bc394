"""The largest allowed bodies, many at once: others are answered, and the memory comes back."""

from __future__ import annotations

import contextlib
import re
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import httpx2
import psutil
import pytest

from tests.process.box import CHAT, EMBED, SPEECH, Box, MakeBox, spec, wait_until
from tests.process.faults.floods import KINDS, MIB, Kind, texts
from tests.process.http.raw_http import Raw

# The frontend by itself has 64, and as much again is the heap's affair.
LEFT_MIB = 64


def frontend(box: Box) -> psutil.Process:
    return psutil.Process(box.health()["frontend"]["pid"])


def held_bytes(box: Box) -> float:
    text = box.client.get("/metrics").text
    found = re.search(r"^edge_serve_held_bytes (\S+)$", text, re.MULTILINE)
    assert found
    return float(found[1])


def send(box: Box, kind: Kind) -> tuple[int, str]:
    """The status and the code of the answer."""
    answer = box.client.post(
        kind.path, content=kind.body, headers={"content-type": kind.type}, timeout=120
    )
    if answer.status_code == 200:
        return 200, ""
    assert answer.status_code != 503 or int(answer.headers["retry-after"]) > 0
    return answer.status_code, answer.json()["error"]["code"]


@contextlib.contextmanager
def beside(what: Callable[[], Any]) -> Iterator[None]:
    """Does ``what`` again and again, and fails where it does."""
    done = threading.Event()

    def repeat() -> int:
        count = 0
        while not done.is_set() or not count:
            what()
            count += 1
        return count

    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(repeat)
        try:
            yield
        finally:
            done.set()
        running.result()


def ask_small(box: Box) -> None:
    assert box.ask("/livez") == 200
    assert box.chat("small").status_code == 200


def settles(box: Box, before_mib: float, generation: int) -> None:
    """All that was claimed is given back, and so is the memory."""
    wait_until(lambda: held_bytes(box) == 0)
    process = frontend(box)
    wait_until(lambda: process.memory_info().rss / MIB < before_mib + LEFT_MIB)
    assert box.health()["frontend"]["generation"] == generation


@pytest.fixture
def tight(make_box: MakeBox) -> Box:
    """Its memory has room for two or three of the largest bodies."""
    return make_box(
        spec(CHAT), spec(EMBED, options={"dimensions": 256}), spec(SPEECH), memory_mb=160
    ).wait_ready()


def test_bodies_of_nothing_but_brackets_are_refused_and_hold_up_nobody(tight: Box) -> None:
    before = frontend(tight).memory_info().rss / MIB
    lists = KINDS["lists"]()
    with beside(lambda: ask_small(tight)), ThreadPoolExecutor(4) as pool:
        answers = {pool.submit(send, tight, lists).result() for _ in range(8)}
        answers |= set(pool.map(lambda _: send(tight, lists), range(8)))
    assert answers <= {(413, "request_too_large"), (503, "out_of_memory")}
    settles(tight, before, generation=1)


def test_large_requests_share_what_memory_there_is_and_small_ones_pass(tight: Box) -> None:
    before = frontend(tight).memory_info().rss / MIB
    batch = texts(2048, 9_900)
    with beside(lambda: ask_small(tight)), ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: send(tight, batch), range(16)))
    assert set(answers) <= {(200, ""), (503, "out_of_memory")}
    assert (200, "") in answers
    settles(tight, before, generation=1)


def test_large_requests_come_to_every_end_and_their_memory_comes_back(tight: Box) -> None:
    """Answered, refused, left in the middle, cut off with their worker."""
    before = frontend(tight).memory_info().rss / MIB
    batch, sound, broken = texts(2048, 4_000), KINDS["sound"](), KINDS["broken"]()

    def leave(kind: Kind) -> None:
        with Raw(tight.port) as raw:
            head = f"POST {kind.path} HTTP/1.1\r\nhost: a\r\ncontent-type: {kind.type}\r\n"
            raw.send(f"{head}content-length: {len(kind.body)}\r\n\r\n".encode())
            raw.send(kind.body[: 2 * len(kind.body) // 3])

    def impatient(kind: Kind) -> None:
        with contextlib.suppress(httpx2.TimeoutException):
            httpx2.post(
                tight.url + kind.path,
                content=kind.body,
                headers={"content-type": kind.type},
                timeout=0.2,
            )

    with ThreadPoolExecutor(8) as pool:
        ends: list[Future[Any]]
        ends = [pool.submit(send, tight, kind) for kind in (batch, sound, broken)]
        ends += [pool.submit(act, kind) for act in (leave, impatient) for kind in (batch, sound)]
        tight.kill(EMBED)
        ends += [pool.submit(send, tight, batch) for _ in range(4)]
        for end in ends:
            end.result()
    settles(tight, before, generation=1)


def test_an_answer_that_nobody_reads_is_counted_until_its_client_is_gone(tight: Box) -> None:
    kind = texts(2048, 20)
    with Raw(tight.port, receive_bytes=4096) as raw:
        head = f"POST {kind.path} HTTP/1.1\r\nhost: a\r\ncontent-type: {kind.type}\r\n"
        raw.send(f"{head}content-length: {len(kind.body)}\r\n\r\n".encode(), kind.body)
        assert raw.read_until(b'"embedding":[').startswith(b"HTTP/1.1 200")
        assert held_bytes(tight) > len(kind.body)
    wait_until(lambda: held_bytes(tight) == 0)


@pytest.mark.parametrize("stream", [False, True])
def test_a_burst_of_megabytes_reaches_the_client_that_waits_for_it(
    tight: Box, stream: bool
) -> None:
    answer = tight.chat("/burst 5000000 end", stream=stream)
    assert answer.status_code == 200
    assert answer.text.count("x" * 5_000_000) == 1
    assert not any("status=499" in line for line in tight.lines())
