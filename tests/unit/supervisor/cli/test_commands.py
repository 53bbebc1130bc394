"""The command line, from arguments to exit status: what is said, and the plan that is left."""

from __future__ import annotations

import json
import os
import pwd
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from ipc.engines import serving
from ipc.messages.keys import ApiKey
from ipc.messages.spec import Spec
from supervisor import plan
from supervisor.cli import systemd_unit
from supervisor.config import catalog, settings
from supervisor.config.errors import ConfigError
from supervisor.models import convert
from supervisor.models.archive import FetchError
from tests.unit.supervisor.cli.conftest import Run

ROOT = Path(__file__).parents[4]


@pytest.fixture
def echo(tmp_path: Path) -> str:
    """A catalog of two models that need no files."""
    file = tmp_path / "echo.yaml"
    file.write_text(
        "models: [{name: echo/chat, task: chat, engine: echo, slots: 3},"
        " {name: echo/embed, task: embed, engine: echo}]"
    )
    return str(file)


@pytest.fixture
def daemon(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Catches the moment in which the command line becomes the daemon."""
    seen = SimpleNamespace(argv=[], env={})

    def execve(_path: str, argv: list[str], env: dict[str, str]) -> None:
        seen.argv, seen.env = argv, env
        sys.exit(0)

    monkeypatch.setattr(os, "execve", execve)
    return seen


# --- mistakes ------------------------------------------------------------------------------------

MISTAKES: list[tuple[dict[str, str], list[str], str]] = [
    ({"CHAT_BATCH_MAX_SIZE": "abc"}, [], "CHAT_BATCH_MAX_SIZE: 'abc' is not a whole number; set"),
    ({"MODELS": "openai/wisper-base"}, [], "MODELS: no model 'openai/wisper-base' in the catalog;"),
    ({}, ["--port", "http"], "--port: 'http' is not a whole number; set it to 0, up to 65535"),
    ({}, ["--device", "gpu"], "--device: 'gpu' is not a device; set it to auto, cpu, mps, cuda or"),
    ({"EDGE_SERVE_CONFIG": "/none.yaml"}, [], "/none.yaml: cannot be read"),
    ({"API_KEYS_FILE": "/none"}, [], "API_KEYS_FILE: /none cannot be read: No such file"),
    ({"SSL_CERTFILE": "/none"}, ["check"], "SSL_CERTFILE: /none cannot be read: No such file"),
    ({}, ["--device", "mps", "--models", "openai/whisper-base"], "openai/whisper-base: device: en"),
    ({"EDGE_SERVE_RUN_DIR": "/tmp/" + "x" * 90}, [], "EDGE_SERVE_RUN_DIR: /tmp/xxx"),
    ({}, ["check", "--config", "/none.yaml"], "/none.yaml: cannot be read"),
    ({}, ["pull", "http://foo"], "MODELS: no model 'http://foo' in the catalog; see edge-serve"),
    ({}, ["pull", "nothing-like-it"], "MODELS: no model 'nothing-like-it' in the catalog; see edg"),
]


@pytest.mark.parametrize(("environment", "arguments", "message"), MISTAKES)
def test_a_mistake_is_one_line_on_stderr_and_status_78(
    environment: dict[str, str], arguments: list[str], message: str, run: Run
) -> None:
    os.environ.update(environment)
    code, out, err = run(*arguments)
    assert (code, out) == (78, "")
    assert err.startswith(f"edge-serve: {message}")
    assert err.count("\n") == 1


def test_as_a_program_of_its_own_it_answers_a_mistake_the_same_way() -> None:
    ended = subprocess.run(
        [sys.executable, "-P", "-m", "supervisor.cli"],
        env={**os.environ, "PYTHONPATH": str(ROOT), "PORT": "x"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 78
    assert ended.stderr.splitlines() == [
        "edge-serve: PORT: 'x' is not a whole number; set it to 0, up to 65535"
    ]


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize(("arguments", "status"), [("models", 0), ("--models x", 78)])
def test_without_standard_streams_it_does_the_same(
    closed: str, arguments: str, status: int
) -> None:
    command = f"exec {sys.executable} -P -m supervisor.cli {arguments} {closed}"
    ended = subprocess.run(
        ["bash", "-c", command],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == status
    assert "Traceback" not in ended.stderr


def test_a_table_whose_reader_has_left_is_no_traceback() -> None:
    command = f"{sys.executable} -P -m supervisor.cli models | true"
    ended = subprocess.run(
        ["bash", "-c", command],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.stderr == ""


@pytest.mark.parametrize("arguments", [["--version"], ["models", "--json"], ["no-such-command"]])
def test_nothing_is_said_where_nobody_reads(arguments: list[str]) -> None:
    """Short output is written at the end, long output on the way there."""
    env = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    reader, writer = os.pipe()
    os.close(reader)
    ended = subprocess.run(
        [sys.executable, "-P", "-m", "supervisor.cli", *arguments],
        env={**env, "PYTHONPATH": str(ROOT)},
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
        check=False,
    )
    os.close(writer)
    assert "BrokenPipeError" not in ended.stderr
    assert ended.returncode == (2 if arguments == ["no-such-command"] else 1)


def test_help_imports_nothing_slow() -> None:
    script = "import supervisor.cli, sys; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-P", "-c", script],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    ).stdout.split()
    slow = {"pydantic", "rich", "yaml", "httpx2", "huggingface_hub", "zmq", "torch"}
    assert slow.isdisjoint(loaded)


def test_the_daemons_side_of_the_plan_imports_nothing_of_the_command_lines() -> None:
    script = "import supervisor.plan, sys; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-P", "-c", script],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    ).stdout.split()
    assert {"pydantic", "typer", "rich", "yaml", "pydantic_settings"}.isdisjoint(loaded)


# --- serving -------------------------------------------------------------------------------------


def test_serving_leaves_a_private_plan_and_becomes_the_daemon(
    run: Run, echo: str, daemon: SimpleNamespace, tmp_path: Path
) -> None:
    os.environ.update(HF_TOKEN="hf_secret", MAX_AUDIO_BYTES="1000", ENABLE_WARMUP="0")
    code, _, err = run("--config", echo, "--port", "0")
    assert (code, err) == (0, "")
    file = tmp_path / "run/plan.json"
    assert daemon.argv == [sys.executable, "-P", "-m", "supervisor", str(file)]
    assert "HF_TOKEN" not in daemon.env
    assert daemon.env["HF_HUB_OFFLINE"] == "1"
    assert file.stat().st_mode & 0o777 == 0o600
    assert "hf_secret" not in file.read_text()

    found = plan.read(file)
    assert (found.host, found.port, found.run_dir) == ("127.0.0.1", 0, str(tmp_path / "run"))
    assert (found.serve.max_audio_bytes, found.serve.metrics) == (1000, True)
    assert [spec.warmup.steps for spec in found.serve.specs] == [0, 0]
    assert [(spec.name, spec.engine, spec.slots) for spec in found.serve.specs] == [
        ("echo/chat", "echo", 3),
        ("echo/embed", "echo", 16),
    ]
    assert all(spec.path == "" and spec.cache == "" for spec in found.serve.specs)


def test_bench_is_another_program_which_gets_the_options_of_both(
    run: Run, daemon: SimpleNamespace
) -> None:
    run("--port", "9000", "bench", "chat", "--concurrency", "1", "-h")
    forwarded = ["bench", "chat", "--concurrency", "1", "-h"]
    assert daemon.argv == [sys.executable, "-P", "-m", *forwarded]
    assert daemon.env["PORT"] == "9000"


def test_keys_reach_the_daemon_as_digests_only(
    run: Run, echo: str, daemon: SimpleNamespace, tmp_path: Path
) -> None:
    key = "sk-0123456789abcdef"
    os.environ.update(API_KEYS=f"ann:{key}", EDGE_SERVE_API_KEY=key)
    assert run("--config", echo)[0] == 0
    file = tmp_path / "run/plan.json"
    assert plan.read(file).serve.gate.api_keys == {"ann": ApiKey.of(key)}
    assert key not in file.read_text() + repr(daemon.env) + repr(daemon.argv)


def test_a_model_that_cannot_be_fetched_does_not_stop_the_others(
    run: Run, echo: str, daemon: SimpleNamespace, tmp_path: Path
) -> None:
    os.environ.update(AUTO_DOWNLOAD_MODELS="0", MODELS="echo/chat,openai/whisper-base")
    code, _, err = run("--config", echo)
    reason = "not pulled yet; run: edge-serve pull openai/whisper-base"
    assert (code, err) == (0, f"edge-serve: openai/whisper-base: {reason}\n")
    found = plan.read(tmp_path / "run/plan.json")
    assert [spec.name for spec in found.serve.specs] == ["echo/chat"]
    again = f"{reason} (edge-serve reload tries again)"
    assert found.unavailable == {"openai/whisper-base": again}
    assert daemon.argv


def test_without_any_model_left_it_ends_with_a_line_for_each(
    run: Run, daemon: SimpleNamespace
) -> None:
    os.environ.update(AUTO_DOWNLOAD_MODELS="0")
    code, _, err = run()
    assert code == 1
    assert [line.split(": ")[1] for line in err.splitlines()] == catalog.load(None).serve
    assert not daemon.argv


def test_listening_beyond_this_machine_is_warned_about(
    run: Run, echo: str, daemon: SimpleNamespace
) -> None:
    code, _, err = run("--config", echo, "--host", "0.0.0.0")
    assert code == 0
    assert "listening on 0.0.0.0:8000 WITHOUT AUTHENTICATION" in err
    assert daemon.argv


# --- the plan ------------------------------------------------------------------------------------


def test_a_plan_of_another_version_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "plan.json"
    file.write_text('{"host": "h", "port": 1, "run_dir": "r", "colour": "red"}')
    with pytest.raises(plan.PlanError, match="colour"):
        plan.read(file)
    with pytest.raises(plan.PlanError, match="No such file"):
        plan.read(tmp_path / "none.json")


# --- conversions ---------------------------------------------------------------------------------


OWN = "worker.engines.echo.engine.Echo"  # by its dotted path, so nothing is known of it


def test_a_model_is_prepared_once_for_each_version_of_it(tmp_path: Path) -> None:
    spec = Spec(name="a", task="chat", engine=OWN, path="/p", cache=str(tmp_path / "c"))
    stages: list[str] = []
    convert.prepare(spec, stages.append, pytest.fail)
    assert stages == ["preparing"]
    convert.prepare(spec, stages.append, pytest.fail)
    assert stages == ["preparing"]
    newer = Spec(name="a", task="chat", engine=OWN, path="/p", cache=str(tmp_path / "c"), created=9)
    convert.prepare(newer, stages.append, pytest.fail)
    assert stages == ["preparing", "preparing"]


def test_what_was_prepared_by_an_earlier_way_to_convert_is_prepared_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the worker would convert, which a service may not do where `pull` has."""
    spec = Spec(name="a", task="chat", engine="openvino", path="/p", cache=str(tmp_path))
    monkeypatch.setattr(convert, "_run", lambda _spec, on_stage: on_stage("preparing"))
    served = serving("openvino", "chat")
    assert served is not None
    earlier = msgspec.structs.replace(served, form="another")
    with monkeypatch.context() as before:
        before.setattr(convert, "serving", lambda _engine, _task: earlier)
        convert.prepare(spec, lambda _stage: None, pytest.fail)
        assert convert.prepared(spec) == spec
    assert convert.prepared(spec) is None


@pytest.mark.parametrize("marker", [b"\xff", b"", b"x" * 64])
def test_a_marker_that_is_none_of_ours_marks_nothing(tmp_path: Path, marker: bytes) -> None:
    spec = Spec(name="a", task="chat", engine="openvino", path="/p", cache=str(tmp_path))
    (tmp_path / convert.MARKER).write_bytes(marker)
    assert convert.prepared(spec) is None


def test_engines_that_convert_nothing_are_not_asked(tmp_path: Path) -> None:
    spec = Spec(name="a", task="chat", engine="torch", path="/p", cache=str(tmp_path / "c"))
    convert.prepare(spec, pytest.fail, pytest.fail)  # importing torch to ask takes seconds
    assert not Path(spec.cache).exists()


def test_a_conversion_that_fails_gives_its_last_words_and_is_tried_again(tmp_path: Path) -> None:
    spec = Spec(name="a", task="chat", engine="no.Such", path="/p", cache=str(tmp_path / "c"))
    for _ in range(2):
        with pytest.raises(FetchError, match=r"engine no\.Such cannot be imported"):
            convert.prepare(spec, lambda _stage: None, pytest.fail)


# --- looking -------------------------------------------------------------------------------------


def test_check_shows_what_would_be_served(run: Run, echo: str) -> None:
    code, out, _ = run("check", "--config", echo, "--models", "echo/chat,openai/whisper-base")
    assert code == 0
    lines = out.splitlines()
    assert " ".join(lines[0].split()) == "model task engine device replicas slots queue files"
    assert lines[1].split()[:7] == ["echo/chat", "chat", "echo", "cpu", "1", "3", "256"]
    assert lines[2].endswith("not pulled yet")
    assert lines[-1] == "ok"


def test_config_says_what_is_in_force_and_where_that_is_from(run: Run, echo: str) -> None:
    Path(".env").write_text("MAX_TEXT_CHARS=500\n")
    os.environ["API_KEYS"] = "ann:sesame-sesame"
    code, out, _ = run("config", "--config", echo, "--port", "9000", "--json")
    told = json.loads(out)
    settings = {one["name"]: one for one in told["settings"]}
    assert code == 0
    assert "sesame" not in out
    assert (settings["PORT"]["value"], settings["PORT"]["from"]) == (9000, "flag")
    assert (settings["MAX_TEXT_CHARS"]["value"], settings["MAX_TEXT_CHARS"]["from"]) == (
        500,
        ".env",
    )
    assert (settings["API_KEYS"]["is_set"], settings["HOST"]["from"]) == (True, "default")
    assert told["models"]["echo/chat"]["slots"] == {"value": 3, "from": "entry", "file": echo}
    assert echo in told["files"]


def test_config_shows_what_somebody_has_set(run: Run, echo: str) -> None:
    code, out, _ = run("config", "--config", echo)
    rows = [line.split() for line in out.splitlines()]
    assert code == 0
    assert ["EDGE_SERVE_CONFIG", echo, "flag"] in rows
    assert not [row for row in rows if row[:1] == ["MAX_TEXT_CHARS"]]
    assert ["slots", "3", "entry", echo] in rows
    assert len(run("config", "--config", echo, "--all")[1]) > 2 * len(out)


def test_models_may_be_named_one_after_the_other(run: Run, echo: str) -> None:
    code, out, _ = run("check", "--config", echo, "--models", "echo/embed", "--models", "echo/chat")
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()[1:3]] == ["echo/embed", "echo/chat"]


