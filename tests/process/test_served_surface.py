"""What clients, dashboards, scripts and engines of users rely on, held against a whole server.

tests/surface.yaml has the names. The server is started by its command line, as users start it, and
asked over HTTP and by the other commands: nothing of ours is imported.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx2
import pytest
import yaml

from tests.ports import free_port
from tests.process.box import wait_until, whole

ROOT = Path(__file__).parents[2]
SURFACE: dict[str, Any] = yaml.safe_load((ROOT / "tests" / "surface.yaml").read_text())
FACES: dict[str, dict[str, Any]] = SURFACE["faces"]
JSON: dict[str, list[str]] = SURFACE["command_json"]
METRICS: dict[str, dict[str, Any]] = SURFACE["metrics"]
TASKS = ("chat", "embed", "rerank", "speech", "speak")
ECHO = [{"name": f"s/{task}", "task": task, "engine": "echo"} for task in TASKS]
RECORDING = ("a.wav", b"nobody listens to this")
START_S = 60.0
KEY = "0123456789abcdef0123456789abcdef"


class Server(NamedTuple):
    """A running edge-serve: how to ask it, and where its log and its settings are."""

    client: httpx2.Client
    port: int
    log: Path
    environment: dict[str, str]


def command(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-P", "-m", "supervisor.cli", *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@contextlib.contextmanager
def running(folder: Path, key: str = "", **environment: str) -> Iterator[Server]:
    """What serves ``own.yaml`` of ``folder``, ready; it ends by SIGTERM with status 0. It is asked
    with ``key``."""
    known = {*SURFACE["variables"], *SURFACE["replaced_variables"]}
    env = {name: value for name, value in os.environ.items() if name not in known}
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="es-") as run_dir, contextlib.ExitStack() as open_:
        env |= {
            "PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)]),
            "EDGE_SERVE_RUN_DIR": run_dir,
            "EDGE_SERVE_MODELS_DIR": str(folder / "models"),
            "EDGE_SERVE_CONFIG": str(folder / "own.yaml"),
            "PORT": str(port),
            **environment,
        }
        log = open_.enter_context((folder / "log").open("wb"))
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "supervisor.cli"],
            cwd=folder,
            env=env,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        headers = {"authorization": f"Bearer {key}"} if key else {}
        client = open_.enter_context(
            httpx2.Client(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=60)
        )
        try:
            wait_until(lambda: is_ready(client), START_S)
            yield Server(client, port, folder / "log", env)
            process.terminate()
            assert process.wait(timeout=START_S) == 0
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def is_ready(client: httpx2.Client) -> bool:
    try:
        return client.get("/readyz").status_code == 200
    except httpx2.TransportError:
        return False


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A model of each task, by the engine that only echoes; each has been asked once."""
    folder = tmp_path_factory.mktemp("served")
    (folder / "own.yaml").write_text(yaml.safe_dump({"models": ECHO}))
    with running(folder, LOG_FORMAT="json") as server:
        stream(server, "chat")
        for face in FACES.values():
            assert ask(server, face).status_code == 200
        assert speech(server).status_code == 200
        yield server


def ask(server: Server, face: dict[str, Any], **more: Any) -> httpx2.Response:
    """The request that the face is listed with, and ``more`` keys."""
    if "json" in face:
        return server.client.post(face["path"], json={**face["json"], **more})
    form = {**face["form"], **more}
    return server.client.post(face["path"], data=form, files={"file": RECORDING})


def speech(server: Server, **more: str) -> httpx2.Response:
    return server.client.post(
        "/v1/audio/speech", json={"model": "s/speak", "input": "hello there", **more}
    )


def stream(server: Server, face: str, **more: Any) -> list[dict[str, Any]]:
    """The events of its answer, `[DONE]` left out."""
    answer = ask(server, FACES[face], stream=True, **more)
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    return [json.loads(data) for data in re.findall(r"^data: (\{.*)$", answer.text, re.MULTILINE)]


