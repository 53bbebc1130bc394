"""A small server that speaks the Hugging Face hub's API, for repositories that are folders here.

    python tests/fake_hub.py --port PORT FOLDER      FOLDER/<publisher>/<repository>/<files>

Set HF_ENDPOINT to its address. It can be told to want a token, to break off in the middle of a file
as a bad line does, and to hold a download up.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import select
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

# Files from this size on are kept as the hub keeps large ones: with a SHA-256 for their name.
LARGE_BYTES = 4096
COMMIT = "c0ffee" * 6 + "c0ff"
_CHUNK_BYTES = 1 << 16
_LOOK_S = 0.02


class FakeHub:
    """Owns the server, from `running` to the end of its block."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.token: str | None = None  # that every request has to bring
        self.breaks_after: int | None = None  # bytes of one file, once
        self.corrupt: set[str] = set()  # files of which other bytes are sent than are promised
        self.chunk_s = 0.0  # before each 64 KiB
        self.holds_at: int | None = None  # byte of each file, until this is None again
        self.sent: list[tuple[str, int, int]] = []  # file, from which byte, how many
        self.asked: list[str] = []

    @contextlib.contextmanager
    def running(self, port: int = 0) -> Iterator[str]:
        """The address, while it is served."""
        server = ThreadingHTTPServer(("127.0.0.1", port), self._handler())
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            server.server_close()

    def put(self, repo: str, files: Mapping[str, bytes | Path]) -> None:
        """Publish a repository; of a path its file is linked."""
        for name, content in files.items():
            file = self.folder / repo / name
            file.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(content, bytes):
                file.write_bytes(content)
            else:
                file.symlink_to(content)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        hub = self

        class Handler(_Handler):
            its = hub

        return Handler

    def files_of(self, repo: str) -> list[Path]:
        place = self.folder / repo
        return sorted(path for path in place.rglob("*") if path.is_file())

    def listed(self, repo: str) -> list[dict[str, Any]]:
        """The files of a repository with their sizes and digests."""
        return [self._entry(self.folder / repo, path) for path in self.files_of(repo)]

    def _entry(self, place: Path, path: Path) -> dict[str, Any]:
        data = path.read_bytes()
        entry: dict[str, Any] = {
            "path": path.relative_to(place).as_posix(),
            "size": len(data),
            "oid": git_digest(data),
        }
        if len(data) >= LARGE_BYTES:
            sha256 = hashlib.sha256(data).hexdigest()
            entry["lfs"] = {"oid": sha256, "sha256": sha256, "size": len(data), "pointerSize": 130}
        return entry