# options of the command, entries of the catalog -> what check says
HOPELESS: list[tuple[list[str], str, str]] = [
    ([], "{name: a, task: chat, engine: remote, options: {base_url: 'http://h/v1', verify: /no}}",
     "a: options.verify: /no cannot be read: No such file"),
    ([], "{name: a, task: chat, engine: command, options: {command: 'no-program {port}'}}",
     "a: options.command: there is no program 'no-program'"),
    ([], "{name: a, task: chat, engine: no_module_for_test.Engine}",
     "a: engine: no Python module 'no_module_for_test' is found"),
    ([], "{name: a, task: embed, source: 'file:/nowhere'}",
     "a: /nowhere does not exist; correct source in its entry"),
    (["--device", "cuda:7"], "{name: a, task: chat, engine: echo}",
     "a: device: cuda:7 is not there"),
    (["--host", "192.0.2.1"], "{name: a, task: chat, engine: echo}",
     "cannot listen on 192.0.2.1:0: Cannot assign requested address"),
]  # fmt: skip


@pytest.mark.parametrize(("arguments", "entry", "message"), HOPELESS)
def test_check_fails_for_what_a_start_would_fail_for_on_this_box(
    arguments: list[str], entry: str, message: str, run: Run, tmp_path: Path
) -> None:
    file = tmp_path / "own.yaml"
    file.write_text(f"models: [{entry}]")
    os.environ.update(API_KEYS="0123456789abcdef", PORT="0")
    code, out, err = run("check", "--config", str(file), *arguments)
    assert code == 1
    assert f"edge-serve: {message}" in err
    assert "ok" not in out.splitlines()