def paths(value: Any, at: str = "") -> set[str]:
    """Where there is something in ``value``: ``a.b`` for keys, ``a[]`` for items."""
    found: set[str] = set()
    if isinstance(value, dict):
        for key, inner in value.items():
            path = f"{at}.{key}" if at else key
            found |= {path} | paths(inner, path)
    elif isinstance(value, list):
        for inner in value:
            found |= paths(inner, f"{at}[]")
    return found


def missing(expected: list[str], value: Any) -> set[str]:
    return set(expected) - paths(value)


# --- answers -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FACES)
def test_an_answer_has_its_keys(name: str, server: Server) -> None:
    answer = ask(server, FACES[name])
    assert answer.headers["x-request-id"]
    assert missing(FACES[name]["answer"], answer.json()) == set()


@pytest.mark.parametrize(
    ("name", "key"), [(name, key) for name, face in FACES.items() for key in face["takes"]]
)
def test_a_key_of_a_request_takes_its_value(name: str, key: str, server: Server) -> None:
    answer = ask(server, FACES[name], **{key: FACES[name]["takes"][key]})
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("name", FACES)
def test_harmless_keys_may_hold_anything(name: str, server: Server) -> None:
    value = {"a": [1]} if "json" in FACES[name] else "anything"
    answer = ask(server, FACES[name], **dict.fromkeys(FACES[name]["harmless"].split(), value))
    assert answer.status_code == 200, answer.text


def test_the_chunks_of_a_chat_have_their_keys(server: Server) -> None:
    chunks = stream(server, "chat", stream_options={"include_usage": True})
    assert missing(SURFACE["chat_chunks"], chunks) == set()


def test_a_chat_that_streams_ends_with_done(server: Server) -> None:
    assert ask(server, FACES["chat"], stream=True).text.endswith("data: [DONE]\n\n")


def test_a_transcript_that_streams_has_its_events(server: Server) -> None:
    events = stream(server, "transcription", prompt="hello there")
    assert {event["type"] for event in events} == set(SURFACE["transcript_events"])


@pytest.mark.parametrize(("form", "content_type"), SURFACE["transcripts"].items())
def test_a_transcript_comes_as_text_too(form: str, content_type: str, server: Server) -> None:
    answer = ask(server, FACES["transcription"], response_format=form)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == f"{content_type}; charset=utf-8"


@pytest.mark.parametrize(("form", "content_type"), SURFACE["speech"].items())
def test_speech_comes_in_each_format(form: str, content_type: str, server: Server) -> None:
    answer = speech(server, response_format=form)
    assert (answer.status_code, answer.content) == (200, b"hello there")
    assert answer.headers["content-type"] == content_type


def test_speech_comes_as_events_too(server: Server) -> None:
    answer = speech(server, stream_format="sse")
    events = [json.loads(data) for data in re.findall(r"^data: (\{.*)$", answer.text, re.MULTILINE)]
    assert {event["type"] for event in events} == set(SURFACE["speech_events"])


# --- routes and errors ---------------------------------------------------------------------------


def test_the_description_has_every_route(server: Server) -> None:
    described = {
        f"{method.upper()} {path}"
        for path, methods in server.client.get("/openapi.json").json()["paths"].items()
        for method in methods
    }
    expected = {route.replace("org/chat", "{model}") for route in SURFACE["routes"]}
    assert expected - described == set()


CHAT = FACES["chat"]["json"]
# Code: how to be told it; the code of a worker, a queue or a connection takes a fault to be met.
REFUSALS: dict[str, dict[str, Any]] = {
    "invalid_value": {"json": {**CHAT, "temperature": 9}},
    "unsupported_parameter": {"json": {**CHAT, "custom_logit_processor": "x"}},
    "previous_response_not_found": {
        "url": "/v1/responses",
        "json": {"model": "s/chat", "input": "x", "previous_response_id": "resp_none"},
    },
    "model_not_found": {"json": {**CHAT, "model": "s/none"}},
    "not_found": {"url": "/made/up", "json": {}},
    "method_not_allowed": {"method": "GET"},
    "request_too_large": {"content": b'"' + b"x" * (21 << 20) + b'"'},
    "unsupported_media_type": {"content": b"{}", "headers": {"content-encoding": "br"}},
    "host_not_allowed": {"json": CHAT, "headers": {"host": "made.up"}},
    "uri_too_long": {"url": "/" + "x" * 60_000, "json": {}},
    "headers_too_large": {"json": CHAT, "headers": {"x-made-up": "x" * 70_000}},
}


