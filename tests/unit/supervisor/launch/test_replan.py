"""The configuration, read again by another process than the one that read it first."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from supervisor.config import pulled_catalog, settings
from supervisor.config.catalog import aliases
from supervisor.config.catalog import load as load_catalog
from supervisor.config.dotenv_file import load_dotenv
from supervisor.config.errors import ConfigError
from supervisor.config.settings import Flags, child_env
from supervisor.host.hardware import detect
from supervisor.keys.text import digest_of
from supervisor.launch.daemon import plan_for
from supervisor.launch.origin import origin_of
from supervisor.launch.replan import read_again
from supervisor.launch.stages import Launch
from supervisor.plan import Plan, Reading
from supervisor.reload.changes import Changes, changes

ONE = "models: [{name: one, task: chat, engine: echo, aliases: [uno]}]"
TWO = "models: [{name: one, task: chat, engine: echo}, {name: two, task: embed, engine: echo}]"
KEY = "k" * 20
_WRITTEN = (".env", "own.yaml", "keys")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.yaml").write_text(ONE)
    return tmp_path


def started(flags: Flags | None = None) -> Plan:
    """The plan of a start in this environment, which is that of its daemon from then on."""
    flags = flags or Flags(config="own.yaml")
    before = set(os.environ)
    load_dotenv(Path(".env"))
    found = settings.load(flags)
    launch = Launch(found, detect())
    catalog = load_catalog(found.edge_serve_config)
    models = catalog.select(found.models)
    ready = launch.candidates(models).all
    origin = origin_of(flags, found, before)
    plan = plan_for(
        *(found, ready, {}, Path("/run/x"), aliases(models), None, flags, origin),
        groups=catalog.groups,
    )
    env = child_env(HF_HUB_OFFLINE="1")
    os.environ.clear()
    os.environ.update(env)
    return plan


def differences(plan: Plan) -> Changes:
    reading = read_again(plan)
    assert reading.plan is not None
    served = {spec.name: spec for spec in plan.serve.specs}
    return changes(plan, served, reading.plan, reading.missing)


def test_what_is_as_it_was_makes_the_same_plan() -> None:
    assert differences(started()) == Changes()


def test_a_catalog_that_has_changed_is_read_again() -> None:
    plan = started()
    Path("own.yaml").write_text(TWO)
    assert differences(plan) == Changes(added=["two"], settings=["ALIASES"])


def test_dotenv_may_say_something_else_and_the_environment_wins_as_ever() -> None:
    os.environ["MAX_TEXT_CHARS"] = "100"
    Path(".env").write_text("MAX_QUEUE_SIZE=5\nMAX_TEXT_CHARS=7\n")
    plan = started()
    assert plan.serve.specs[0].queue_limit == 5
    Path(".env").write_text("MAX_QUEUE_SIZE=9\nMAX_TEXT_CHARS=8\nMAX_BATCH_SIZE=3\nPORT=9000\n")
    assert differences(plan) == Changes(
        adjusted={"one": ["queue_limit"]}, settings=["MAX_BATCH_SIZE"], restart=["PORT"]
    )


def test_a_setting_that_is_no_longer_in_dotenv_is_what_it_is_without() -> None:
    Path(".env").write_text("MAX_QUEUE_SIZE=5\n")
    plan = started()
    Path(".env").unlink()
    assert differences(plan).adjusted == {"one": ["queue_limit"]}


def test_a_file_of_keys_is_read_again() -> None:
    Path("keys").write_text(f"ann:{KEY}\n")
    os.environ["API_KEYS_FILE"] = "keys"
    plan = started()
    Path("keys").write_text(f"ann:{KEY}:admin\nbob:{KEY}2\n")
    assert differences(plan) == Changes(settings=["API_KEYS"])
    reading = read_again(plan)
    assert reading.plan is not None
    assert reading.plan.serve.gate.api_keys["ann"].role == "admin"
    assert set(reading.plan.serve.gate.api_keys) == {"ann", "bob"}
    assert reading.plan.origin is not None
    assert reading.plan.origin.keys_digest == digest_of(Path("keys").read_text())


def test_keys_of_an_environment_that_the_daemon_has_not_stay_as_they_are() -> None:
    os.environ["API_KEYS"] = f"ann:{KEY}"
    Path(".env").write_text(f"API_KEYS=other:{KEY}\n")
    plan = started()
    assert "API_KEYS" not in os.environ
    assert set(plan.serve.gate.api_keys) == {"ann"}
    assert differences(plan) == Changes()


def test_keys_of_dotenv_are_read_again() -> None:
    Path(".env").write_text(f"API_KEYS=ann:{KEY}\n")
    plan = started()
    Path(".env").write_text(f"API_KEYS=bob:{KEY}\n")
    reading = read_again(plan)
    assert reading.plan is not None
    assert set(reading.plan.serve.gate.api_keys) == {"bob"}


def test_two_keys_of_one_name_are_refused() -> None:
    os.environ["API_KEYS"] = f"ann:{KEY}"
    os.environ["API_KEYS_FILE"] = "keys"
    Path("keys").write_text(f"bob:{KEY}\n")
    plan = started()
    Path("keys").write_text(f"ann:{KEY}\n")
    with pytest.raises(ConfigError, match="'ann' is in API_KEYS too"):
        read_again(plan)


def test_the_flags_of_the_start_hold() -> None:
    Path("own.yaml").write_text(TWO)
    plan = started(Flags(config="own.yaml", models="two", port="1234"))
    assert differences(plan) == Changes()
    os.environ["PORT"] = "99"
    assert differences(plan) == Changes()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("models: [", r"own.yaml, line 1: not YAML"),
        (
            "models: [{name: one, task: chat, engine: echo, slots: 0}]",
            r"own.yaml: one: slots: 0 ",
        ),
        ("models: [{name: one, task: chat, engine: ecco}]", r"own.yaml: one: "),
    ],
)
def test_a_wrong_file_is_told_with_where_it_is_wrong(text: str, told: str) -> None:
    plan = started()
    Path("own.yaml").write_text(text)
    with pytest.raises(ConfigError, match=told):
        read_again(plan)


def test_a_wrong_dotenv_is_told_with_its_line() -> None:
    plan = started()
    Path(".env").write_text("\nPORT 80\n")
    with pytest.raises(ConfigError, match=r"\.env, line 2"):
        read_again(plan)


def test_a_model_whose_files_are_not_here_is_named_and_nothing_is_fetched() -> None:
    plan = started()
    Path("own.yaml").write_text(
        "models: [{name: one, task: chat, engine: echo}, {name: far, task: chat, source: hf:a/b}]"
    )
    assert list(read_again(plan).missing) == ["far"]
    Path(".env").write_text("AUTO_DOWNLOAD_MODELS=0\n")
    reading = read_again(plan)
    assert reading.missing == {}
    assert reading.plan is not None
    assert list(reading.plan.unavailable) == ["far"]


def test_a_server_that_a_plan_alone_has_started_cannot_be_changed() -> None:
    with pytest.raises(ConfigError, match="started by a plan alone"):
        read_again(Plan(host="h", port=1, run_dir="/run/x", serve=started().serve))


def test_the_files_that_are_watched_are_those_that_somebody_writes(folder: Path) -> None:
    os.environ.update(EDGE_SERVE_WATCH="1", API_KEYS_FILE="keys", EDGE_SERVE_MODELS_DIR="models")
    Path("keys").write_text(f"ann:{KEY}\n")
    origin = started().origin
    assert origin is not None
    assert origin.watched
    assert origin.files == [str(folder / name) for name in (*_WRITTEN, "models/pulled.yaml")]


def test_no_plan_holds_a_secret() -> None:
    os.environ.update(API_KEYS=f"ann:{KEY}", HF_TOKEN="s3cret")
    assert KEY not in repr(started())
    assert "s3cret" not in repr(Reading(plan=started()))


def test_a_golden_file_is_checked_and_adding_one_restarts_nobody(folder: Path) -> None:
    plan = started()
    entry = "models: [{name: one, task: chat, engine: echo, aliases: [uno], golden: g.jsonl}]"
    Path("own.yaml").write_text(entry)
    Path("g.jsonl").write_text('{"input": "a"}\n')
    with pytest.raises(ConfigError, match=r"one: golden: .*g.jsonl, line 1: has no answer"):
        read_again(plan)
    Path("g.jsonl").write_text('{"input": "a", "answer": "a"}\n')
    assert differences(plan) == Changes(adjusted={"one": ["golden"]})
    reading = read_again(plan)
    assert reading.plan is not None
    assert reading.plan.serve.specs[0].golden == str(folder / "g.jsonl")


def test_what_has_joined_by_a_pull_is_found_and_what_was_pulled_may_be_named() -> None:
    os.environ["EDGE_SERVE_MODELS_DIR"] = "models"
    pulled = Path("models/pulled.yaml")
    plan = started()
    pulled_catalog.put(pulled, {"name": "acme/one", "task": "chat", "engine": "echo"})
    assert differences(plan) == Changes()
    pulled_catalog.serve(pulled, "acme/one")
    assert differences(plan) == Changes(added=["acme/one"])
    pulled_catalog.remove(pulled, "acme/one")
    assert differences(plan) == Changes()
    pulled_catalog.put(pulled, {"name": "acme/one", "task": "chat", "engine": "echo"})
    Path(".env").write_text("MODELS=one,acme/one\n")
    assert differences(plan) == Changes(added=["acme/one"])


def test_groups_of_the_catalog_are_as_they_were() -> None:
    Path("own.yaml").write_text(f"{TWO}\ngroups: [never_together: [one, two]]")
    assert differences(started()) == Changes()
