"""A small OpenAI-compatible server that says what it was told, and misbehaves on demand.

    python tests/openai_server.py --port PORT [--key KEY] [--owner NAME] [--fails TEXT] [--child]
                                  [--daemon]

The last message of a chat may begin with a directive; all after it is echoed, word by word:

    /cut N TEXT...          close the connection after N words, without an end
    /slow MS TEXT...        wait so long before each word
    /status CODE TEXT...    refuse with this status and TEXT
    /uncounted TEXT...      send no usage
    /rude TEXT...           close the connection after the last word and its reason
    /lingering TEXT...      send nothing after them and keep the connection open
    /whole TEXT...          no stream, but one object
    /garbage                an answer that is none
    /hang                   no answer at all, from now on to anyone
    /call NAME ARGUMENTS    call a tool

Prompts of completions are echoed too; a gap is answered with what is around it.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

GOING_ON = threading.Event()
GOING_ON.set()
LEFT_OPEN = threading.Event()  # never set: a client has to leave first
ARGUMENTS = argparse.Namespace()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self._may_ask():
            model = {"id": "told", "max_model_len": 99, "owned_by": ARGUMENTS.owner}
            routes = {
                "/health": {},
                "/v1/models": {"data": [model]},
                "/props": {"chat_template_caps": {"supports_tools": False}},
            }
            found = routes.get(self.path)
            self._send(404 if found is None else 200, found)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        if not self._may_ask():
            return
        if self.path == "/v1/chat/completions":
            self._chat(json.loads(body))
        elif self.path == "/v1/completions":
            self._complete(json.loads(body))
        elif self.path == "/infill":
            self._fill(json.loads(body))
        elif self.path == "/v1/embeddings":
            texts = json.loads(body)["input"]
            rows = [{"embedding": [len(text), 1.0], "index": at} for at, text in enumerate(texts)]
            self._send(200, {"data": rows[::-1]})
        elif b"verbose_json" in body:
            self._send(400, {"error": {"message": "verbose_json is not served"}})
        else:
            self._send(200, {"text": "heard", "usage": {"type": "duration", "seconds": 2}})

    def log_message(self, *_: Any) -> None:
        print("asked", self.path, flush=True)

    def _may_ask(self) -> bool:
        GOING_ON.wait()
        wanted = ARGUMENTS.key
        if wanted is None or self.headers.get("authorization") == f"Bearer {wanted}":
            return True
        self._send(401, {"error": {"message": f"wrong key {self.headers.get('authorization')}"}})
        return False

    def _chat(self, asked: dict[str, Any]) -> None:
        said = asked["messages"][-1]["content"]
        directive, _, rest = said.partition(" ") if said.startswith("/") else ("", "", said)
        print("told", said, flush=True)
        if directive == "/status":
            status, _, message = rest.partition(" ")
            self._send(int(status), {"error": {"message": message}}, {"retry-after": "7"})
        elif directive == "/garbage":
            self._send(200, "what?")
        elif directive == "/whole":
            choice = {"message": {"content": rest}, "finish_reason": "stop"}
            self._send(200, {"object": "chat.completion", "choices": [choice]})
        elif directive == "/call":
            self._call(*rest.split(" ", 1))
        elif directive == "/hang":
            GOING_ON.clear()
            GOING_ON.wait()
        else:
            self._stream(directive, rest, asked["max_tokens"])

    def _call(self, name: str, arguments: str) -> None:
        half = len(arguments) // 2
        opened = {"index": 0, "id": "c1", "function": {"name": name, "arguments": ""}}
        pieces = [arguments[:half], arguments[half:]]
        added = [{"index": 0, "function": {"arguments": piece}} for piece in pieces]
        self._all(
            *({"choices": [{"delta": {"tool_calls": [one]}}]} for one in (opened, *added)),
            {"choices": [{"delta": {}, "finish_reason": "tool_calls"}]},
        )

    def _complete(self, asked: dict[str, Any]) -> None:
        prompts = asked["prompt"] if isinstance(asked["prompt"], list) else [asked["prompt"]]
        texts = [{"index": at, "text": text} for at, text in enumerate(prompts)]
        self._all({"choices": [{**text, "finish_reason": "stop"} for text in texts]})

    def _fill(self, asked: dict[str, Any]) -> None:
        text = f"{asked['input_prefix']}|{asked['input_suffix']}"
        self._all(
            {"index": 0, "content": text, "stop": False},
            {"index": 0, "content": "", "stop": True, "stop_type": "eos", "tokens_predicted": 1},
        )

    def _all(self, *events: dict[str, Any]) -> None:
        self._begin()
        for event in events:
            self._event(event)
        self._chunk(b"data: [DONE]\n\n")
        self._chunk(b"")

    def _begin(self) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()

    def _stream(self, directive: str, text: str, limit: int) -> None:
        argument, _, rest = text.partition(" ")
        words = (rest if directive in ("/cut", "/slow") else text).split()
        self._begin()
        for at, word in enumerate(words[:limit]):
            if directive == "/cut" and at == int(argument):
                self.close_connection = True
                return
            if directive == "/slow":
                time.sleep(int(argument) / 1000)
            self._event({"choices": [{"delta": {"content": f" {word}"}, "finish_reason": None}]})
        finish = "length" if len(words) > limit else "stop"
        self._event({"choices": [{"delta": {}, "finish_reason": finish}]})
        if directive == "/lingering":
            LEFT_OPEN.wait()
        if directive in ("/rude", "/lingering"):
            self.close_connection = True
            return
        if directive != "/uncounted":
            counts = {"prompt_tokens": len(words), "completion_tokens": min(limit, len(words))}
            self._event({"choices": [], "usage": counts})
        self._chunk(b"data: [DONE]\n\n")
        self._chunk(b"")

    def _event(self, event: dict[str, Any]) -> None:
        self._chunk(b"data: " + json.dumps(event).encode() + b"\n\n")

    def _chunk(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))

    def _send(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: Any) -> None:
        """A client that leaves is nothing to print a traceback for."""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--key", help="the only key that is let in")
    parser.add_argument("--owner", default="", help="whose the model is")
    parser.add_argument("--fails", help="say this and end with status 7")
    parser.add_argument("--child", action="store_true", help="have a child that outlives us")
    parser.add_argument("--daemon", action="store_true", help="and one in a session of its own")
    parser.parse_args(namespace=ARGUMENTS)
    if ARGUMENTS.fails:
        sys.exit(print(ARGUMENTS.fails, flush=True) or 7)
    if ARGUMENTS.child:
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1e6)", "left-behind"])
    if ARGUMENTS.daemon:
        sleep = [sys.executable, "-c", "import time; time.sleep(1e6)", "left-behind"]
        subprocess.run(["setsid", "--fork", *sleep], check=True)
    print("listening", os.getpid(), flush=True)
    Server(("127.0.0.1", ARGUMENTS.port), Handler).serve_forever()


if __name__ == "__main__":
    main()
