"""Faults that supervision must see through: poison, leaks, nonsense, deafness, foreign peers."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest
import zmq

from ipc.messages.control import Hello, Ready
from ipc.transport.wire import encode
from supervisor.children import orphans
from tests.process.box import CHAT, DEADLINE_S, EMBED, Box, Gate, MakeBox, lives, spec, wait_until
from tests.process.figures.kills import kills

SLOW = "/slow 200 " + "word " * 15


def ready_again(box: Box, generation: int) -> dict[str, Any]:
    """The chat worker once its ``generation`` serves."""

    def look() -> dict[str, Any] | None:
        replica = box.replica(CHAT)
        fit = replica["generation"] == generation and replica["state"] == "ready"
        return replica if fit else None

    found: dict[str, Any] = wait_until(look)
    return found


# --- a request that kills its worker ---


def test_a_poison_request_kills_two_workers_and_is_then_refused(box: Box) -> None:
    first = box.chat("/exit 9 poison")
    assert (first.status_code, first.json()["error"]["code"]) == (503, "worker_crashed")
    ready_again(box, 2)
    for answer in (box.chat("/exit 9 poison"), box.chat("/exit 9 poison")):
        assert (answer.status_code, answer.json()["error"]["code"]) == (500, "poison_request")
        assert answer.headers["x-should-retry"] == "false"
    assert ready_again(box, 3)["restarts"] == 2
    assert box.chat("another").status_code == 200


def test_repeats_that_wait_behind_a_poison_request_never_reach_a_worker(box: Box) -> None:
    """Eight of the same at once: five in hand at the first crash, one alone at the second."""
    with ThreadPoolExecutor(8) as pool:
        busy = pool.submit(box.chat, "/slow 50 " + "word " * 40)
        wait_until(lambda: box.queue(CHAT)["in_flight"] == 1)
        codes = [
            answer.json()["error"]["code"]
            for answer in pool.map(lambda _: box.chat("/exit 9 poison"), range(7))
        ]
        busy.result()
    assert sorted(set(codes)) == ["poison_request", "worker_crashed"]
    assert ready_again(box, 3)["restarts"] == 2


def test_who_was_in_hand_with_a_poison_request_is_served_when_it_comes_again(box: Box) -> None:
    def repeated(text: str) -> list[str]:
        """What a client that repeats on 503 sees."""
        codes = []
        for _ in range(3):
            answer = box.chat(text)
            codes.append("" if answer.status_code == 200 else answer.json()["error"]["code"])
            if answer.status_code != 503:
                break
        return codes

    with ThreadPoolExecutor(4) as pool:
        innocent = [pool.submit(repeated, f"{SLOW} {number}") for number in range(3)]
        wait_until(lambda: box.replica(CHAT)["in_flight"] == 3)
        guilty = pool.submit(repeated, "/exit 9 poison")
        assert guilty.result() == ["worker_crashed", "poison_request"]
        assert [job.result()[-1] for job in innocent] == ["", "", ""]
    assert box.replica(CHAT)["restarts"] == 2


@pytest.fixture
def breaking(make_box: MakeBox) -> Box:
    """A chat model whose answers end with their worker."""
    return make_box(
        spec(CHAT, slots=4, prefetch=1, queue_limit=8, migrate=False), spec(EMBED)
    ).wait_ready()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGSTOP])
def test_what_was_in_hand_at_kills_from_outside_is_never_refused(
    breaking: Box, gate: Gate, number: signal.Signals
) -> None:
    """Say the prompt of a monitor, while an operator restarts the worker again and again."""
    prompt = gate.held("still there", after=1)
    for _ in range(3):
        with ThreadPoolExecutor(1) as pool:
            answer = pool.submit(breaking.chat, prompt)
            wait_until(lambda: breaking.replica(CHAT)["in_flight"] == 1)
            generation = breaking.kill(CHAT, number)
            assert answer.result().json()["error"]["code"] == "worker_crashed"
        ready_again(breaking, generation + 1)
    gate.open()
    assert breaking.chat(prompt).status_code == 200


def test_others_are_served_while_a_suspect_runs(breaking: Box, gate: Gate) -> None:
    suspect = gate.held("word")
    with ThreadPoolExecutor(3) as pool, gate:
        crashed = pool.submit(breaking.chat, suspect)
        wait_until(lambda: breaking.replica(CHAT)["in_flight"] == 1)
        breaking.kill(CHAT, signal.SIGSEGV)
        assert crashed.result().status_code == 503
        ready_again(breaking, 2)
        again = pool.submit(breaking.chat, suspect)
        wait_until(lambda: breaking.replica(CHAT)["in_flight"] == 1)
        assert [breaking.chat(f"other {number}").status_code for number in range(5)] == [200] * 5
        assert not again.done()
        gate.open()
        assert again.result().status_code == 200


# --- a worker that grows ---


def test_over_its_memory_limit_a_worker_is_replaced_and_nobody_notices(
    make_box: MakeBox, gate: Gate
) -> None:
    box = make_box(spec(CHAT, memory_limit_mb=200), spec(EMBED)).wait_ready()
    with ThreadPoolExecutor(8) as pool, gate:
        running = pool.submit(box.chat, gate.held("word"))
        wait_until(lambda: box.replica(CHAT)["in_flight"] == 1)
        assert box.chat("/allocate 300 kept").status_code == 200
        wait_until(lambda: box.replica(CHAT)["state"] == "draining")
        meanwhile = [pool.submit(box.chat, f"waits {number}") for number in range(5)]
        gate.open()
        assert running.result().status_code == 200
        assert {job.result().status_code for job in meanwhile} == {200}
    replica = ready_again(box, 2)
    assert (replica["recycles"], replica["restarts"]) == (1, 0)
    assert "over its memory_limit_mb of 200 (exited with status 0)" in replica["last_exit"]
    assert replica["rss_mb"] < 200
    assert box.replica(EMBED)["generation"] == 1


def test_after_its_jobs_a_worker_is_replaced_and_no_job_is_lost(make_box: MakeBox) -> None:
    box = make_box(spec(CHAT, recycle_jobs=20, queue_limit=64)).wait_ready()
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda number: box.chat(f"/slow 5 job {number}"), range(60)))
    assert {answer.status_code for answer in answers} == {200}
    replica = ready_again(box, 2)
    assert (replica["recycles"], replica["restarts"]) == (1, 0)


# --- a worker that talks nonsense ---


@pytest.mark.parametrize(
    ("directive", "why"),
    [("/garbage", "cannot be read"), ("/oversized", "its connection broke")],
)
def test_a_worker_whose_events_are_lost_is_replaced(box: Box, directive: str, why: str) -> None:
    frontend = box.health()["frontend"]["generation"]
    answer = box.chat(directive)
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "worker_crashed")
    assert why in ready_again(box, 2)["last_exit"]
    assert box.chat("again").status_code == 200
    assert box.health()["frontend"]["generation"] == frontend


def test_an_event_that_cannot_be_sent_ends_its_job_alone(box: Box) -> None:
    answer = box.chat("/unsendable")
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "internal_error")
    assert box.chat("again").status_code == 200
    assert box.replica(CHAT)["generation"] == 1


def test_frames_of_foreign_peers_and_dead_generations_change_nothing(box: Box) -> None:
    generation = box.kill(CHAT)
    replica = ready_again(box, generation + 1)
    frames = [
        [b"garbage"],
        [b"ES\x01garbage", b"x" * 1000],
        [b""] * 100,
        encode(Hello(child="chat-1", generation=generation, pid=1)),
        encode(Ready()),
    ]
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    peers = [("control", b"chat-1.1"), ("control", b"nobody"), ("chat-1.2", b"frontend.0")]
    for path, identity in peers:
        with context.socket(zmq.DEALER) as peer:
            peer.setsockopt(zmq.IDENTITY, identity)
            peer.connect(f"ipc://{box.run_dir / path}")
            for message in frames:
                peer.send_multipart(message)
            peer.close(linger=2000)
    context.term()
    wait_until(lambda: sum("message_dropped" in line for line in box.lines()) >= len(frames) - 2)
    assert box.chat("still there").status_code == 200
    after = box.replica(CHAT)
    assert (after["pid"], after["generation"]) == (replica["pid"], replica["generation"])


# --- a worker that does not want to go ---


def test_a_grandchild_that_holds_the_output_goes_with_its_worker(box: Box) -> None:
    assert box.chat("/child x").status_code == 200
    (child,) = [process for process in box.family() if process.name() == "sleep"]
    box.kill(CHAT)
    wait_until(lambda: not lives(child))


def sleepers(box: Box) -> list[psutil.Process]:
    with contextlib.suppress(psutil.NoSuchProcess):
        return [process for process in box.family() if process.name() == "sleep"]
    return []


def test_what_made_a_session_of_its_own_goes_with_its_worker_too(box: Box) -> None:
    assert box.chat("/daemon x").status_code == 200
    daemons = wait_until(lambda: both if len(both := sleepers(box)) == 2 else None)
    assert len({os.getsid(daemon.pid) for daemon in daemons}) == 2
    generation = box.kill(CHAT)
    wait_until(lambda: not any(lives(daemon) for daemon in daemons))
    ready_again(box, generation + 1)
    wait_until(lambda: len(box.family()) == 4)  # not even a zombie


def test_what_a_living_worker_has_started_is_left_alone(box: Box) -> None:
    assert box.chat("/daemon x").status_code == 200
    wait_until(lambda: len(sleepers(box)) == 2)
    box.kill(EMBED)
    wait_until(lambda: (now := box.replica(EMBED))["generation"] == 2 and now["state"] == "ready")
    assert len(sleepers(box)) == 2


def test_what_a_worker_leaves_behind_does_not_outlive_the_server(box: Box) -> None:
    assert box.chat("/daemon x").status_code == 200
    daemons = wait_until(lambda: both if len(both := sleepers(box)) == 2 else None)
    box.process.send_signal(signal.SIGTERM)
    assert box.process.wait(timeout=DEADLINE_S) == 0
    assert not any(lives(daemon) for daemon in daemons)


def test_a_worker_stopped_before_its_program_begins_dies_with_the_supervisor(
    make_box: MakeBox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SIGSTOP while Python itself still starts: too early for anything that it could ask for."""
    if not orphans.armed():
        pytest.skip("needs setpriv with --pdeathsig (util-linux 2.33)")
    (tmp_path / "sitecustomize.py").write_text(
        "import os, signal, sys\n"
        "if 'worker' in sys.orig_argv: os.kill(os.getpid(), signal.SIGSTOP)\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    box = make_box(spec(CHAT))

    def stopped() -> psutil.Process | None:
        family = box.family()
        return next((one for one in family if one.status() == psutil.STATUS_STOPPED), None)

    worker = wait_until(stopped)
    box.process.kill()
    wait_until(lambda: not lives(worker))


def test_a_worker_stopped_while_it_loads_is_replaced(make_box: MakeBox) -> None:
    box = make_box(spec(CHAT, options={"load_s": 4.0}))
    wait_until(lambda: box.ask("/livez") == 200)
    box.wait_loading(CHAT)
    generation = box.kill(CHAT, signal.SIGSTOP)
    assert "stopped by a signal for 5 s" in ready_again(box, generation + 1)["last_exit"]


@pytest.mark.chaos
def test_a_worker_that_ignores_sigterm_ends_all_the_same(make_box: MakeBox) -> None:
    box = make_box(spec(CHAT), drain_s=0.5).wait_ready()
    assert box.chat("/child x").status_code == 200
    assert box.chat("/deaf x").status_code == 200
    family = box.family()
    with ThreadPoolExecutor(1) as pool:
        pool.submit(box.chat, "/hang")
        wait_until(lambda: box.replica(CHAT)["in_flight"] == 1)
        box.process.send_signal(signal.SIGTERM)
        asked_at = time.monotonic()
        assert box.process.wait(timeout=DEADLINE_S) == 0
    assert any("signal=SIGABRT why=ignores SIGTERM" in line for line in box.lines())
    wait_until(lambda: not any(lives(process) for process in family))
    print(f"stopped after {time.monotonic() - asked_at:.1f} s")


def test_spawning_leaves_no_descriptor_behind(box: Box) -> None:
    supervisor = psutil.Process(box.process.pid)
    before = supervisor.num_fds()
    for generation in (2, 3, 4):
        os.kill(box.replica(CHAT)["pid"], signal.SIGKILL)
        ready_again(box, generation)
    assert abs(supervisor.num_fds() - before) <= 1
    assert not [process for process in box.family() if process.status() == psutil.STATUS_ZOMBIE]


@pytest.mark.chaos
@pytest.mark.timeout(1200)
def test_a_thousand_crashes_under_load_leave_nothing(make_box: MakeBox) -> None:
    assert kills(make_box, 1000).problems == []


# --- a request that is large ---


def test_a_prompt_of_a_megabyte_holds_up_nobody(box: Box) -> None:
    """Its template and its tokens are the worker's business, so a worker that is busy with it has
    no share in what others wait for: here one that never gets done."""
    with ThreadPoolExecutor(5) as pool:
        large = [pool.submit(box.chat, "/slow 100000 " + "word " * 200_000) for _ in range(5)]
        wait_until(lambda: box.queue(CHAT)["in_flight"] == 5)
        for number in range(100):
            assert box.ask("/livez") == 200
            assert box.embed(f"text {number}").status_code == 200
        assert box.health()["frontend"]["generation"] == 1
        box.kill(CHAT)
        assert {job.result().status_code for job in large} == {503}
