"""Clients that wait for one model, as real processes: each is served as much, and none is refused
because another has filled the queue; and models that share the processors."""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import httpx2
import psutil

from ipc.messages.control import AccessConfig
from ipc.messages.keys import ApiKey
from tests.process.box import CHAT, EMBED, Box, MakeBox, spec, wait_until

MANY, FEW, TWICE = "sk-many-0123456789", "sk-few-0123456789", "sk-twice-0123456789"
GATE = AccessConfig(
    api_keys={
        "many": ApiKey.of(MANY),
        "few": ApiKey.of(FEW),
        "twice": ApiKey.of(TWICE, weight=2.0),
    }
)
SLOW = "/slow 20 " + "word " * 2
COUNTED = 60


def crowded(make: MakeBox, queue_limit: int = 64) -> Box:
    """A box that answers one chat after the other."""
    box = make(spec(CHAT, slots=1, prefetch=0, queue_limit=queue_limit), gate=GATE)
    box.client.headers["authorization"] = f"Bearer {FEW}"
    return box.wait_ready()


class Clients:
    """Some that ask again whenever they have an answer, and the order in which they got theirs."""

    def __init__(self, box: Box) -> None:
        self._box = box
        self._ended = threading.Event()
        self._threads: list[threading.Thread] = []
        self.answered: list[str] = []
        self.refused: list[str] = []

    def begin(self, key: str, at_once: int) -> None:
        for _ in range(at_once):
            self._threads.append(threading.Thread(target=self._ask, args=(key,)))
            self._threads[-1].start()

    def _ask(self, key: str) -> None:
        body = {"model": CHAT, "messages": [{"role": "user", "content": SLOW}]}
        headers = {"authorization": f"Bearer {key}"}
        with httpx2.Client(base_url=self._box.url, timeout=60, headers=headers) as client:
            while not self._ended.is_set():
                answer = client.post("/v1/chat/completions", json=body)
                served = answer.status_code == 200
                (self.answered if served else self.refused).append(key)

    def end(self) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join(60)


def _wait_for(box: Box, depth: int) -> None:
    wait_until(lambda: box.queue(CHAT)["depth"] >= depth)


@contextmanager
def asking(box: Box, at_once: Mapping[str, int]) -> Iterator[Clients]:
    """So many of each key's, one key after the other, until all that are to wait do."""
    clients, waiting = Clients(box), -1  # one of them runs
    try:
        for key, count in at_once.items():
            clients.begin(key, count)
            waiting += count
            _wait_for(box, waiting - 1)  # one may be on its way
        yield clients
    finally:
        clients.end()


def shares(box: Box, at_once: Mapping[str, int]) -> Counter[str]:
    """Whose the next answers are while all of them ask."""
    with asking(box, at_once) as clients:
        begin = len(clients.answered)
        wait_until(lambda: len(clients.answered) >= begin + COUNTED)
        found = Counter(clients.answered[begin : begin + COUNTED])
        assert clients.refused == []
    return found


def test_one_that_asks_for_forty_at_once_is_served_as_much_as_one_that_asks_for_six(
    make_box: MakeBox,
) -> None:
    # Six, so that one of them waits at each turn, also where clients get the processor late.
    found = shares(crowded(make_box), {MANY: 40, FEW: 6})
    assert abs(found[FEW] - COUNTED / 2) <= 3, found


def test_a_key_of_twice_the_weight_is_served_twice_as_much(make_box: MakeBox) -> None:
    found = shares(crowded(make_box), {MANY: 10, TWICE: 10})
    assert abs(found[TWICE] - 2 * COUNTED / 3) <= 4, found


def test_a_queue_that_one_has_filled_lets_another_in(make_box: MakeBox) -> None:
    box = crowded(make_box, queue_limit=8)
    with asking(box, {MANY: 9}) as clients:
        answer = box.chat("hello")
        assert answer.status_code == 200
        wait_until(lambda: clients.refused)
        assert set(clients.refused) == {MANY}


def test_all_threads_of_a_worker_are_nicer_where_another_model_has_more_priority(
    make_box: MakeBox,
) -> None:
    box = make_box(spec(CHAT, priority=4), spec(EMBED)).wait_ready()
    assert box.embed("hello").status_code == 200
    for model, nice in ((CHAT, 0), (EMBED, 4)):
        threads = psutil.Process(box.replica(model)["pid"]).threads()
        assert len(threads) > 1
        assert {os.getpriority(os.PRIO_PROCESS, thread.id) for thread in threads} == {nice}
