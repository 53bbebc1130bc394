"""The names that users rely on still work: tests/surface.yaml against settings, catalog, command
line and application.

The program is asked from outside, by its command line and by HTTP. Where there is no outside (what
is in force if nothing is set, the tree of errors), a name of ours is imported by one of the
functions under "the only names of ours". tests/process/test_served_surface.py asks a whole server.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
SURFACE: dict[str, Any] = yaml.safe_load((ROOT / "tests" / "surface.yaml").read_text())
VARIABLES: dict[str, Any] = SURFACE["variables"]
REPLACED: dict[str, str] = SURFACE["replaced_variables"]
OPTIONS: dict[str, dict[str, dict[str, Any]]] = SURFACE["options"]
ENGINES: dict[str, dict[str, list[str]]] = SURFACE["engines"]
WITHOUT_FILES = ("remote", "echo")

Entry = dict[str, Any]


# --- the only names of ours ----------------------------------------------------------------------


def main() -> None:
    """The command line; README.md names its module."""
    from supervisor.cli import main

    main()


def in_force(variable: str) -> Any:
    """What the setting is, given this environment."""
    from supervisor.config.settings import Flags, load

    return getattr(load(Flags()), variable.lower())


def defaults(engine: str, task: str) -> dict[str, Any]:
    """The options of an engine that may be left out, each with what it is then."""
    from ipc.engines import ENGINES
    from ipc.options import described

    (kind,) = (one.options for name, one in ENGINES[engine].serves.items() if name == task)
    return {one.name: one.default for one in described(kind) if not one.is_required}


def errors() -> dict[str, Any]:
    """The class of each error by its code."""
    from ipc.messages.errors import BY_CODE

    return dict(BY_CODE)


def client(script: Callable[..., None] | None = None, **changes: Any) -> Any:
    """A client of the application with fakes for all that is behind it; ``script`` is what becomes
    of a job, ``changes`` are other values of `Serve`."""
    from starlette.testclient import TestClient

    from tests.unit.frontend.http_fakes import (
        FakeControl,
        FakeDispatcher,
        application,
        report,
        silent,
    )

    control = FakeControl(
        report(chat="ready", embed="ready", rerank="ready", speech="ready", speak="ready")
    )
    return TestClient(application(FakeDispatcher(script or silent), control, **changes))


# --- asking --------------------------------------------------------------------------------------

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def _alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """None of the user's own settings, and an empty folder to stand in."""
    monkeypatch.setattr(os, "environ", os.environ.copy())
    for name in [*VARIABLES, *REPLACED, "XDG_RUNTIME_DIR", "RUNTIME_DIRECTORY"]:
        os.environ.pop(name, None)
    os.environ["EDGE_SERVE_RUN_DIR"] = str(tmp_path / "run")
    os.environ["EDGE_SERVE_STATE_DIR"] = str(tmp_path / "state")
    os.environ["EDGE_SERVE_MODELS_DIR"] = str(tmp_path / "models")
    os.environ["PORT"] = "0"
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def edge_serve(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """Run ``edge-serve`` with arguments; gives exit status, stdout, stderr."""

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["edge-serve", *arguments])
        with pytest.raises(SystemExit) as exit_:
            main()
        out, err = capfd.readouterr()
        return int(exit_.value.code or 0), out, err

    return run


Accepted = Callable[..., list[Entry]]


@pytest.fixture
def accepted(edge_serve: Run, tmp_path: Path) -> Accepted:
    """Writes a catalog of ``entries``, by name, and gives what `models` makes of it."""

    def accept(entries: dict[str, Entry], **more: Any) -> list[Entry]:
        code, out, err = edge_serve("models", "--json", "--config", catalog(entries, **more))
        assert code == 0, err
        listed = {one["name"]: one for one in json.loads(out)["models"]}
        return [listed[name] for name in entries]

    def catalog(entries: dict[str, Entry], **more: Any) -> str:
        models = [{"name": name, **entry} for name, entry in entries.items()]
        file = tmp_path / "own.yaml"
        file.write_text(yaml.safe_dump({"models": models, **more}, sort_keys=False))
        return str(file)

    return accept


def refused(accept: Accepted, entry: Entry) -> str:
    """What is said against a catalog with this entry. Shows that to be accepted means something."""
    with pytest.raises(AssertionError) as said:
        accept({"one/entry": entry})
    return str(said.value)