def test_check_fails_for_models_that_are_not_here_and_will_not_be_fetched(run: Run) -> None:
    os.environ.update(AUTO_DOWNLOAD_MODELS="0", MODELS="openai/whisper-base", PORT="0")
    code, _, err = run("check")
    assert code == 1
    assert "openai/whisper-base: not pulled yet; run: edge-serve pull openai/whisper-base" in err


def test_check_on_a_box_that_serves_already_is_no_failure(run: Run, echo: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as serving:
        port = str(serving.getsockname()[1])
        code, out, _ = run("check", "--config", echo, "--port", port)
    assert code == 0
    assert out.splitlines()[-2:] == [
        f"127.0.0.1:{port} is in use now, perhaps by a running edge-serve: see edge-serve status",
        "ok",
    ]


def test_models_lists_the_catalog(run: Run) -> None:
    code, out, _ = run("models")
    assert code == 0
    shown = {line.split()[0] for line in out.splitlines()[1:]}
    assert shown == set(catalog.load(None).models)


def test_aliases_are_shown_and_a_name_twice_is_refused(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "own.yaml"
    entry = "{name: NAME, task: chat, engine: echo, aliases: [gpt-4o]}"
    file.write_text(f"models: [{entry.replace('NAME', 'a')}, {entry.replace('NAME', 'b')}]")
    for command in (["check", "--models", "a"], ["models"]):
        code, out, _ = run(*command, "--config", str(file))
        assert code == (0 if "check" in command else 78)
        assert ("a is also called gpt-4o" in out) is ("check" in command)
    code, _, err = run("check", "--config", str(file))
    assert code == 78
    assert "b: aliases: 'gpt-4o' is a name of a already" in err


def test_check_says_which_models_wait_to_be_asked_for(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "own.yaml"
    waits = "{name: a, task: chat, engine: echo, load: on_demand}"
    file.write_text(f"models: [{waits}, {{name: b, task: chat, engine: echo}}]")
    code, out, _ = run("check", "--config", str(file))
    said = [line for line in out.splitlines() if line.endswith("when somebody asks for it")]
    assert (code, said) == (0, ["a is loaded when somebody asks for it"])


def test_options_may_stand_before_the_command(run: Run, echo: str) -> None:
    code, out, _ = run("--config", echo, "check")
    assert code == 0
    assert "echo/embed" in out


def test_pull_of_a_model_without_files_is_done_at_once(run: Run, echo: str) -> None:
    code, out, _ = run("pull", "--config", echo, "echo/chat")
    assert (code, out) == (0, "echo/chat: ready in no files\n")


REPORT = {
    "status": "degraded",
    "supervisor": {"pid": 1, "rss_mb": 20.5, "cpu_percent": 0.1},
    "frontend": {"pid": 2, "state": "ready"},
    "models": [
        {
            "name": "a",
            "state": "ready",
            "replicas": [{"pid": 3, "state": "ready", "device": "cpu"}],
        },
        {"name": "b", "state": "failed", "reason": "not pulled yet", "replicas": []},
    ],
}


@pytest.fixture
def answer() -> Iterator[tuple[str, dict[str, Any]]]:
    """A server that answers every GET with one JSON body: its URL, and the body to change."""
    body: dict[str, Any] = {}

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if body.get("status") == "ok" else 503)
            self.end_headers()
            self.wfile.write(json.dumps(body).encode())

        def log_message(self, *_args: Any) -> None:
            return

    server = HTTPServer(("127.0.0.1", 0), Answer)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", body
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def silent_process() -> Iterator[str]:
    """The URL of a server that has no line of any process."""

    class Nothing(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_args: Any) -> None:
            return

    with HTTPServer(("127.0.0.1", 0), Nothing) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_a_process_that_has_said_nothing_is_told_of_beside_the_output(
    run: Run, silent_process: str
) -> None:
    assert run("logs", "chat-1", "--url", silent_process) == (
        0,
        "",
        "chat-1 has said nothing yet\n",
    )
    code, out, err = run("logs", "chat-1", "--url", silent_process, "--json")
    assert (code, json.loads(out)["lines"], err) == (0, [], "")


def test_status_shows_every_process_and_fails_unless_all_is_well(
    run: Run, answer: tuple[str, dict[str, Any]]
) -> None:
    url, body = answer
    body.update(REPORT)
    code, out, _ = run("status", "--url", url)
    lines = out.splitlines()
    assert (code, lines[0]) == (1, f"{url}: degraded")
    assert [line.split()[0] for line in lines[2:]] == ["supervisor", "frontend", "a", "b"]
    assert lines[4].split() == ["a", "ready", "3", "cpu"]
    assert lines[5].endswith("not pulled yet")

    body["status"] = "ok"
    os.environ["PORT"] = url.rpartition(":")[2]
    assert run("status")[0] == 0


def test_status_says_of_a_model_that_waits_to_be_asked_for_that_it_is_unloaded(
    run: Run, answer: tuple[str, dict[str, Any]]
) -> None:
    url, body = answer
    ended = {"state": "stopped", "reason": "exited with status 0", "device": "cpu"}
    never_loaded = {"name": "b", "state": "unloaded", "replicas": [{"state": "stopped"}]}
    models = [{"name": "a", "state": "unloaded", "replicas": [ended]}, never_loaded]
    body.update(status="ok", models=models)
    code, out, _ = run("status", "--url", url)
    rows = [line.split() for line in out.splitlines()[2:]]
    assert (code, rows) == (0, [["a", "unloaded", "cpu"], ["b", "unloaded"]])


def test_status_as_json_is_health_with_its_address(
    run: Run, answer: tuple[str, dict[str, Any]]
) -> None:
    url, body = answer
    body.update(REPORT)
    code, out, _ = run("status", "--json", "--url", url)
    assert (code, json.loads(out)) == (1, {"url": url, **REPORT})


def test_check_as_json_tells_models_warnings_and_problems(run: Run, echo: str) -> None:
    os.environ.update(PORT="0", MAX_CONCURRENT="1", MAX_QUEUE_SIZE="7", API_KEYS="0123456789ab")
    code, out, err = run("check", "--json", "--config", echo, "--host", "192.0.2.1")
    found = json.loads(out)
    assert (code, err) == (1, "")
    assert "MAX_CONCURRENT=1 holds each model" in " ".join(found.pop("warnings"))
    assert found == {
        "ok": False,
        "models": [
            {
                "name": name,
                "task": task,
                "engine": "echo",
                "device": "cpu",
                "replicas": 1,
                "max_replicas": 1,
                "slots": 1 if task == "embed" else 3,
                "queue_limit": 7,
                "load": "always",
                "path": None,
                "missing": None,
                "memory_mb": None,
                "memory_measured": False,
            }
            for name, task in [("echo/chat", "chat"), ("echo/embed", "embed")]
        ],
        "notes": [],
        "problems": [
            "cannot listen on 192.0.2.1:0: Cannot assign requested address; choose another with "
            "--host and --port"
        ],
    }


def test_models_as_json_tell_what_is_known_of_each(run: Run, echo: str) -> None:
    code, out, _ = run("models", "--json", "--config", echo)
    found = {one["name"]: one for one in json.loads(out)["models"]}
    assert code == 0
    assert found["echo/chat"].pop("options")["word_ms"] == {"value": 0.0, "from": "default"}
    assert found["echo/chat"] == {
        "name": "echo/chat",
        "aliases": [],
        "task": "chat",
        "engine": "echo",
        "engine_why": None,
        "device": "cpu",
        "from": {"engine": "entry", "device": "auto"},
        "capabilities": ["chat-completion"],
        "source": None,
        "bytes": None,
        "memory_mb": None,
        "pulled": True,
        "served": True,
        "description": "",
    }
    assert found["openai/whisper-base"]["bytes"] == 147_882_941
    assert not found["openai/whisper-base"]["served"]


def test_models_as_json_tell_where_a_value_comes_from(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "own.yaml"
    file.write_text(
        "models: [{name: a, task: rerank, engine: torch, device: cpu, hf_repo_id: a/b,"
        " options: {precision: bf16}}, {name: b, task: chat, engine: my.Own, options: {x: 1}}]"
    )
    monkeypatch.setenv("MODEL_DEVICE", "cpu")
    _, out, _ = run("models", "--json", "--config", str(file))
    found = {one["name"]: one for one in json.loads(out)["models"]}
    assert found["a"]["from"] == {"engine": "entry", "device": "entry"}
    assert found["a"]["options"] == {
        "precision": {"value": "bf16", "from": "entry"},
        "truncate": {"value": None, "from": "default"},
    }
    assert found["a"]["source"] == "hf:a/b"
    assert (found["b"]["device"], found["b"]["from"]["device"]) == ("cpu", "MODEL_DEVICE")
    assert found["b"]["options"] == {"x": {"value": 1, "from": "entry"}}


def test_pull_as_json_names_what_is_here_and_what_is_not(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "own.yaml"
    entries = "{name: a, task: chat, engine: echo}, {name: b, task: chat, source: 'file:/nowhere'}"
    file.write_text(f"models: [{entries}]")
    code, out, err = run("pull", "--json", "--config", str(file))
    assert (code, err) == (1, "")
    assert json.loads(out) == {
        "ok": False,
        "models": [
            {"name": "a", "path": None, "error": None},
            {
                "name": "b",
                "path": None,
                "error": "/nowhere does not exist; correct source in its entry",
            },
        ],
    }


def test_stop_where_nothing_runs_says_so_and_is_no_failure(run: Run) -> None:
    code, out, _ = run("stop", "--port", "9123")
    assert code == 0
    assert out.startswith("no edge-serve of this user runs on port 9123 (a service: systemctl")
    code, out, _ = run("stop", "--port", "9123", "--json")
    assert (code, json.loads(out)) == (0, {"stopped": False, "pid": None, "port": 9123})


def test_status_of_something_else_or_of_nothing_is_one_line(
    run: Run, answer: tuple[str, dict[str, Any]]
) -> None:
    url, body = answer
    code, _, err = run("status", "--url", url)
    assert (code, err.count("\n")) == (1, 1)
    assert "is not edge-serve; name another with --url" in err
    code, _, err = run("smoke", "--url", url)
    assert (code, err.count("\n")) == (1, 1)
    assert "is not edge-serve; name another with --url" in err
    body["data"] = [{"id": "gpt"}]
    assert (
        "does not say what its models can do; it is not edge-serve" in run("smoke", "--url", url)[2]
    )
    for command in ("status", "smoke", "chat"):
        assert run(command, "--url", "http://127.0.0.1:1/v1") == (
            1,
            "",
            "edge-serve: no edge-serve answers at http://127.0.0.1:1: Connection refused; "
            "start it, or name another with --port or --url\n",
        )


@pytest.mark.parametrize("url", ["localhost:8000", "http://[::1", "ftp://localhost"])
def test_an_address_that_is_none_is_answered_with_one(run: Run, url: str) -> None:
    for command in ("status", "smoke"):
        code, _, err = run(command, "--url", url)
        assert code == 1
        assert err == (
            f"edge-serve: no edge-serve answers at {url}: that is no address; write one such as "
            "http://127.0.0.1:8000 into --url\n"
        )


def test_http_where_https_is_meant_is_told_apart(run: Run, answer: tuple[str, Any]) -> None:
    url, _ = answer
    code, _, err = run("status", "--url", url.replace("http", "https"))
    assert code == 1
    assert "it does not speak https; write http:// in --url" in err


# --- the service ---------------------------------------------------------------------------------


def test_the_unit_names_this_checkout_and_fills_every_brace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(systemd_unit, "_account", lambda _needed: "DynamicUser=yes")
    os.environ["MODELS"] = "openai/whisper-base"
    text = systemd_unit.unit(settings.load(settings.Flags()), tmp_path / "models", [])
    lines = text.splitlines()
    assert f"ExecStart={sys.executable} -P -m supervisor.cli" in lines
    assert f"WorkingDirectory={ROOT}" in lines
    assert f"ReadOnlyPaths=-{tmp_path / 'models'}" in lines
    assert "Environment=MODELS=openai/whisper-base" in lines
    assert "RestartPreventExitStatus=78" in lines
    assert "IPAddressAllow=localhost" in lines
    assert "{" not in text


def test_a_service_that_pulls_has_a_folder_of_its_own_and_a_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(systemd_unit, "_account", lambda _needed: "DynamicUser=yes")
    given = settings.load(settings.Flags())
    closed = systemd_unit.unit(given, tmp_path, []).splitlines()
    pulling = systemd_unit.unit(given, tmp_path, [], pulls=True).splitlines()
    for line in ("Environment=HF_HUB_OFFLINE=1", "Environment=AUTO_DOWNLOAD_MODELS=0"):
        assert (line in closed, line in pulling) == (True, False)
    assert f"Environment=EDGE_SERVE_MODELS_DIR={tmp_path}" in closed
    assert "StateDirectory=edge-serve" in closed
    assert "Environment=EDGE_SERVE_MODELS_DIR=%S/edge-serve-models" in pulling
    assert "StateDirectory=edge-serve edge-serve-models" in pulling
    assert "IPAddressAllow=any" in pulling
    assert not any(str(tmp_path) in line or "{" in line for line in pulling)


def test_secrets_are_handed_to_the_service_by_systemd(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(systemd_unit, "_account", lambda _needed: "DynamicUser=yes")
    lines = systemd_unit.unit(settings.load(settings.Flags()), tmp_path, []).splitlines()
    assert "LoadCredential=api_keys:edge-serve.api_keys" in lines
    os.environ.update(
        API_KEYS_FILE="/etc/edge-serve/keys",
        SSL_CERTFILE="/etc/ssl/box.pem",
        SSL_KEYFILE="/etc/ssl/box.key",
        TRUSTED_HOSTS="box.lan,nas",
        OLLAMA_API="1",
        OLLAMA_PORT="11434",
    )
    lines = systemd_unit.unit(settings.load(settings.Flags()), tmp_path, []).splitlines()
    assert "LoadCredential=api_keys:/etc/edge-serve/keys" in lines
    assert "LoadCredential=ssl_keyfile:/etc/ssl/box.key" in lines
    assert "Environment=SSL_KEYFILE=%d/ssl_keyfile" in lines
    assert "Environment=TRUSTED_HOSTS=box.lan,nas" in lines
    assert "Environment=OLLAMA_API=1" in lines
    assert "Environment=OLLAMA_PORT=11434" in lines


@pytest.mark.parametrize(("version", "shown"), [(252, False), (254, True)])
def test_keys_that_the_systemd_here_does_not_know_are_left_out(
    version: int, shown: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(systemd_unit, "_account", lambda _needed: "DynamicUser=yes")
    monkeypatch.setattr(systemd_unit, "_systemd_version", lambda: version)
    text = systemd_unit.unit(settings.load(settings.Flags()), tmp_path, [])
    assert ("RestartSteps=6" in text, "RestartMaxDelaySec=60" in text) == (shown, shown)


def test_a_service_for_the_network_names_who_may_connect(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(systemd_unit, "_account", lambda _needed: "DynamicUser=yes")
    wide = settings.load(settings.Flags(host="0.0.0.0"))
    with pytest.raises(ConfigError, match="name the network with --allow"):
        systemd_unit.unit(wide, tmp_path, [])
    text = systemd_unit.unit(wide, tmp_path, ["192.168.1.0/24"])
    assert "IPAddressAllow=localhost 192.168.1.0/24" in text


def test_a_closed_checkout_is_served_as_its_owner_and_never_as_root(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    owners = iter([0, os.getuid() or 1])
    monkeypatch.setattr(systemd_unit, "ROOT", SimpleNamespace(stat=lambda: _Owned(next(owners))))
    monkeypatch.setattr(pwd, "getpwuid", lambda _uid: SimpleNamespace(pw_name="alice"))
    with pytest.raises(ConfigError, match=r"closed/models is closed to other users, .* /opt"):
        systemd_unit._account([closed / "models"])
    assert systemd_unit._account([closed / "models"]) == "User=alice"
    assert systemd_unit._account([Path("/usr/bin")]) == "DynamicUser=yes"


class _Owned:
    def __init__(self, uid: int) -> None:
        self.st_uid = uid
