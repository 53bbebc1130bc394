"""`edge-serve pull`, `search` and `rm` with a hub that speaks the real API."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import msgspec
import pytest

from ipc.messages.configuration import Setting
from ipc.messages.control import Serve
from ipc.messages.spec import Spec
from supervisor import plan
from supervisor.config.errors import EXIT_CONFIG
from supervisor.plan import Plan
from supervisor.pulls import lines
from supervisor.pulls.lines import Looked, NotPulled, NotRemoved, Progressed, Pulled, Removed
from supervisor.run_dir import RunDir
from tests.fake_hub import FakeHub
from tests.unit.supervisor.cli.conftest import Run
from tests.unit.supervisor.discovery.conftest import hub
from tests.unit.supervisor.discovery.test_discover import gguf

__all__ = ["hub"]

# Of an architecture that llama.cpp alone reads, so that nothing is converted.
GEMMA = gguf(general__architecture="gemma3", gemma3__block_count=1, gemma3__context_length=512)
SOURCE = "hf:acme/one"


@pytest.fixture(autouse=True)
def published(hub: FakeHub) -> None:
    hub.put("acme/one", {"one-Q8_0.gguf": GEMMA + bytes(5000), "one-Q4_0.gguf": GEMMA})


def pulled_catalog(tmp_path: Path) -> str:
    return (tmp_path / "models" / "pulled.yaml").read_text()


# --- pull -----------------------------------------------------------------------------------------


def test_a_model_of_the_hub_is_pulled_and_known_from_then_on(run: Run, tmp_path: Path) -> None:
    code, out, _ = run("pull", SOURCE)
    file = tmp_path / "models/acme--one/one-Q8_0.gguf"
    said = out.splitlines()
    assert code == 0
    assert said[0] == "acme/one: chat by llama.cpp on cpu, Q8_0"
    assert said[-1] == f"acme/one: ready in {file}"
    assert file.read_bytes() == GEMMA + bytes(5000)
    for named in ("acme/one", SOURCE, "hf.co/acme/one:Q8_0"):
        assert run("check", "--models", named)[0] == 0


def test_it_may_be_called_otherwise(run: Run, tmp_path: Path) -> None:
    assert run("pull", f"{SOURCE}:Q4_0", "--name", "mine")[0] == 0
    assert "name: mine\n" in pulled_catalog(tmp_path)
    assert run("check", "--models", "mine")[0] == 0


def test_another_precision_takes_the_place_of_the_first(run: Run, tmp_path: Path) -> None:
    for precision in ("Q8_0", "Q4_0"):
        assert run("pull", f"{SOURCE}:{precision}")[0] == 0
    assert pulled_catalog(tmp_path).count("name: acme/one") == 1
    assert [path.name for path in (tmp_path / "models/acme--one").glob("*.gguf")] == [
        "one-Q4_0.gguf"
    ]


def test_a_dry_run_fetches_and_writes_nothing(run: Run, tmp_path: Path) -> None:
    code, out, _ = run("pull", SOURCE, "--dry-run", "--json")
    (found,) = json.loads(out)["models"]
    assert code == 0
    assert (found["name"], found["variant"], found["verdict"]) == ("acme/one", "Q8_0", "fits")
    assert found["fetch_bytes"] == len(GEMMA) + 5000
    assert not (tmp_path / "models" / "pulled.yaml").exists()


def test_a_dry_run_tells_of_models_of_the_catalog_too(run: Run, hub: FakeHub) -> None:
    hub.put("BAAI/bge-m3", {"model.safetensors": bytes(700), "config.json": b"{}", "a.bin": b"."})
    code, out, _ = run("pull", "hibari", "--dry-run")
    assert code == 0
    what, takes = out.splitlines()
    assert what == "hibari: speak by hibari on cpu"
    assert takes.startswith("hibari: from pypi:hibari-tts==0.2.1: 8 MB to fetch, ")
    code, out, _ = run("pull", "hibari", "BAAI/bge-m3", SOURCE, "--dry-run", "--json")
    told = {one["name"]: one for one in json.loads(out)["models"]}
    assert {name: one["fetch_bytes"] for name, one in told.items()} == {
        "acme/one": len(GEMMA) + 5000,
        "hibari": 7936868,
        "BAAI/bge-m3": 702,  # as the hub tells
    }
    assert told["hibari"].keys() == told["acme/one"].keys()
    assert told["hibari"]["verdict"] in ("fits", "fits_alone")


def test_a_dry_run_tells_where_the_hub_says_nothing_of_a_size(run: Run) -> None:
    _, out, _ = run("pull", "BAAI/bge-m3", "--dry-run", "--json")
    (told,) = json.loads(out)["models"]
    assert (told["name"], told["fetch_bytes"]) == ("BAAI/bge-m3", None)
    _, out, _ = run("pull", "BAAI/bge-m3", "--dry-run")
    assert "how much there is to fetch is not known: hf:BAAI/bge-m3 does not exist" in out


def test_a_dry_run_tells_that_a_model_is_here(run: Run) -> None:
    run("pull", SOURCE)
    code, out, _ = run("pull", "acme/one", "--dry-run")
    assert (code, out.splitlines()[-1]) == (0, "acme/one: nothing is to be fetched")
    _, out, _ = run("pull", "acme/one", "--dry-run", "--json")
    (told,) = json.loads(out)["models"]
    assert (told["fetch_bytes"], told["verdict"]) == (0, "")


def test_a_pull_that_fails_leaves_no_entry(run: Run, hub: FakeHub, tmp_path: Path) -> None:
    hub.corrupt.add("one-Q8_0.gguf")
    code, _, err = run("pull", SOURCE)
    assert code == 1
    assert "has come with other bytes" in err
    assert not (tmp_path / "models" / "pulled.yaml").exists()


def test_programs_read_lines(run: Run) -> None:
    code, out, _ = run("pull", SOURCE, "--progress", "json")
    said = [lines.read(line) for line in out.splitlines()]
    assert code == 0
    assert isinstance(said[0], Looked)
    assert any(isinstance(line, Progressed) and line.total_bytes for line in said)
    assert isinstance(said[-1], Pulled)
    assert (said[-1].model, said[-1].spec.engine) == ("acme/one", "llama.cpp")


def test_programs_read_why_not(run: Run) -> None:
    code, out, _ = run("pull", "hf:acme/none", "--progress", "json")
    assert code == 1
    line = msgspec.json.decode(out, type=NotPulled)
    assert line.error.startswith("hf:acme/none does not exist")
    assert not line.unreached


def test_programs_read_that_the_hub_was_not_there(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:1")
    code, out, _ = run("pull", SOURCE, "--dry-run", "--progress", "json")
    assert (code, msgspec.json.decode(out, type=NotPulled).unreached) == (1, True)


def test_programs_read_of_settings_that_cannot_be_used(run: Run) -> None:
    code, out, _ = run("pull", "hf:acme", "--progress", "json")
    assert code == 1
    assert msgspec.json.decode(out, type=NotPulled).error.startswith("'hf:acme' names no model")


def test_what_is_no_place_is_a_setting_that_cannot_be_used(run: Run) -> None:
    assert run("pull", "hf:acme")[0] == EXIT_CONFIG


def test_a_start_may_not_fetch_where_that_is_ruled_out(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUTO_DOWNLOAD_MODELS", "0")
    code, _, err = run("--models", SOURCE)
    assert code == EXIT_CONFIG
    assert f"run: edge-serve pull {SOURCE}" in err


def listed_as_served(run: Run, *options: str) -> list[str]:
    _, out, _ = run(*options, "models", "--json")
    return [one["name"] for one in json.loads(out)["models"] if one["served"]]


def test_one_that_is_to_be_served_is_at_each_start_until_it_is_removed(run: Run) -> None:
    assert run("pull", SOURCE, "--serve")[0] == 0
    assert listed_as_served(run, "--models", "hibari") == ["hibari", "acme/one"]
    _, out, _ = run("check", "--models", "hibari", "--json")
    loads = {one["name"]: one["load"] for one in json.loads(out)["models"]}
    assert loads == {"hibari": "always", "acme/one": "on_demand"}
    assert run("rm", SOURCE)[0] == 0
    assert listed_as_served(run, "--models", "hibari") == ["hibari"]


# --- rm -------------------------------------------------------------------------------------------


def test_files_and_entry_are_removed(run: Run, tmp_path: Path) -> None:
    run("pull", SOURCE)
    code, out, _ = run("rm", SOURCE)
    assert (code, out) == (0, "acme/one: 0 MB removed\n")
    assert not (tmp_path / "models/acme--one").exists()
    assert "acme/one" not in pulled_catalog(tmp_path)
    code, _, err = run("rm", "acme/one")
    assert code == 1
    assert "there is no model 'acme/one'" in err


def test_what_an_interrupted_pull_has_left_may_go_alone(
    run: Run, hub: FakeHub, tmp_path: Path
) -> None:
    run("pull", f"{SOURCE}:Q4_0")
    hub.corrupt.add("one-Q8_0.gguf")
    run("pull", f"{SOURCE}:Q8_0")
    assert (tmp_path / "models/acme--one.partial").exists()
    assert run("rm", "--partial", "acme/one")[0] == 0
    assert not (tmp_path / "models/acme--one.partial").exists()
    assert (tmp_path / "models/acme--one/one-Q4_0.gguf").exists()


def test_programs_read_what_was_removed_and_why_not(run: Run) -> None:
    run("pull", SOURCE, "--name", "acme/one:Q8_0")
    code, out, _ = run("rm", "--progress", "json", "acme/one:Q8_0")
    assert code == 0
    assert msgspec.json.decode(out, type=Removed).bytes > 5000
    code, out, _ = run("rm", "--progress", "json", "acme/one:Q8_0")
    assert code == 1
    assert "there is no model" in msgspec.json.decode(out, type=NotRemoved).error


@pytest.mark.usefixtures("serving_one")
def test_a_model_that_is_served_stays_unless_it_is_forced(run: Run, tmp_path: Path) -> None:
    run("pull", SOURCE)
    code, _, err = run("rm", SOURCE)
    assert code == 1
    assert "acme/one: is served at http://127.0.0.1:" in err
    assert (tmp_path / "models/acme--one").exists()
    assert run("rm", SOURCE, "--force")[0] == 0
    assert not (tmp_path / "models/acme--one").exists()


def test_so_does_one_that_another_server_of_this_user_serves_from_this_folder(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its keys are not known here, and it listens elsewhere than the settings say."""
    run("pull", SOURCE)
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path))
    folder = RunDir(tmp_path / f"edge-serve-{os.getuid()}-8991")
    folder.claim()
    value = str(tmp_path / "models")
    here = [Setting(name="EDGE_SERVE_MODELS_DIR", value=value)]
    spec = Spec(name="acme/one", task="chat", engine="llama.cpp", path="/m")
    serve = Serve(specs=[spec])
    its = Plan(host="0.0.0.0", port=1, run_dir=str(folder.path), serve=serve, settings=here)
    plan.write_running(its)
    code, _, err = run("rm", SOURCE)
    assert code == 1
    assert err == (
        "edge-serve: acme/one: is served at http://127.0.0.1:1; stop that first, or add --force\n"
    )
    elsewhere = [Setting(name="EDGE_SERVE_MODELS_DIR", value="/elsewhere")]
    plan.write_running(msgspec.structs.replace(its, settings=elsewhere))
    assert run("rm", SOURCE)[0] == 0
    run("pull", SOURCE)
    plan.write_running(its)
    folder.release()
    assert run("rm", SOURCE)[0] == 0