@pytest.mark.parametrize("code", REFUSALS)
def test_a_refusal_has_its_code_status_and_type(code: str, server: Server) -> None:
    request = {"method": "POST", "url": "/v1/chat/completions"} | REFUSALS[code]
    if "content" in request:
        request["headers"] = {"content-type": "application/json"} | request.get("headers", {})
    answer = server.client.request(**request)
    expected = SURFACE["errors"][code]
    body = answer.json()
    assert (body["error"]["code"], answer.status_code) == (code, expected["status"])
    assert body["error"]["type"] == expected["type"]
    assert missing(SURFACE["error_body"], body) == set()
    assert answer.headers["x-request-id"]


@pytest.mark.parametrize("name", SURFACE["headers"])
def test_an_answer_has_our_headers(name: str, server: Server) -> None:
    if name == "a stream":
        answer = ask(server, FACES["chat"], stream=True)
    else:
        answer = server.client.request(*name.split())
    found = {header: answer.headers.get(header) for header in SURFACE["headers"][name]}
    assert found == SURFACE["headers"][name]


def test_a_request_keeps_the_id_that_its_client_gave(server: Server) -> None:
    answer = server.client.get("/livez", headers={"x-request-id": "mine-7"})
    assert answer.headers["x-request-id"] == "mine-7"


# --- reports -------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", SURFACE["reports"])
def test_a_report_has_its_keys(path: str, server: Server) -> None:
    answer = server.client.get(path)
    assert answer.status_code == 200
    assert missing(SURFACE["reports"][path], answer.json()) == set()


def test_health_tells_of_each_process_what_it_told(server: Server) -> None:
    health = wait_until(lambda: whole(server.client.get("/health").json()))
    processes = [health["frontend"]] + [
        replica for model in health["models"] for replica in model["replicas"]
    ]
    assert len(processes) == 1 + len(TASKS)
    assert [missing(SURFACE["process_report"], process) for process in processes] == [set()] * 6


def test_models_say_what_they_can_do_in_the_same_words(server: Server) -> None:
    listed = server.client.get("/v1/models").json()["data"]
    assert {one["id"]: one["capabilities"] for one in listed} == SURFACE["capabilities"]


@pytest.mark.parametrize("name", METRICS)
def test_a_metric_has_its_labels(name: str, server: Server) -> None:
    metric, text = METRICS[name], server.client.get("/metrics").text
    assert f"# TYPE {name} {metric['type']}\n" in text
    ends = ("_bucket", "_sum", "_count") if metric["type"] == "histogram" else ("",)
    for end in ends:
        series = re.findall(rf"^{name}{end}(?:\{{(.*)\}})? ", text, re.MULTILINE)
        assert series or "unseen" in metric, f"{name}{end}"
        labels = {label for one in series for label in re.findall(r"(\w+)=", one)}
        assert set(metric["labels"]) - labels == set() or not series
        assert labels - {*metric["labels"], "le"} == set()


def test_the_log_has_its_lines_and_their_fields(server: Server) -> None:
    whole = server.log.read_text().rpartition("\n")[0]
    said = [json.loads(line) for line in whole.splitlines()]
    for event, fields in SURFACE["log_lines"].items():
        lines = [line for line in said if line.get("event") == event]
        assert lines, event
        assert [set(fields) - line.keys() for line in lines] == [set()] * len(lines)


# --- commands ------------------------------------------------------------------------------------

