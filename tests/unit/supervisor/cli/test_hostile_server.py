"""Commands at a server that answers what it likes: a line, and nothing that terminals obey."""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.unit.supervisor.cli.conftest import Run

EVIL = "\x1b]0;owned\x07\x1b[2J\x9b1m\r\n\u202eevil"
Serve = Callable[[bytes], str]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """A server that answers everything with one text: its URL."""
    told = [b""]

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("content-length") or 0))
            self.send_response(403 if told[0].startswith(b'{"error": {') else 200)
            self.send_header("content-length", str(len(told[0])))
            self.end_headers()
            self.wfile.write(told[0])

        do_POST = do_PATCH = do_DELETE = do_GET  # noqa: N815

        def log_message(self, *_args: Any) -> None:
            return

    server = HTTPServer(("127.0.0.1", 0), Answer)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()

    def answer(text: bytes) -> str:
        told[0] = text
        return f"http://127.0.0.1:{server.server_port}"

    yield answer
    server.shutdown()
    thread.join()
    server.server_close()


SUMS = ("requests", "failed", "prompt_tokens", "cached_tokens", "completion_tokens")
NUMBERS = dict.fromkeys((*SUMS, "audio_s", "texts", "work_s"), 1)
LIMITS = ("requests_per_min", "tokens_per_min", "tokens_per_day", "concurrent")
KEY = {"name": EVIL, "role": EVIL, "weight": 1, "priority": 0, "changeable": True, "models": [EVIL]}
MODEL = {"id": EVIL, "state": EVIL, "last_error": EVIL, "device": EVIL, "drained": False}
LISTS = ("added", "removed", "settings", "restart", "downtime", "left", "fetched")
RELOADED = {name: [EVIL] for name in (*LISTS, "warnings")}
REPLICA = {"pid": 3, "state": EVIL, "device": EVIL, "reason": EVIL, "stage": EVIL}
HEALTH = {"status": EVIL, "error": "", "models": [{"name": EVIL, "replicas": [REPLICA]}]}
EVENT = {"seq": 1, "time": 0, "type": EVIL, "model": EVIL, EVIL: EVIL}
INCIDENT = {"id": EVIL, "time": 0, "requests": 1, "told": EVIL}
FILE = {
    "told": EVIL,
    "time_s": 0,
    "versions": {"python": EVIL},
    "requests": [{"at_s": 0, "model": EVIL, "path": EVIL, "status": 503, "error": EVIL}],
    "events": [{"at_s": 0, "type": EVIL, "model": EVIL, "facts": {EVIL: EVIL}}],
    "stacks": {EVIL: [EVIL]},
    "machine": {"kernel_log": {"readable": False, "why": EVIL}},
    "missing": {EVIL: EVIL},
}
USAGE = {"by": ["key", "model"], "rows": [{**NUMBERS, "key": EVIL, "model": EVIL}]}
KEYS = {"keys": [KEY | dict.fromkeys(LIMITS, 0)], "why_not_changeable": EVIL}
CHUNK = {"choices": [{"delta": {"content": EVIL}}]}
REFUSED = {"error": {"message": EVIL}}

OBEYED: list[tuple[list[str], Any]] = [
    (["status"], HEALTH),
    (["status"], HEALTH | {"error": EVIL}),
    (["top", "--once"], HEALTH),
    (["ps"], {"models": [MODEL]}),
    (["load", "m"], MODEL),
    (["unload", "m"], MODEL),
    (["drain", "m"], MODEL),
    (["drain", "--all"], {"models": [MODEL]}),
    (["logs"], EVIL),
    (["logs", "-f"], f"data: {json.dumps({'line': EVIL})}\n\n"),
    (["events"], f"data: {json.dumps(EVENT)}\n\n"),
    (["incidents"], {"incidents": [INCIDENT]}),
    (["incidents", "x"], FILE),
    (["usage"], USAGE),
    (["usage", "--csv"], EVIL),
    (["keys", "list"], KEYS),
    (["keys", "add", "k"], {"name": EVIL, "secret": EVIL}),
    (["keys", "set", "k"], {"name": EVIL, "secret": None}),
    (["update", "m"], {**RELOADED, "updated": {EVIL: [EVIL]}, "adjusted": {EVIL: [EVIL]}}),
    (["smoke"], {"data": [{"id": EVIL, "capabilities": [EVIL, "embed"]}], **REFUSED}),
    *((command, REFUSED) for command in (["status"], ["ps"], ["events"], ["logs"], ["chat"])),
]