@pytest.fixture
def serving_one(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A server where the settings say, which lists the model."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b'{"data": [{"id": "acme/one"}]}')

        def log_message(self, *_: object) -> None:
            return

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        monkeypatch.setenv("PORT", str(server.server_address[1]))
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        yield
        server.shutdown()


@pytest.mark.parametrize("name", ["../models", "a/b/c", "/etc"])
def test_what_is_no_name_is_no_folder(run: Run, name: str) -> None:
    code, _, err = run("rm", name)
    assert code == 1
    assert "is not a model name" in err


# --- search ---------------------------------------------------------------------------------------


def test_a_search_tells_what_is_served_here(run: Run) -> None:
    code, out, _ = run("search", "acme", "--json")
    assert code == 0
    assert json.loads(out)["models"] == [
        {
            "repo": "acme/one",
            "task": "chat",
            "size_bytes": None,
            "downloads": 7,
            "gated": False,
            "source": SOURCE,
            "fits": None,
        }
    ]


@pytest.mark.parametrize(
    ("endpoint", "offline", "words"),
    [
        (
            "http://127.0.0.1:1",
            "",
            "the hub at http://127.0.0.1:1 cannot be searched: Connection refused",
        ),
        ("http://127.0.0.1:1", "1", "HF_HUB_OFFLINE is set; unset it to search the hub"),
    ],
)
def test_a_search_without_a_hub_is_one_line(
    endpoint: str, offline: str, words: str, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", endpoint)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", bool(offline))
    code, out, err = run("search", "qwen", "0.6b")
    assert (code, out) == (1, "")
    assert err.startswith(f"edge-serve: {words}")
    assert err.count("\n") == 1


def test_a_search_is_a_table_for_people(run: Run) -> None:
    _, out, _ = run("search", "acme", "one")
    assert out.splitlines()[1].split() == [SOURCE, "chat", "7"]