# --- settings ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", VARIABLES)
def test_a_variable_is_read(name: str, edge_serve: Run) -> None:
    os.environ[name] = "'in quotes'"  # which no setting may have, so each says its own name
    code, _, err = edge_serve("check")
    assert code == 78
    assert (
        err == f"edge-serve: {name}: its value has quotes around it, as part of it; remove them\n"
    )


@pytest.mark.parametrize("name", VARIABLES)
def test_a_variable_that_is_not_set_is_what_it_was(name: str) -> None:
    os.environ.pop(name, None)
    expected = VARIABLES[name]
    if name == "EDGE_SERVE_MODELS_DIR":
        expected = ROOT / expected
    assert in_force(name) == expected


@pytest.mark.parametrize(("name", "instead"), REPLACED.items())
def test_a_replaced_variable_is_accepted_and_check_says_what_does_its_work(
    name: str, instead: str, edge_serve: Run
) -> None:
    os.environ[name] = "4"
    _, out, _ = edge_serve("check", "--json", "--models", "openai/whisper-base")
    (warning,) = [text for text in json.loads(out)["warnings"] if name in text]
    assert f"{name} has no effect" in warning
    assert instead in warning


def test_models_get_the_same_limits_where_nothing_is_said(edge_serve: Run, tmp_path: Path) -> None:
    limits = SURFACE["limits_by_task"]
    models = [{"name": f"s/{task}", "task": task, "engine": "echo"} for task in limits]
    (tmp_path / "own.yaml").write_text(yaml.safe_dump({"models": models}))
    code, out, err = edge_serve("check", "--json", "--config", "own.yaml")
    assert code == 0, err
    found = {
        one["task"]: {name: one[name] for name in limits[one["task"]]}
        for one in json.loads(out)["models"]
    }
    assert found == limits


# --- the catalog ---------------------------------------------------------------------------------


def test_all_keys_of_an_entry_are_accepted(accepted: Accepted) -> None:
    accepted({f"key/{key}": entry for key, entry in SURFACE["entry_keys"].items()})
    assert "made_up: unknown key" in refused(
        accepted, {"task": "chat", "engine": "echo", "made_up": 1}
    )


def test_all_entries_have_the_key_that_they_are_listed_for() -> None:
    assert [key for key, entry in SURFACE["entry_keys"].items() if key not in entry] == []


def test_both_keys_of_the_catalog_itself_do_their_work(accepted: Accepted) -> None:
    assert SURFACE["catalog_keys"] == ["models", "serve"]
    echo = {"task": "chat", "engine": "echo"}
    one, other = accepted({"s/one": echo, "s/other": echo}, serve=["s/other"])
    assert (one["served"], other["served"]) == (False, True)


def test_every_kind_of_source_is_accepted(accepted: Accepted) -> None:
    entries = {}
    for index, source in enumerate(SURFACE["sources"]):
        packaged = source.startswith(("pypi:", "sdist:"))
        files = {"files": {"model.gguf": SURFACE["packaged_file"]}} if packaged else {}
        entries[f"source/{index}"] = {"task": "chat", "source": source, **files}
    accepted(entries)


def test_every_device_is_accepted(accepted: Accepted) -> None:
    accepted(
        {
            f"device/{index}": {"task": "chat", "engine": "echo", "device": device}
            for index, device in enumerate(SURFACE["devices"])
        }
    )


@pytest.mark.parametrize("handler", SURFACE["handlers"])
def test_a_handler_of_the_reference_server_is_understood(
    handler: str, edge_serve: Run, tmp_path: Path
) -> None:
    model = {"name": "s/one", "handler": handler, "hf_repo_id": "publisher/repository"}
    (tmp_path / "own.yaml").write_text(yaml.safe_dump({"models": [model]}))
    _, out, err = edge_serve("check", "--json", "--config", "own.yaml")
    assert out, err
    instead = SURFACE["handlers"][handler]
    warnings = "\n".join(json.loads(out)["warnings"])
    assert f"instead of {handler} write {instead}" in warnings


def test_every_engine_serves_its_tasks_on_its_devices(accepted: Accepted) -> None:
    entries: dict[str, Entry] = {}
    for engine, able in ENGINES.items():
        for task in able["tasks"]:
            for device in able["devices"]:
                name = f"{engine}-{task}/{device}"
                entries[name] = {**least(engine, task), "device": device}
    listed = accepted(entries)
    assert [(one["name"], one["engine"], one["task"]) for one in listed] == [
        (name, entry["engine"], entry["task"]) for name, entry in entries.items()
    ]
    assert "engine: 'made_up' is not one of" in refused(
        accepted, {"task": "chat", "engine": "made_up", "hf_repo_id": "a/b"}
    )


