"""From nothing to the first answer: an engine of one's own, warm-up, failing fast, smoke."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import shlex
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from ipc.messages.spec import Warmup
from tests.ports import free_port
from tests.process.box import CHAT, DEADLINE_S, EMBED, SPEECH, Box, MakeBox, spec, wait_until, whole

ROOT = Path(__file__).parents[3]


def edge_serve(*arguments: str) -> list[str]:
    """The command that bin/edge-serve ends in."""
    return [sys.executable, "-P", "-m", "supervisor.cli", *arguments]


def environment(**changes: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), **changes}


# --- an engine of one's own ----------------------------------------------------------------------


def documented(language: str, containing: str) -> str:
    """The block of code in docs/engines.md in which ``containing`` stands."""
    text = (ROOT / "docs/engines.md").read_text()
    blocks = re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)
    (found,) = [block for block in blocks if containing in block]
    return str(found)


@pytest.fixture
def shouting(tmp_path: Path) -> Iterator[str]:
    """An edge-serve with the engine and the catalog that docs/engines.md shows, word for word: its
    address."""
    (tmp_path / "shout.py").write_text(documented("python", "class Shout"))
    (tmp_path / "own.yaml").write_text(documented("yaml", "shout.Shout"))
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="es-") as run_dir, (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            edge_serve("--config", "own.yaml", "--port", str(port)),
            cwd=tmp_path,
            env=environment(
                PYTHONPATH=os.pathsep.join([str(tmp_path), str(ROOT)]),
                EDGE_SERVE_RUN_DIR=run_dir,
                EDGE_SERVE_MODELS_DIR=str(tmp_path / "models"),
            ),
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        yield f"http://127.0.0.1:{port}"
        process.terminate()
        assert process.wait(timeout=DEADLINE_S) == 0


def answers(url: str) -> bool:
    try:
        return httpx2.get(f"{url}/readyz").status_code == 200
    except httpx2.TransportError:
        return False


def test_an_engine_from_a_file_of_ones_own_serves_as_the_readme_says(shouting: str) -> None:
    wait_until(lambda: answers(shouting))
    body = {"model": "me/shout", "messages": [{"role": "user", "content": "hear me"}]}
    answer = httpx2.post(f"{shouting}/v1/chat/completions", json=body, timeout=60).json()
    assert answer["choices"][0]["message"]["content"] == "HEAR ME"


# --- without anybody who reads -------------------------------------------------------------------


@pytest.mark.parametrize("streams", [">&- 2>&-", "2>&1 | head -c 1", "<&- 2>&-"])
def test_it_serves_though_nobody_reads_what_it_says(streams: str, tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text("models: [{name: echo/chat, task: chat, engine: echo}]")
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="es-") as run_dir:
        command = shlex.join(edge_serve("--config", "own.yaml", "--port", str(port)))
        process = subprocess.Popen(
            ["bash", "-c", f"{command} {streams}"],
            cwd=tmp_path,
            # It warns at once, which a reader that has left must bear.
            env=environment(EDGE_SERVE_RUN_DIR=run_dir, API_KEYS="", MODELS="echo/chat,echo/chat"),
            start_new_session=True,
        )
        url = f"http://127.0.0.1:{port}"
        try:
            wait_until(lambda: answers(url))
            told = wait_until(lambda: whole(httpx2.get(f"{url}/health", timeout=60).json()))
            pid = told["supervisor"]["pid"]
            os.kill(pid, signal.SIGTERM)
            process.wait(timeout=DEADLINE_S)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


# --- on a terminal -------------------------------------------------------------------------------

OWN = "models: [{name: echo/chat, task: chat, engine: echo}, {name: e, task: embed, engine: echo}]"


@contextlib.contextmanager
def started(folder: Path, *arguments: str, **more: str) -> Iterator[tuple[int, int]]:
    """An edge-serve at a terminal: the terminal, and its pid. Nothing names a run folder."""
    (folder / "own.yaml").write_text(OWN)
    ours, theirs = pty.openpty()
    env = environment(**more)
    env.pop("EDGE_SERVE_RUN_DIR", None)
    process = subprocess.Popen(
        edge_serve("--config", "own.yaml", *arguments),
        cwd=folder,
        env=env,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    try:
        yield ours, process.pid
        process.terminate()
        process.wait(timeout=DEADLINE_S)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        os.close(ours)


LAUNCHER = Path(__file__).parents[3] / "bin" / "edge-serve"


def read_until(terminal: int, last: str) -> list[str]:
    """The lines that the terminal shows up to the one that begins with ``last``."""
    seen = b""
    while True:
        seen += os.read(terminal, 4096)
        text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", seen.decode())  # the cursor, while bars show
        lines = [line for line in text.splitlines() if line]
        if text.endswith("\n") and any(line.startswith(last) for line in lines):
            return lines


def test_a_start_at_a_terminal_is_a_few_lines(tmp_path: Path) -> None:
    port = free_port()
    with (
        tempfile.TemporaryDirectory(prefix="es-") as session,
        started(tmp_path, "--port", str(port), XDG_RUNTIME_DIR=session) as (terminal, _),
    ):
        said = read_until(terminal, "try")
    first, *ready, last = said
    assert first == f"edge-serve listens on http://127.0.0.1:{port}; Ctrl-C stops it"
    assert sorted(line.split()[0] for line in ready) == ["e", "echo/chat"]
    assert all("ready in" in line for line in ready)
    assert last == f"try in another terminal: {LAUNCHER} chat --port {port}"


def test_two_servers_of_one_user_need_two_ports_only(tmp_path: Path) -> None:
    one, other = free_port(), free_port()
    with tempfile.TemporaryDirectory(prefix="es-") as session, contextlib.ExitStack() as both:
        where = {"XDG_RUNTIME_DIR": session, "EDGE_SERVE_RUN_DIR": ""}
        pids = {}
        for port in (one, other):
            server = both.enter_context(started(tmp_path, "--port", str(port), **where))
            pids[port] = server[1]
            read_until(server[0], "try")
        assert command("status", "--port", str(one), **where).returncode == 0
        ended = command("stop", "--port", str(one), **where)
        assert ended.stdout == f"edge-serve on port {one} has stopped (process {pids[one]})\n"
        assert command("status", "--port", str(one), **where).returncode == 1
        assert command("status", "--port", str(other), **where).returncode == 0


def test_watching_shows_it_again_and_again(box: Box) -> None:
    argv = edge_serve("status", "--watch", "--json", "--url", box.url)
    with subprocess.Popen(argv, env=environment(), stdout=subprocess.PIPE, text=True) as watching:
        assert watching.stdout is not None
        frames = [json.loads(watching.stdout.readline()) for _ in range(2)]
        watching.send_signal(signal.SIGINT)
        assert watching.wait(timeout=DEADLINE_S) == 130
    assert [frame["status"] for frame in frames] == ["ok", "ok"]
    assert frames[0]["supervisor"]["uptime_s"] <= frames[1]["supervisor"]["uptime_s"]


# --- warm-up -------------------------------------------------------------------------------------


def test_health_tells_of_each_capability_whether_it_is_warm(make_box: MakeBox) -> None:
    box = make_box(spec(CHAT), spec(EMBED, warmup=Warmup(steps=0))).wait_ready()
    assert {model["name"]: model["warm"] for model in box.health()["models"]} == {
        CHAT: {"chat-completion": "ok"},
        EMBED: {"text-embedding": "skipped"},
    }


FAILS = {"load_fails": "always"}


def test_by_default_a_model_that_cannot_start_does_not_stop_the_others(make_box: MakeBox) -> None:
    box = make_box(spec(CHAT), spec(EMBED, options=FAILS))
    wait_until(lambda: box.ask("/livez") == 200)
    wait_until(lambda: box.replica(EMBED)["state"] == "failed")
    wait_until(lambda: box.replica(CHAT)["state"] == "ready")
    assert box.chat("still here").status_code == 200


def test_failing_fast_stops_the_server_and_names_the_model(make_box: MakeBox) -> None:
    box = make_box(spec(CHAT), spec(EMBED, options=FAILS), fail_fast=True)
    assert box.process.wait(timeout=DEADLINE_S) == 1
    (line,) = [line for line in box.lines() if "fail_fast" in line]
    assert f"model={EMBED}" in line
    assert "reason=told to fail at load" in line


def test_failing_fast_ends_when_all_were_ready_once(
    make_box: MakeBox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = tmp_path / "vanishing.py"
    engine.write_text("from worker.engines.echo.engine import Echo\n")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), str(ROOT)]))
    box = make_box(spec(CHAT), spec(EMBED, engine="vanishing.Echo"), fail_fast=True).wait_ready()
    wait_until(lambda: any("all models are ready" in line for line in box.lines()))
    engine.unlink()
    box.kill(EMBED)
    wait_until(lambda: box.replica(EMBED)["state"] == "failed")
    assert box.chat("still here").status_code == 200


# --- smoke ---------------------------------------------------------------------------------------


def smoke(box: Box, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        edge_serve("smoke", "--url", box.url, *arguments),
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_smoke_tries_what_each_model_can_do(box: Box) -> None:
    ended = smoke(box)
    rows = [line.split()[:3] for line in ended.stdout.splitlines()[1:]]
    assert rows == [
        [CHAT, "chat-completion", "ok"],
        [CHAT, "tools", "ok"],
        [CHAT, "reasoning", "ok"],
        [CHAT, "fill", "ok"],
        [CHAT, "migration", "ok"],
        [EMBED, "text-embedding", "ok"],
        [SPEECH, "audio-transcription", "FAILED"],
        [SPEECH, "audio-translation", "FAILED"],
    ]
    # The engine of the tests understands no speech.
    assert ended.stdout.count("it has heard no words in a spoken sentence") == 2
    assert ended.returncode == 1
    ended = smoke(box, "--models", f"{CHAT},{EMBED}")
    assert ended.returncode == 0, ended.stderr


def test_smoke_fails_when_one_model_does_not_answer(make_box: MakeBox) -> None:
    box = make_box(spec(CHAT), spec(EMBED, options=FAILS))
    wait_until(lambda: box.ask("/livez") == 200)
    wait_until(lambda: box.replica(EMBED)["state"] == "failed")
    ended = smoke(box)
    assert ended.returncode == 1
    assert "FAILED" in ended.stdout
    assert "503" in ended.stdout
    assert smoke(box, "--models", CHAT).returncode == 0


def test_smoke_of_a_model_that_is_not_there_or_of_no_server_fails(box: Box) -> None:
    ended = smoke(box, "--models", "echo/none")
    assert ended.returncode == 1
    assert "the server has no such model" in ended.stdout
    box.process.kill()
    box.process.wait()
    ended = smoke(box)
    assert ended.returncode == 1
    assert ended.stderr.count("\n") == 1
    assert f"no edge-serve answers at {box.url}: Connection refused" in ended.stderr


# --- talking and stopping ------------------------------------------------------------------------


def command(*arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    text = more.pop("input", "")
    return subprocess.run(
        edge_serve(*arguments),
        env=environment(**more),
        input=text,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_chat_answers_each_line_until_bye(box: Box) -> None:
    ended = command("chat", CHAT, "--url", box.url, input="hello there\n\nand again\n/bye\nno\n")
    assert ended.returncode == 0, ended.stderr
    said = ended.stdout.splitlines()
    assert len(said) == 2
    assert "hello there" in said[0]
    assert "and again" in said[1]
    assert ended.stderr == ""


def test_a_chat_that_gets_no_answer_says_why(make_box: MakeBox) -> None:
    box = make_box(spec(CHAT, options=FAILS))
    wait_until(lambda: box.ask("/livez") == 200)
    wait_until(lambda: box.replica(CHAT)["state"] == "failed")
    ended = command("chat", "--url", box.url, input="hello\n")
    assert ended.returncode == 1
    assert "edge-serve: 503: " in ended.stderr


def test_stop_drains_and_waits(box: Box) -> None:
    run_dir = str(box.run_dir)
    ended = command("stop", EDGE_SERVE_RUN_DIR=run_dir, PORT=str(box.port))
    assert ended.returncode == 0, ended.stderr
    assert (
        ended.stdout == f"edge-serve on port {box.port} has stopped (process {box.process.pid})\n"
    )
    assert box.process.wait(timeout=DEADLINE_S) == 0
    again = command("stop", "--json", EDGE_SERVE_RUN_DIR=run_dir, PORT=str(box.port))
    assert again.returncode == 0
    assert '"stopped": false' in again.stdout


def test_stop_that_does_not_wait_long_enough_fails_and_the_second_ends_all(
    make_box: MakeBox,
) -> None:
    box = make_box(spec(CHAT, options={"word_ms": 50})).wait_ready()
    where = {"EDGE_SERVE_RUN_DIR": str(box.run_dir), "PORT": str(box.port)}
    messages = [{"role": "user", "content": "a " * 2000}]
    body = {"model": CHAT, "messages": messages, "stream": True, "max_tokens": 2000}
    with box.client.stream("POST", "/v1/chat/completions", json=body) as stream:
        lines = stream.iter_lines()
        next(lines)
        ended = command("stop", "--wait", "0.1", **where)
        assert ended.returncode == 1
        assert "still finishing answers" in ended.stderr
        assert command("stop", **where).returncode == 0
