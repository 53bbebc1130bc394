"""Time that passed without us: a supervisor that was stopped, a container or machine that was."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest

from supervisor.lifecycle.hang_watch import SILENCE_S
from tests.process.box import CHAT, DEADLINE_S, EMBED, SPEECH, Box, MakeBox, lives, spec, wait_until

pytestmark = pytest.mark.long

MODELS = (CHAT, EMBED, SPEECH)
PAUSE_S = SILENCE_S + 1.5


def generations(box: Box) -> list[int]:
    workers = [box.replica(model)["generation"] for model in MODELS]
    return [box.health()["frontend"]["generation"], *workers]


def send(processes: Iterable[psutil.Process], number: signal.Signals) -> None:
    for process in processes:
        os.kill(process.pid, number)


def pauses(box: Box) -> int:
    return sum(" paused " in line for line in box.lines())


def judged(box: Box) -> None:
    """Wait until the supervisor has looked at everybody for longer than anybody may be silent."""
    began_at = box.health()["box"]["uptime_s"]
    wait_until(lambda: box.health()["box"]["uptime_s"] > began_at + SILENCE_S + 1)


@pytest.fixture
def family(box: Box) -> Iterator[list[psutil.Process]]:
    found = box.family()
    yield found
    send([one for one in found if one.is_running()], signal.SIGCONT)


def test_a_supervisor_that_was_stopped_kills_nobody_for_it(
    box: Box, family: list[psutil.Process]
) -> None:
    for count in (1, 2):
        box.process.send_signal(signal.SIGSTOP)
        time.sleep(PAUSE_S)
        box.process.send_signal(signal.SIGCONT)
        wait_until(lambda: pauses(box) == count)  # noqa: B023
        judged(box)
        assert generations(box) == [1, 1, 1, 1]
    assert box.chat("still here").status_code == 200
    assert {one.pid for one in family} == {one.pid for one in box.family()}


def test_children_that_were_paused_with_the_supervisor_have_time_to_say_so(
    box: Box, family: list[psutil.Process]
) -> None:
    """As a container is resumed process by process, and slowly."""
    box.process.send_signal(signal.SIGSTOP)
    send(family, signal.SIGSTOP)
    time.sleep(PAUSE_S)
    box.process.send_signal(signal.SIGCONT)
    wait_until(lambda: pauses(box) == 1)
    time.sleep(SILENCE_S / 2)
    send(family, signal.SIGCONT)
    judged(box)
    assert generations(box) == [1, 1, 1, 1]


def test_one_that_does_not_come_back_from_a_pause_is_replaced(box: Box) -> None:
    box.process.send_signal(signal.SIGSTOP)
    stopped = chat_worker(box)
    stopped.send_signal(signal.SIGSTOP)
    time.sleep(PAUSE_S)
    box.process.send_signal(signal.SIGCONT)
    wait_until(lambda: not lives(stopped))
    wait_until(lambda: (now := box.replica(CHAT))["state"] == "ready" and now["generation"] == 2)
    assert generations(box) == [1, 2, 1, 1]


def chat_worker(box: Box) -> psutil.Process:
    """Asked of the system, as the supervisor may not be running."""
    (found,) = [one for one in box.family() if "chat-1" in one.cmdline()]
    return found


def test_work_in_hand_outlives_a_pause_of_everybody(box: Box, family: list[psutil.Process]) -> None:
    with ThreadPoolExecutor(1) as pool:
        stream = pool.submit(lambda: box.chat("/slow 200 " + "word " * 10, stream=True).text)
        wait_until(lambda: box.replica(CHAT)["in_flight"] == 1)
        everybody = [psutil.Process(box.process.pid), *family]
        send(everybody, signal.SIGSTOP)
        time.sleep(PAUSE_S)
        send(reversed(everybody), signal.SIGCONT)
        assert stream.result().rstrip().endswith("data: [DONE]")
    assert generations(box) == [1, 1, 1, 1]


def test_a_drain_goes_on_after_a_pause(make_box: MakeBox) -> None:
    box = make_box(spec(CHAT), drain_s=10.0).wait_ready()
    with ThreadPoolExecutor(1) as pool:
        stream = pool.submit(lambda: box.chat("/slow 200 " + "word " * 20, stream=True).text)
        wait_until(lambda: box.replica(CHAT)["in_flight"] == 1)
        box.process.send_signal(signal.SIGTERM)
        wait_until(lambda: box.ask("/readyz") == 503)
        box.process.send_signal(signal.SIGSTOP)
        time.sleep(PAUSE_S)
        box.process.send_signal(signal.SIGCONT)
        assert stream.result().rstrip().endswith("data: [DONE]")
    assert box.process.wait(timeout=DEADLINE_S) == 0
