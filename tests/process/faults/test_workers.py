"""What a client sees when a worker dies, hangs or fails to start."""

from __future__ import annotations

import contextlib
import signal
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import httpx2
import pytest

from tests.process.box import CHAT, EMBED, SPEECH, Box, Gate, MakeBox, spec, wait_until

DEATHS = [signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT]


def start(
    pool: ThreadPoolExecutor, box: Box, gate: Gate, count: int
) -> list[Future[httpx2.Response]]:
    """``count`` chats that are held, all of them in flight or queued when this returns."""
    jobs = [pool.submit(box.chat, gate.held("word " * 15)) for _ in range(count)]
    wait_until(lambda: sum(box.queue(CHAT)[key] for key in ("in_flight", "depth")) == count)
    wait_until(lambda: box.replica(CHAT)["in_flight"] > 0)
    return jobs


@pytest.fixture
def breaking(make_box: MakeBox) -> Box:
    """A chat model whose answers end with their worker."""
    chat = spec(CHAT, slots=4, prefetch=1, queue_limit=8, migrate=False)
    return make_box(chat, spec(EMBED)).wait_ready()


@pytest.mark.parametrize("number", DEATHS)
def test_in_flight_fails_queued_is_served_others_are_untouched(
    breaking: Box, gate: Gate, number: signal.Signals
) -> None:
    box = breaking
    with ThreadPoolExecutor(16) as pool, gate:
        jobs = start(pool, box, gate, 9)  # five with the worker, four in the queue
        generation = box.kill(CHAT, number)
        assert box.embed("meanwhile").status_code == 200
        wait_until(lambda: sum(job.done() for job in jobs) == 5)
        gate.open()
        answers = [job.result() for job in jobs]
    failed = [answer for answer in answers if answer.status_code == 503]
    served = [answer for answer in answers if answer.status_code == 200]
    assert (len(failed), len(served)) == (5, 4)
    for answer in failed:
        assert answer.json()["error"]["code"] == "worker_crashed"
        assert int(answer.headers["retry-after"]) >= 1
    replica = wait_until(lambda: (r := box.replica(CHAT))["state"] == "ready" and r)
    assert replica["generation"] == generation + 1
    assert replica["restarts"] == 1
    assert number.name in replica["last_exit"]
    assert box.replica(EMBED)["restarts"] == 0


def test_a_stream_ends_with_an_error_event_and_no_done(breaking: Box, gate: Gate) -> None:
    box, text = breaking, gate.held("word " * 15, after=1)
    body = {"model": CHAT, "messages": [{"role": "user", "content": text}], "stream": True}
    with box.client.stream("POST", "/v1/chat/completions", json=body) as answer:
        lines = answer.iter_lines()
        first = next(lines)
        box.kill(CHAT)
        rest = [line for line in lines if line]
    assert first.startswith('data: {"id"')
    assert "worker_crashed" in rest[-1]
    assert "data: [DONE]" not in rest


@pytest.mark.parametrize("model", [CHAT, EMBED, SPEECH])
def test_every_kind_of_worker_comes_back(box: Box, model: str) -> None:
    generation = box.kill(model)
    wait_until(lambda: box.replica(model)["generation"] == generation + 1)
    wait_until(lambda: box.replica(model)["state"] == "ready")
    assert box.embed("x").status_code == 200
    assert box.chat("x").status_code == 200


def test_a_stopped_worker_is_noticed_killed_and_replaced(breaking: Box, gate: Gate) -> None:
    box = breaking
    with ThreadPoolExecutor(4) as pool, gate:
        jobs = start(pool, box, gate, 2)
        generation = box.kill(CHAT, signal.SIGSTOP)
        assert box.embed("meanwhile").status_code == 200
        assert [job.result().status_code for job in jobs] == [503, 503]
    wait_until(lambda: box.replica(CHAT)["generation"] == generation + 1)
    assert "no heartbeat" in box.replica(CHAT)["last_exit"]
    wait_until(lambda: box.replica(CHAT)["state"] == "ready")


@pytest.mark.parametrize("directive", ["/hang", "/spin"])
def test_a_worker_without_progress_is_replaced(make_box: MakeBox, directive: str) -> None:
    box = make_box(spec(CHAT, stall_s=1.5)).wait_ready()
    answer = box.chat(directive)
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "worker_crashed")
    wait_until(lambda: box.replica(CHAT)["generation"] > 1)
    assert "no progress" in box.replica(CHAT)["last_exit"]
    wait_until(lambda: box.replica(CHAT)["state"] == "ready")
    assert any("Current thread" in line or "Thread 0x" in line for line in box.lines())


def test_a_broken_step_fails_its_jobs_and_restarts_the_worker(box: Box) -> None:
    answer = box.chat("/raise")
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "internal_error")
    assert answer.headers["x-should-retry"] == "false"
    wait_until(lambda: box.replica(CHAT)["generation"] == 2)
    wait_until(lambda: box.chat("again").status_code == 200)


def test_a_model_that_never_loads_opens_its_circuit_while_others_serve(make_box: MakeBox) -> None:
    box = make_box(spec("echo/chat", options={"load_fails": "always"}), spec(EMBED))
    wait_until(lambda: box.ask("/livez") == 200)
    wait_until(lambda: box.replica(CHAT)["state"] == "failed")
    answer = box.chat("x")
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "circuit_open")
    message = answer.json()["error"]["message"]
    assert "told to fail at load (waiting does not mend this; once mended it starts" in message
    assert int(answer.headers["retry-after"]) >= 1
    wait_until(lambda: box.embed("x").status_code == 200)
    assert box.ask("/readyz") == 503
    assert box.health()["status"] == "degraded"