def as_text(told: Any) -> bytes:
    return told.encode() if isinstance(told, str) else json.dumps(told).encode()


@pytest.mark.parametrize("told", OBEYED, ids=[" ".join(one) for one, _ in OBEYED])
@pytest.mark.parametrize("how", [[], ["--json"]])
def test_a_terminal_is_told_nothing_but_text(
    told: tuple[list[str], Any], how: list[str], serve: Serve, run: Run
) -> None:
    arguments, answer = told
    if how and arguments[0] in ("chat", "usage"):
        pytest.skip("has no JSON, or CSV in its place")
    _, out, err = run(*arguments, *how, "--url", serve(as_text(answer)))
    said = out + err
    assert "evil" in said
    assert "Traceback" not in said
    assert all(one.isprintable() for one in said.split("\n"))


def test_what_a_model_says_is_nothing_but_text(
    serve: Serve, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    import io

    monkeypatch.setattr("sys.stdin", io.StringIO("hello\n"))
    lists = json.dumps({"data": [{"id": "m", "capabilities": ["chat"]}]})
    monkeypatch.setattr("supervisor.cli.conversation.chat_model", lambda *_: "m")
    url = serve(f"{lists}\ndata: {json.dumps(CHUNK)}\n\ndata: [DONE]\n\n".encode())
    code, out, err = run("chat", "m", "--url", url)
    assert (code, err) == (0, "")
    assert out.endswith("evil\n")
    assert all(one.isprintable() for one in out.split("\n"))


COMMANDS = (
    *(["status"], ["ps"], ["top", "--once"], ["events"], ["logs", "-f"], ["incidents"]),
    *(["incidents", "last"], ["incidents", "x"], ["usage"], ["keys", "list"]),
    *(["keys", "add", "k"], ["load", "m"], ["unload", "m"], ["drain", "m"], ["drain", "--all"]),
    *(["update", "m"], ["rollback", "m"], ["smoke"], ["chat"]),
)
DEEP = "[" * 100_000 + "]" * 100_000
NO_ANSWERS: dict[str, str] = {
    "numbers where lists belong": '{"models": 5, "supervisor": 3, "keys": 5, "rows": 5, "data": 5}',
    "lists of numbers": '{"models": [5], "incidents": [5], "keys": [5], "rows": [5], "data": [5]}',
    "words where times belong": '{"models": [], "supervisor": {"uptime_s": "long"}, "name": 1,'
    ' "incidents": [{"id": "x", "time": "now", "requests": 1, "told": ""}]}',
    "a time of no calendar": '{"models": [{"name": "m", "replicas": [{"uptime_s": 1e300}]}],'
    ' "incidents": [{"id": "x", "time": 1e300, "requests": 1, "told": ""}]}',
    "not a number": '{"models": [{"queue": NaN}]}',
    "a number for all": "3",
    "nothing": "",
    "something deep": f'{{"models": {DEEP}, "x": {DEEP}}}',
    "events of no kind": f"data: 3\n\ndata: {DEEP}\n\n",
    "events of no time": 'data: {"seq": 1, "type": "x", "time": "now"}\n\n',
}
EVERYWHERE = [*NO_ANSWERS.values()][:2]


@pytest.mark.parametrize("text", NO_ANSWERS.values(), ids=NO_ANSWERS.keys())
def test_what_is_no_answer_of_an_edge_serve_is_a_line(text: str, serve: Serve, run: Run) -> None:
    url = serve(text.encode())
    for command in COMMANDS if text in EVERYWHERE else COMMANDS[:7]:
        code, out, err = run(*command, "--url", url)
        assert code in (0, 1), command
        assert "Traceback" not in out + err
        assert err.count("\n") == code, command


def test_a_file_that_unpacks_to_gigabytes_is_refused_before(
    tmp_path: Path, serve: Serve, run: Run
) -> None:
    bomb = gzip.compress(bytes(65 << 20), 1)
    file = tmp_path / "bomb.json.gz"
    file.write_bytes(bomb)
    why = "is no file of an incident, or is broken: it holds more than 64 MiB\n"
    assert run("incidents", str(file)) == (1, "", f"edge-serve: {file} {why}")
    assert run("incidents", "x", "--url", serve(bomb)) == (1, "", f"edge-serve: x {why}")