def git_digest(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    its: FakeHub

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def log_message(self, *_: Any) -> None:
        return

    def _answer(self, *, with_body: bool) -> None:
        url = urlsplit(self.path)
        self.its.asked.append(f"{self.command} {unquote(url.path)}")
        token = self.its.token
        if token is not None and self.headers.get("authorization") != f"Bearer {token}":
            self._json(401, {"error": "gated"}, {"x-error-code": "GatedRepo"})
        elif url.path == "/api/models":
            self._search(parse_qs(url.query))
        elif url.path.startswith("/api/models/"):
            self._about(unquote(url.path.removeprefix("/api/models/")))
        else:
            self._file(unquote(url.path), with_body=with_body)

    def _about(self, rest: str) -> None:
        repo, _, what = rest.partition("/revision/") if "/revision/" in rest else (rest, "", "")
        tree = "/tree/" in repo
        repo = repo.partition("/tree/")[0]
        if not self.its.files_of(repo):
            self._json(404, {"error": "not found"}, {"x-error-code": "RepoNotFound"})
        elif what not in ("", "main", COMMIT):
            self._json(404, {"error": "no such revision"}, {"x-error-code": "RevisionNotFound"})
        elif tree:
            self._json(200, [{"type": "file", **one} for one in self.its.listed(repo)])
        else:
            self._json(200, self._model(repo))

    def _model(self, repo: str) -> dict[str, Any]:
        siblings = [
            {
                "rfilename": one["path"],
                "size": one["size"],
                "blobId": one["oid"],
                **({"lfs": one["lfs"]} if "lfs" in one else {}),
            }
            for one in self.its.listed(repo)
        ]
        return {
            "id": repo,
            "modelId": repo,
            "sha": COMMIT,
            "private": False,
            "gated": "manual" if self.its.token else False,
            "downloads": 7,
            "likes": 3,
            "tags": ["gguf"] if any(".gguf" in one["rfilename"] for one in siblings) else [],
            "siblings": siblings,
        }

    def _search(self, query: dict[str, list[str]]) -> None:
        words = query.get("search", [""])[0].lower().split()
        folder = self.its.folder
        repos = sorted(
            path.relative_to(folder).as_posix() for path in folder.glob("*/*") if path.is_dir()
        )
        found = [repo for repo in repos if all(word in repo.lower() for word in words)]
        self._json(200, [self._model(repo) for repo in found])

    def _file(self, path: str, *, with_body: bool) -> None:
        repo, _, rest = path.strip("/").partition("/resolve/")
        name = rest.partition("/")[2]
        file = self.its.folder / repo / name
        if not name or not file.is_file():
            missing = "EntryNotFound" if self.its.files_of(repo) else "RepoNotFound"
            self._json(404, {"error": "not found"}, {"x-error-code": missing})
            return
        data = file.read_bytes()
        digest = git_digest(data)
        headers = {"x-repo-commit": COMMIT, "accept-ranges": "bytes"}
        if len(data) >= LARGE_BYTES:
            digest = hashlib.sha256(data).hexdigest()
            headers |= {"x-linked-etag": f'"{digest}"', "x-linked-size": str(len(data))}
        headers["etag"] = f'"{digest}"'
        if name in self.its.corrupt:
            data = data[:-1] + bytes([data[-1] ^ 1])
        self._send(name, data, headers, with_body=with_body)

    def _send(self, name: str, data: bytes, headers: dict[str, str], *, with_body: bool) -> None:
        begin, end = self._range(len(data))
        self.send_response(206 if "range" in self.headers else 200)
        for header, value in headers.items():
            self.send_header(header, value)
        if "range" in self.headers:
            self.send_header("content-range", f"bytes {begin}-{end - 1}/{len(data)}")
        self.send_header("content-length", str(end - begin))
        self.end_headers()
        if not with_body:
            return
        sent = 0
        for at in range(begin, end, _CHUNK_BYTES):
            part = data[at : min(end, at + _CHUNK_BYTES)]
            if self.its.chunk_s:
                time.sleep(self.its.chunk_s)
            while self._is_held(at) and not self._has_left():
                time.sleep(_LOOK_S)
            limit = self.its.breaks_after
            if limit is not None and sent + len(part) > limit:
                self.its.breaks_after = None
                self.close_connection = True
                break
            try:
                self.wfile.write(part)
            except OSError:
                break
            sent += len(part)
        self.its.sent.append((name, begin, sent))

    def _is_held(self, at: int) -> bool:
        return self.its.holds_at is not None and at >= self.its.holds_at

    def _has_left(self) -> bool:
        """Whether the client has closed its end, which it never does by halves."""
        if not select.select([self.connection], [], [], 0)[0]:
            return False
        try:
            return not self.connection.recv(1, socket.MSG_PEEK)
        except OSError:
            return True

    def _range(self, size: int) -> tuple[int, int]:
        wanted = self.headers.get("range", "")
        if not wanted.startswith("bytes="):
            return 0, size
        begin, _, end = wanted.removeprefix("bytes=").partition("-")
        return int(begin), min(size, int(end) + 1) if end else size

    def _json(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        for header, value in {"x-error-message": "as told", **(headers or {})}.items():
            self.send_header(header, value)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("folder", type=Path)
    arguments = parser.parse_args()
    with FakeHub(arguments.folder).running(arguments.port) as url:
        print(url, flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    main()