def least(engine: str, task: str) -> Entry:
    """An entry for this engine and task with no more than it needs."""
    options = OPTIONS.get(f"{engine} {task}", {})
    needed = {name: one["takes"][0] for name, one in options.items() if is_needed(one)}
    source = {} if engine in WITHOUT_FILES else {"hf_repo_id": "publisher/repository"}
    return {"task": task, "engine": engine, "options": needed, **source}


def is_needed(option: dict[str, Any]) -> bool:
    return "default" not in option and "by_engine" not in option


@pytest.mark.parametrize("of", OPTIONS)
def test_every_option_of_an_engine_takes_what_it_took(of: str, accepted: Accepted) -> None:
    engine, task = of.split()
    plain = least(engine, task)
    entries = {
        f"{option}/{index}": {**plain, "options": {**plain["options"], option: value}}
        for option, found in OPTIONS[of].items()
        for index, value in enumerate(found["takes"])
    }
    accepted(entries)
    made_up = {**plain, "options": {**plain["options"], "made_up": 1}}
    assert f"options.made_up: unknown to engine {engine}" in refused(accepted, made_up)


@pytest.mark.parametrize("of", OPTIONS)
def test_every_option_that_is_left_out_is_what_it_was(of: str) -> None:
    found = defaults(*of.split())
    for name, option in OPTIONS[of].items():
        if is_needed(option):
            assert name not in found, f"{name} could not be left out"
        elif "default" in option:
            assert found[name] == option["default"], name
        else:  # as good as not given, or what the engine makes of that
            assert found[name] in (None, 0, option["by_engine"]), name


def test_the_shipped_catalog_has_the_models_that_it_had(edge_serve: Run) -> None:
    code, out, err = edge_serve("models", "--json")
    assert code == 0, err
    listed = json.loads(out)["models"]
    tasks = {one["name"]: one["task"] for one in listed}
    assert {**tasks, **SURFACE["catalog_models"]} == tasks
    assert [one["name"] for one in listed if one["served"]] == SURFACE["served_by_default"]


# --- commands ------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", SURFACE["commands"])
def test_a_command_has_its_options(command: str, edge_serve: Run) -> None:
    code, out, err = edge_serve(*command.split(), "--help")
    assert code == 0, err
    shown = set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", out))
    assert set(SURFACE["commands"][command]) - shown == set()


# --- HTTP ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("route", SURFACE["routes"])
def test_a_route_is_answered(route: str) -> None:
    method, path = route.split()
    answer = client().request(method, path)
    if "{" not in path:  # nothing has a name like that
        assert answer.status_code not in (404, 405), answer.text
    assert "is not served" not in answer.text
    assert answer.headers["x-request-id"]


@pytest.mark.parametrize("route", SURFACE["ollama_routes"])
def test_a_route_of_ollamas_is_answered_where_it_is_on(route: str) -> None:
    method, path = route.split()
    assert client(ollama=True).request(method, path).status_code not in (404, 405)


def test_what_is_no_route_is_404() -> None:
    assert client().get("/made/up").status_code == 404


def test_every_metric_has_its_type() -> None:
    text = client().get("/metrics").text
    found = dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE))
    expected = {name: metric["type"] for name, metric in SURFACE["metrics"].items()}
    assert {name: found.get(name) for name in expected} == expected


@pytest.mark.parametrize("code", SURFACE["errors"])
def test_an_error_keeps_its_status_type_and_headers(code: str) -> None:
    expected, kind = SURFACE["errors"][code], errors()[code]
    assert kind.status == expected["status"]
    if kind.status == 499:  # its client has gone: the log alone has it
        return

    def fail(_: Any) -> None:
        raise kind("words for people", param="model", retry_after_s=3)

    body = {"model": "org/chat", "messages": [{"role": "user", "content": "hi"}]}
    answer = client(fail).post("/v1/chat/completions", json=body)
    assert answer.status_code == expected["status"]
    assert answer.json()["error"] == {
        "message": "words for people",
        "type": expected["type"],
        "param": "model",
        "code": code,
    }
    assert answer.headers["retry-after"] == "3"
    retry = {None: None, False: "false"}[expected["retry"]]
    assert answer.headers.get("x-should-retry") == retry
