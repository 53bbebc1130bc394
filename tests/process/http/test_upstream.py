"""Models that other servers answer: elsewhere (`remote`), or started for it (`command`)."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest

from ipc.facts.samples import tone_wav
from ipc.messages.spec import Spec
from ipc.runtime import landlock
from tests.process.box import CHAT, DEADLINE_S, EMBED, SPEECH, Box, Gate, MakeBox, spec, wait_until
from tests.process.http.malformed import post
from tests.process.http.raw_http import Raw

PROGRAM = Path(__file__).parents[2] / "openai_server.py"
SLOW = "/slow 200 " + "word " * 15


# --- remote --------------------------------------------------------------------------------------


def remote(name: str, url: str, **changes: Any) -> Spec:
    return spec(name, engine="remote", options={"base_url": f"{url}/v1"}, **changes)


def elsewhere(make: MakeBox) -> Box:
    return make(spec(CHAT, slots=2, prefetch=0, queue_limit=1), spec(EMBED), spec(SPEECH))


def before(make: MakeBox, far: Box) -> Box:
    """An edge-serve whose models are all in the one elsewhere, under the same names."""
    return make(*(remote(name, far.url) for name in (CHAT, EMBED, SPEECH))).wait_ready()


@pytest.fixture
def far(make_box: MakeBox) -> Box:
    return elsewhere(make_box)


@pytest.fixture
def near(make_box: MakeBox, far: Box) -> Box:
    return before(make_box, far)


@pytest.fixture(scope="module")
def kept_far(module_box: MakeBox) -> Box:
    """For tests after which it is as before."""
    return elsewhere(module_box)


@pytest.fixture(scope="module")
def kept_near(module_box: MakeBox, kept_far: Box) -> Box:
    return before(module_box, kept_far)


def test_a_chat_passes_through(kept_near: Box) -> None:
    answer = kept_near.chat("one two three", max_tokens=2).json()
    (choice,) = answer["choices"]
    assert choice["message"]["content"] == "one two"
    assert choice["finish_reason"] == "length"
    assert (answer["usage"]["prompt_tokens"], answer["usage"]["completion_tokens"]) == (3, 2)
    assert answer["model"] == CHAT


def test_a_stream_passes_through_word_by_word(kept_near: Box) -> None:
    text = kept_near.chat("one two three", stream=True).text
    assert text.count('"content":') == 1 + 3  # the role's chunk, then the words
    assert text.rstrip().endswith("data: [DONE]")


def test_embeddings_are_those_of_the_upstream(kept_near: Box, kept_far: Box) -> None:
    rows = [box.embed("a", "b").json()["data"] for box in (kept_near, kept_far)]
    assert rows[0] == rows[1]


@pytest.mark.parametrize("path", ["transcriptions", "translations"])
def test_transcripts_are_those_of_the_upstream(kept_near: Box, kept_far: Box, path: str) -> None:
    form = {"model": SPEECH, "prompt": "so it was said", "response_format": "verbose_json"}
    files = {"file": ("tone.wav", tone_wav(0.2))}
    bodies = [
        box.client.post(f"/v1/audio/{path}", data=form, files=files).json()
        for box in (kept_near, kept_far)
    ]
    assert bodies[0]["text"] == "so it was said"
    assert bodies[0] == bodies[1]


def test_a_client_that_leaves_frees_the_upstreams_place(near: Box, far: Box) -> None:
    messages = [{"role": "user", "content": "/slow 100000 never"}]
    body = json.dumps({"model": CHAT, "messages": messages}).encode()
    with Raw(near.port) as raw:
        request = post(b"Content-Length: %d" % len(body), body=body)
        raw.send(request.replace(b"embeddings", b"chat/completions", 1))
        wait_until(lambda: far.queue(CHAT)["in_flight"] == 1)
    wait_until(lambda: far.queue(CHAT)["in_flight"] == 0)
    wait_until(lambda: far.replica(CHAT)["in_flight"] == 0)
    wait_until(lambda: near.queue(CHAT)["in_flight"] == 0)


def test_the_upstreams_refusals_are_passed_on(near: Box, far: Box, gate: Gate) -> None:
    answer = near.chat("/deny because")
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_value")
    assert "told to refuse: because" in answer.json()["error"]["message"]
    with ThreadPoolExecutor(3) as pool, gate:
        running = [pool.submit(far.chat, gate.held("word")) for _ in range(3)]
        wait_until(lambda: far.queue(CHAT)["depth"] == 1)
        full = near.chat("x")
        assert (full.status_code, full.json()["error"]["code"]) == (429, "rate_limit_exceeded")
        assert int(full.headers["retry-after"]) >= 1
        gate.open()
        assert {job.result().status_code for job in running} == {200}


def test_an_upstream_that_dies_amid_an_answer_ends_it_once_it_is_back(near: Box, far: Box) -> None:
    generation = near.replica(CHAT)["generation"]
    body = {"model": CHAT, "messages": [{"role": "user", "content": SLOW}], "stream": True}
    with near.client.stream("POST", "/v1/chat/completions", json=body) as answer:
        lines = answer.iter_lines()
        next(lines)
        far.die()
        for refused in (near.chat("x"), near.embed("x")):
            assert (refused.status_code, refused.json()["error"]["code"]) == (503, "unavailable")
            assert int(refused.headers["retry-after"]) >= 1
        far.start()
        rest = [line for line in lines if line]
    assert rest[-1] == "data: [DONE]"
    assert ": migrated" in rest
    wait_until(lambda: near.chat("again").status_code == 200)
    assert near.replica(CHAT)["generation"] == generation


def test_an_upstream_is_waited_for_while_loading(make_box: MakeBox, far: Box) -> None:
    far.die()
    box = make_box(remote(CHAT, far.url))
    wait_until(lambda: box.ask("/livez") == 200)
    wait_until(lambda: "cannot be reached" in (box.replica(CHAT)["stage"] or ""))
    assert box.chat("x").json()["error"]["code"] == "model_loading"
    assert box.replica(CHAT)["restarts"] == 0
    # It may list a model that it is still loading, and the warm-up of ours is then tried again.
    far.start()
    box.wait_ready()
    assert box.replica(CHAT)["device"] == "remote"


def test_waiting_for_an_upstream_has_an_end(make_box: MakeBox) -> None:
    box = make_box(remote(CHAT, "http://127.0.0.1:9", load_stall_s=1.0))
    wait_until(lambda: box.ask("/livez") == 200)
    wait_until(lambda: box.replica(CHAT)["restarts"] > 0)
    assert "127.0.0.1:9 was not ready within 1 s" in box.replica(CHAT)["last_exit"]


def test_a_request_past_its_deadline_leaves_the_upstream_too(make_box: MakeBox, far: Box) -> None:
    box = make_box(remote(CHAT, far.url, request_timeout_s=0.5)).wait_ready()
    answer = box.chat("/slow 100000 never")
    assert (answer.status_code, answer.json()["error"]["code"]) == (504, "deadline_exceeded")
    wait_until(lambda: far.queue(CHAT)["in_flight"] == 0)


# --- command -------------------------------------------------------------------------------------


def command(*arguments: str, name: str = CHAT, **changes: Any) -> Spec:
    line = [sys.executable, str(PROGRAM), "--port", "{port}", *arguments]
    return spec(name, engine="command", options={"command": shlex.join(line)}, **changes)


def programs(box: Box) -> list[psutil.Process]:
    """What a command has started, the guard first."""
    return [one for one in box.family() if any(PROGRAM.name in word for word in one.cmdline())]


@pytest.fixture
def started(make_box: MakeBox) -> Box:
    box = make_box(command(slots=2, prefetch=0, queue_limit=8), spec(EMBED)).wait_ready()
    assert len(programs(box)) == 2
    return box


def program(box: Box) -> psutil.Process:
    return next(one for one in programs(box) if PROGRAM.name in one.cmdline()[1])


def gone(processes: list[psutil.Process]) -> bool:
    """Whether all end."""
    return not psutil.wait_procs(processes, timeout=DEADLINE_S)[1]


def test_a_started_program_answers(started: Box) -> None:
    assert started.chat("one two").json()["choices"][0]["message"]["content"].split() == [
        "one",
        "two",
    ]
    assert started.replica(CHAT)["device"] == "cpu"


@pytest.mark.skipif(not landlock.version(), reason="this kernel has no Landlock")
def test_a_program_cannot_change_the_models_of_a_service(make_box: MakeBox, tmp_path: Path) -> None:
    models = tmp_path / "models"
    models.mkdir()
    (tmp_path / "beside").mkdir()
    program = command().options["command"]
    script = f"touch {models}/new && exec false; touch {tmp_path}/beside/new; exec {program}"
    line = f"sh -c {shlex.quote(script)}"
    confined = spec(CHAT, engine="command", options={"command": line})
    box = make_box(confined, read_only=str(models)).wait_ready()
    assert box.chat("hello").status_code == 200
    assert (tmp_path / "beside" / "new").exists()
    assert [*models.iterdir()] == []


def test_a_program_that_dies_is_started_again_and_the_queue_waits(started: Box) -> None:
    with ThreadPoolExecutor(8) as pool:
        jobs = [pool.submit(started.chat, SLOW) for _ in range(4)]
        wait_until(lambda: started.queue(CHAT)["depth"] == 2)
        wait_until(lambda: started.replica(CHAT)["in_flight"] == 2)
        family = programs(started)
        program(started).kill()
        assert started.embed("meanwhile").status_code == 200
        answers = [job.result() for job in jobs]
    assert sorted(answer.status_code for answer in answers) == [200, 200, 503, 503]
    failed = [answer for answer in answers if answer.status_code == 503]
    assert {answer.json()["error"]["code"] for answer in failed} == {"worker_crashed"}
    replica = started.replica(CHAT)
    assert (replica["generation"], replica["restarts"]) == (2, 1)
    assert "was killed by SIGKILL" in replica["last_exit"]
    assert gone(family)


def test_a_program_that_dies_idle_is_started_again(started: Box) -> None:
    program(started).kill()
    wait_until(lambda: started.replica(CHAT)["generation"] == 2)
    wait_until(lambda: started.replica(CHAT)["state"] == "ready")
    assert started.chat("again").status_code == 200


def test_what_a_dead_program_leaves_behind_is_ended(make_box: MakeBox) -> None:
    box = make_box(command("--child")).wait_ready()
    (left,) = [one for one in box.family() if "left-behind" in one.cmdline()]
    program(box).kill()
    assert gone([left])


def test_a_program_that_hangs_is_replaced(make_box: MakeBox) -> None:
    box = make_box(command(stall_s=1.0)).wait_ready()
    answer = box.chat("/hang")
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "worker_crashed")
    wait_until(lambda: box.replica(CHAT)["generation"] > 1)
    assert "has not been healthy" in box.replica(CHAT)["last_exit"]
    wait_until(lambda: box.replica(CHAT)["state"] == "ready")
    assert box.chat("again").status_code == 200


@pytest.mark.parametrize(
    "arguments",
    [[], ["--child"], ["--daemon"]],
    ids=["alone", "with a child", "with one in a session of its own"],
)
@pytest.mark.parametrize("victim", ["worker", "supervisor"])
def test_no_program_outlives_its(make_box: MakeBox, victim: str, arguments: list[str]) -> None:
    box = make_box(command(*arguments)).wait_ready()
    worker = psutil.Process(box.replica(CHAT)["pid"])
    wait_until(lambda: len(worker.children(recursive=True)) == 2 + len(arguments))
    family = worker.children(recursive=True)
    os.kill(box.replica(CHAT)["pid"] if victim == "worker" else box.process.pid, signal.SIGKILL)
    assert gone(family)


def test_what_left_the_group_of_a_dead_program_is_ended(make_box: MakeBox) -> None:
    box = make_box(command("--daemon")).wait_ready()
    (left,) = wait_until(lambda: [one for one in box.family() if "left-behind" in one.cmdline()])
    program(box).kill()
    assert gone([left])


def test_a_guard_that_is_killed_takes_its_program_along(started: Box) -> None:
    family = programs(started)
    family[0].kill()
    assert gone(family)
    wait_until(lambda: started.replica(CHAT)["generation"] == 2)
    wait_until(lambda: started.replica(CHAT)["state"] == "ready")


def test_requests_in_hand_are_not_suspected_of_a_program_that_others_killed(
    started: Box,
) -> None:
    for generation in (2, 3, 4):
        with ThreadPoolExecutor(1) as pool:
            answer = pool.submit(started.chat, SLOW)
            wait_until(lambda: started.replica(CHAT)["in_flight"] == 1)
            program(started).kill()
            assert answer.result().json()["error"]["code"] == "worker_crashed"
        wait_until(lambda: started.replica(CHAT)["generation"] == generation)  # noqa: B023
        wait_until(lambda: started.replica(CHAT)["state"] == "ready")


def test_a_drain_leaves_no_process(started: Box) -> None:
    family = started.family()
    with ThreadPoolExecutor(1) as pool:
        stream = pool.submit(lambda: started.chat(SLOW, stream=True).text)
        wait_until(lambda: started.queue(CHAT)["in_flight"] == 1)
        started.process.send_signal(signal.SIGTERM)
        assert stream.result().rstrip().endswith("data: [DONE]")
    assert started.process.wait(timeout=DEADLINE_S) == 0
    assert gone(family)


def test_a_program_that_cannot_start_says_why(make_box: MakeBox) -> None:
    box = make_box(command("--fails", "no such weights: /srv/x"), spec(EMBED))
    wait_until(lambda: box.ask("/livez") == 200)
    wait_until(lambda: box.replica(CHAT)["restarts"] > 0)
    assert "ended with status 7: no such weights: /srv/x" in box.replica(CHAT)["last_exit"]
    missing = make_box(spec(CHAT, engine="command", options={"command": "/no/such {port}"}))
    wait_until(lambda: missing.ask("/livez") == 200)
    wait_until(lambda: missing.replica(CHAT)["state"] == "failed")
    assert "/no/such cannot be started: No such file" in missing.replica(CHAT)["last_exit"]


def test_what_a_program_says_is_logged_until_it_is_ready(make_box: MakeBox) -> None:
    box = make_box(command(), log_level="debug").wait_ready()
    assert any("said=listening" in line for line in box.lines())
    box.chat("canary-7f3a")
    box.chat("/status 400 canary-7f3a")
    program(box).kill()
    wait_until(lambda: box.replica(CHAT)["restarts"] > 0)
    assert not [line for line in box.lines() if "canary-7f3a" in line]


# --- both ----------------------------------------------------------------------------------------


def test_the_key_is_sent_and_never_told(make_box: MakeBox, monkeypatch: pytest.MonkeyPatch) -> None:
    probe = make_box(spec(EMBED))  # for a port that is free
    probe.stop()
    argv = [sys.executable, str(PROGRAM), "--port", str(probe.port), "--key", "sk-secret"]
    with subprocess.Popen(argv, stdout=subprocess.DEVNULL) as server:
        try:
            url = f"http://127.0.0.1:{probe.port}/v1"
            options: dict[str, str | int | float | bool] = {
                "base_url": url,
                "api_key_env": "UPSTREAM_KEY",
            }
            monkeypatch.setenv("UPSTREAM_KEY", "sk-secret")
            box = make_box(spec(CHAT, engine="remote", options=options), log_level="debug")
            assert box.wait_ready().chat("hello").status_code == 200
            monkeypatch.setenv("UPSTREAM_KEY", "sk-wrong")
            refused = make_box(spec(CHAT, engine="remote", options=options), log_level="debug")
            wait_until(lambda: refused.ask("/livez") == 200)
            wait_until(lambda: refused.replica(CHAT)["state"] == "failed")
        finally:
            server.kill()
    answer = refused.chat("x")
    assert "api_key_env" in answer.json()["error"]["message"]
    for text in (answer.text, str(refused.health()), *box.lines(), *refused.lines()):
        assert "sk-secret" not in text
        assert "sk-wrong" not in text
