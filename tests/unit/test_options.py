"""What `remote` and `command` models must say, and what they are told when they do not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from supervisor import catalog
from supervisor.devices import Box, choose
from supervisor.problems import ConfigError

URL = "http://10.0.0.5:8000/v1"
COMMAND = "vllm serve {path} --port {port}"


def load(folder: Path, **entry: Any) -> catalog.Model:
    file = folder / "own.yaml"
    file.write_text(yaml.safe_dump({"models": [{"name": "a/b", "task": "chat", **entry}]}))
    return catalog.load(file).models["a/b"]


def test_a_remote_model_needs_an_address_and_no_files(tmp_path: Path) -> None:
    model = load(tmp_path, engine="remote", options={"base_url": URL, "api_key_env": "THEIR_KEY"})
    assert model.source is None


def test_a_command_may_have_files_or_not(tmp_path: Path) -> None:
    options = {"command": "serve --port {port}", "health_path": "/ping", "start_timeout_s": 60}
    assert load(tmp_path, engine="command", options=options).source is None
    options = {"command": COMMAND}
    assert load(tmp_path, engine="command", hf_repo_id="a/b", options=options).source is not None


@pytest.mark.parametrize(
    ("engine", "options", "message"),
    [
        ("remote", {}, "options.base_url: is missing"),
        ("remote", {"base_url": "10.0.0.5:8000"}, "is not an address; write one such as http://"),
        ("remote", {"base_url": "http://me:pass@host/v1"}, "is not an address"),
        ("remote", {"base_url": URL, "api_key": "sk-1"}, "name a variable with one in api_key_env"),
        ("remote", {"base_url": URL, "api_key_env": "sk-1"}, "is not the name of an environment"),
        ("remote", {"base_url": URL, "verfy": False}, "verfy: unknown key; did you mean verify?"),
        ("remote", {"base_url": URL, "connect_timeout_s": 0}, "set it to more than 0"),
        ("command", {}, "options.command: is missing"),
        ("command", {"command": "vllm serve"}, "has no {port}"),
        ("command", {"command": "vllm 'serve {port}"}, "cannot be split into words"),
        ("command", {"command": COMMAND}, "has a {path}, but the model has no source"),
        ("command", {"command": "x {port}", "base_url": URL}, "base_url: unknown key"),
    ],
)
def test_what_cannot_work_is_said_before_the_start(
    tmp_path: Path, engine: str, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError) as refused:
        load(tmp_path, engine=engine, options=options)
    assert message in str(refused.value)
    assert "sk-1" not in str(refused.value)


def test_a_remote_model_has_no_files_here(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="source: the files of a remote model are elsewhere"):
        load(tmp_path, engine="remote", hf_repo_id="a/b", options={"base_url": URL})


@pytest.mark.parametrize("device", ["auto", "cpu", "cuda:1", "mps"])
def test_a_device_for_all_models_is_not_meant_for_a_remote_one(device: str) -> None:
    box = Box(cuda=True)
    assert choose("remote", device, "chat", converted=False, box=box) == ("remote", "cpu")


def test_a_command_gets_the_gpu_that_is_there() -> None:
    box = Box(cuda=True)
    assert choose("command", "auto", "chat", converted=False, box=box) == ("command", "cuda")
    assert choose("command", "auto", "chat", converted=False, box=Box()) == ("command", "cpu")