# With the status that they end with on this server.
COMMANDS = {
    "models": (0, ["models"]),
    "check": (0, ["check"]),
    "pull": (0, ["pull"]),
    "status": (0, ["status"]),
    "ps": (0, ["ps"]),
    "load": (0, ["load", "s/chat", "--wait"]),
    "logs": (0, ["logs", "frontend", "-n", "5"]),
    "events": (0, ["events"]),
    "smoke": (0, ["smoke", "--models", "s/chat,s/embed,s/rerank,s/speak"]),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_prints_json_with_its_keys(name: str, server: Server) -> None:
    status, arguments = COMMANDS[name]
    ended = command(server.environment, *arguments, "--json")
    assert ended.returncode == status, ended.stderr
    assert missing(JSON[name], json.loads(ended.stdout)) == set()


def test_stop_prints_json_with_its_keys(server: Server, tmp_path: Path) -> None:
    elsewhere = {**server.environment, "EDGE_SERVE_RUN_DIR": str(tmp_path / "run")}
    ended = command(elsewhere, "stop", "--json")  # nobody runs there
    assert ended.returncode == 0, ended.stderr
    assert missing(JSON["stop"], json.loads(ended.stdout)) == set()


@pytest.mark.parametrize("name", SURFACE["bench_commands"])
def test_a_command_of_bench_has_its_options(name: str, server: Server) -> None:
    ended = command({**server.environment, "COLUMNS": "200"}, "bench", name, "--help")
    assert ended.returncode == 0, ended.stderr
    if "needs torch" in ended.stdout:
        pytest.skip("it shows its options where torch is installed")
    expected = {*SURFACE["bench_commands"][name], *SURFACE["bench_commands_more"].get(name, [])}
    assert expected - set(re.findall(r"--[a-z-]+|\b[A-Z_]+\b", ended.stdout)) == set()


# --- an engine of one's own ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server whose models are by the engines that docs/engines.md showed."""
    folder = tmp_path_factory.mktemp("own")
    for name, text in SURFACE["own_engine"].items():
        (folder / name).write_text(text)
    with running(folder, KEY, API_KEYS=f"laptop:{KEY}", EDGE_SERVE_API_KEY=KEY) as server:
        yield server


def say(server: Server, model: str, text: str, **more: Any) -> dict[str, Any]:
    body = {"model": model, "messages": [{"role": "user", "content": text}], **more}
    answer: dict[str, Any] = server.client.post("/v1/chat/completions", json=body).json()
    return answer


def test_the_engine_that_the_readme_showed_answers(own: Server) -> None:
    (choice,) = say(own, "me/shout", "hear me")["choices"]
    assert (choice["message"]["content"], choice["finish_reason"]) == ("HEAR ME", "stop")


def test_an_engine_of_ones_own_sees_how_to_answer_and_counts_tokens(own: Server) -> None:
    answer = say(own, "me/careful", "one two three", max_tokens=2)
    (choice,) = answer["choices"]
    assert (choice["message"]["content"], choice["finish_reason"]) == ("one two ", "length")
    assert (answer["usage"]["prompt_tokens"], answer["usage"]["completion_tokens"]) == (3, 2)
    (choice,) = say(own, "me/careful", "one two three", stop=["two"])["choices"]
    assert choice["message"]["content"] == "one "


# --- keys ----------------------------------------------------------------------------------------


def test_a_key_comes_in_either_header(own: Server) -> None:
    url = str(own.client.base_url)
    with httpx2.Client(base_url=url, timeout=60) as stranger:
        assert stranger.get("/livez").status_code == 200
        for headers in ({"authorization": f"Bearer {KEY}"}, {"x-api-key": KEY}):
            assert stranger.get("/v1/models", headers=headers).status_code == 200
        answer = stranger.get("/v1/models")
    expected = SURFACE["errors"]["invalid_api_key"]
    assert (answer.status_code, answer.json()["error"]["type"]) == (401, expected["type"])
    assert answer.json()["error"]["code"] == "invalid_api_key"
    for header, value in SURFACE["key_headers"].items():
        assert answer.headers[header] == value


def test_commands_send_the_key_of_their_environment(own: Server) -> None:
    assert command(own.environment, "status").returncode == 0
    without = {**own.environment, "EDGE_SERVE_API_KEY": ""}
    assert command(without, "status").returncode == 1
