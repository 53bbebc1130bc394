"""The page as it is served: to whom, under which rules, and from which files."""

from __future__ import annotations

import gzip
import hashlib
import json
import posixpath
import re
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from frontend.ui.files import WEB, files
from ipc.messages.control import AccessConfig
from ipc.messages.keys import ApiKey
from tests.unit.frontend.http_fakes import FakeDispatcher, application

HTML = {"accept": "text/html,application/xhtml+xml"}
GATE = AccessConfig(api_keys={"ann": ApiKey.of("sesame")})
SCRIPTS = [path for path in WEB.rglob("*.js") if path.parent.name != "vendor"]
# What the page may weigh for a first look, and in all, as gzip has it.
LANDING = "pages/overview.js"
FIRST_BYTES, ALL_BYTES = 40 << 10, 120 << 10


@pytest.fixture
def client() -> TestClient:
    return TestClient(application(FakeDispatcher()))


def test_people_get_the_page_and_programs_a_line(client: TestClient) -> None:
    assert client.get("/", headers=HTML).text.startswith("<!doctype html>")
    for accept in ("*/*", "application/json", ""):
        assert client.get("/", headers={"accept": accept}).text.startswith("edge-serve: ")


def test_docs_are_the_page(client: TestClient) -> None:
    assert client.get("/docs").text == client.get("/", headers=HTML).text


def test_with_ollamas_api_programs_get_what_its_clients_look_for() -> None:
    client = TestClient(application(FakeDispatcher(), ollama=True))
    assert client.get("/").text == "Ollama is running"
    assert client.get("/", headers=HTML).text.startswith("<!doctype html>")


def test_with_keys_the_page_is_there_for_who_is_to_log_in() -> None:
    client = TestClient(application(FakeDispatcher(), gate=GATE))
    page = client.get("/", headers=HTML).text
    (style,) = re.findall(r'stylesheet" href="([^"]+)"', page)
    assert client.get(style).status_code == 200
    assert client.get("/ui/../health").status_code == 401


def test_nothing_but_own_files_may_run(client: TestClient) -> None:
    policy = client.get("/", headers=HTML).headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy


def test_files_are_kept_for_good_under_an_address_of_their_version(client: TestClient) -> None:
    answer = client.get(f"/ui/{files().version}/main.js")
    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert answer.headers["content-type"] == "text/javascript; charset=utf-8"
    assert answer.headers["content-encoding"] == "gzip"
    assert answer.text == (WEB / "main.js").read_text()
    plain = client.get(f"/ui/{files().version}/main.js", headers={"accept-encoding": "identity"})
    assert plain.text == answer.text
    assert "content-encoding" not in plain.headers


@pytest.mark.parametrize("path", ["0000/main.js", "{}/nothing.js", "{}/../files.py", "{}/"])
def test_other_files_are_not_there(client: TestClient, path: str) -> None:
    assert client.get(f"/ui/{path.format(files().version)}").status_code == 404


def test_every_file_that_is_named_is_there() -> None:
    for script in SCRIPTS:
        for name in re.findall(r'(?:from|import)[ (]"(\.[^"]+)"', script.read_text()):
            assert (script.parent / name).resolve().is_relative_to(WEB)
            assert (script.parent / name).is_file(), f"{script.name} imports {name}"


def test_no_file_is_loaded_from_elsewhere() -> None:
    for path in [*SCRIPTS, WEB / "index.html", WEB / "style.css"]:
        text = path.read_text()
        assert not re.search(r"""(src|href|url\(|import|fetch)\W{1,3}https?://""", text), path


def test_nothing_is_written_into_the_page_as_html_but_what_has_been_cleaned() -> None:
    writers = [path.name for path in SCRIPTS if "innerHTML" in path.read_text()]
    assert writers == ["markdown.js"]


def test_the_page_is_light() -> None:
    sizes = {name: len(file.packed) for name, file in files().by_path.items()}
    first = {"index.html", "style.css", *_with_imports("main.js"), *_with_imports(LANDING)}
    assert sum(sizes[name] for name in first) < FIRST_BYTES
    assert sum(sizes.values()) < ALL_BYTES


def _with_imports(name: str) -> set[str]:
    """The script and all that it needs before it runs."""
    found: set[str] = set()
    waiting = [name]
    while waiting:
        if (one := waiting.pop()) not in found:
            found.add(one)
            folder = posixpath.dirname(one)
            named = re.findall(r'from "(\.[^"]+)"', (WEB / one).read_text())
            waiting.extend(posixpath.normpath(posixpath.join(folder, each)) for each in named)
    return found


def test_what_others_wrote_is_what_was_fetched_with_its_licence() -> None:
    vendored = json.loads((WEB.parent / "vendored.json").read_text())
    named = {target for one in vendored for target in one["files"].values()}
    folder = WEB / "vendor"
    assert {path.name for path in folder.iterdir()} == named | {"DIGESTS"}
    for one in vendored:
        assert one["integrity"].startswith("sha512-")
        assert any(target.endswith(".LICENSE") for target in one["files"].values())
    digests = dict(map(str.split, (folder / "DIGESTS").read_text().splitlines()))
    assert digests == {name: _sha256(folder / name) for name in named}


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_packed_files_are_the_plain_ones() -> None:
    for file in files().by_path.values():
        assert gzip.decompress(file.packed) == file.plain