def test_a_load_that_fails_once_is_tried_again(make_box: MakeBox, tmp_path: Path) -> None:
    options: dict[str, str | int | float | bool] = {
        "load_fails": "once",
        "load_marker": str(tmp_path / "failed-once"),
    }
    box = make_box(spec(CHAT, options=options)).wait_ready()
    assert box.replica(CHAT)["restarts"] == 1


def test_while_it_loads_for_the_first_time_a_model_says_so(make_box: MakeBox, gate: Gate) -> None:
    box = make_box(spec(CHAT, options=gate.loads), spec(EMBED))
    wait_until(lambda: box.ask("/livez") == 200)
    answer = box.chat("x")
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "model_loading")
    assert int(answer.headers["retry-after"]) >= 1
    gate.open()
    box.wait_ready()
    assert box.chat("x").status_code == 200


def test_a_long_load_that_comes_further_is_never_killed(make_box: MakeBox) -> None:
    """Twice as long as it may be silent."""
    options: dict[str, str | int | float | bool] = {"load_s": 8.0, "load_stages": 20}
    box = make_box(spec(CHAT, load_stall_s=4.0, options=options), spec(EMBED))
    wait_until(lambda: box.ask("/livez") == 200)
    assert box.chat("x").json()["error"]["code"] == "model_loading"
    box.wait_ready()
    replica = box.replica(CHAT)
    assert (replica["generation"], replica["restarts"]) == (1, 0)


def test_a_load_without_progress_is_killed(make_box: MakeBox) -> None:
    box = make_box(spec(CHAT, load_stall_s=1.0, options={"load_s": 1000}), spec(EMBED))
    wait_until(lambda: box.ask("/livez") == 200)
    wait_until(lambda: box.replica(CHAT)["restarts"] > 0)
    assert "while loading" in box.replica(CHAT)["last_exit"]


def test_a_client_that_leaves_frees_its_place(box: Box) -> None:
    with pytest.raises(httpx2.ReadTimeout):
        box.chat("/slow 100000 never", timeout=0.5)
    wait_until(lambda: box.queue(CHAT)["in_flight"] == 0)
    wait_until(lambda: box.replica(CHAT)["in_flight"] == 0)
    wait_until(lambda: any("status=499" in line for line in box.lines()))


def test_a_client_that_leaves_the_queue_is_never_served(box: Box, gate: Gate) -> None:
    done = box.replica(CHAT)["jobs"]
    with ThreadPoolExecutor(8) as pool, gate:
        jobs = start(pool, box, gate, 5)
        with pytest.raises(httpx2.ReadTimeout):
            box.chat("never", timeout=0.5)
        wait_until(lambda: box.queue(CHAT)["depth"] == 0)
        gate.open()
        assert {job.result().status_code for job in jobs} == {200}
    wait_until(lambda: box.replica(CHAT)["jobs"] == done + 5)


def test_a_request_past_its_deadline_gets_504(make_box: MakeBox) -> None:
    box = make_box(spec(CHAT, request_timeout_s=0.5)).wait_ready()
    answer = box.chat("/slow 100000 never")
    assert (answer.status_code, answer.json()["error"]["code"]) == (504, "deadline_exceeded")
    assert answer.headers["x-should-retry"] == "false"
    wait_until(lambda: box.replica(CHAT)["in_flight"] == 0)


def test_a_request_that_waits_too_long_gets_503(make_box: MakeBox, gate: Gate) -> None:
    box = make_box(spec(CHAT, slots=1, prefetch=0, queue_timeout_s=0.5)).wait_ready()
    with ThreadPoolExecutor(2) as pool, gate:
        running = pool.submit(box.chat, gate.held("word"))
        wait_until(lambda: box.queue(CHAT)["in_flight"] == 1)
        answer = box.chat("x")
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "queue_timeout")
        gate.open()
        assert running.result().status_code == 200


def test_a_flood_is_answered_exactly(box: Box, gate: Gate) -> None:
    """Ten times the queue limit: the admitted are served, the rest refused at once."""
    credit, limit = int(box.queue(CHAT)["credit"]), int(box.queue(CHAT)["limit"])
    others: list[int] = []
    flooding = threading.Event()

    def ask_another() -> None:
        while not flooding.is_set():
            others.append(box.embed("meanwhile").status_code)

    with ThreadPoolExecutor(10 * limit + 1) as pool, gate:
        pool.submit(ask_another)
        running = [pool.submit(box.chat, gate.held("word")) for _ in range(10 * limit)]
        wait_until(lambda: sum(job.done() for job in running) == 9 * limit - credit)
        gate.open()
        answers = [job.result() for job in running]
        flooding.set()
    refused = [answer for answer in answers if answer.status_code == 429]
    assert len(answers) - len(refused) == credit + limit
    assert {answer.status_code for answer in answers} == {200, 429}
    for answer in refused:
        assert answer.json()["error"]["code"] == "rate_limit_exceeded"
        assert 1 <= int(answer.headers["retry-after"]) <= 60
    assert set(others) == {200}


def test_two_hundred_clients_that_give_up_cost_nobody_else(box: Box) -> None:
    def give_up(number: int) -> None:
        with contextlib.suppress(httpx2.ReadTimeout):
            answer = box.chat(f"/slow 100000 never {number}", timeout=0.25)
            # The places of those who have just left may not be free yet.
            assert answer.status_code == 429

    box.chat("before")
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(give_up, range(200)))
    assert box.chat("after").status_code == 200
    wait_until(lambda: box.queue(CHAT)["in_flight"] == 0)
    assert box.replica(CHAT)["generation"] == 1
