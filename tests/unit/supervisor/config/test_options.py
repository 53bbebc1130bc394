"""What the options of an engine may be, and what is said of those that it cannot use."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from ipc.engines import TEST_ENGINES
from supervisor.config import catalog
from supervisor.config.engines import choose
from supervisor.config.errors import ConfigError
from supervisor.config.settings import Settings
from supervisor.config.spec import Files, spec_for
from supervisor.host.hardware import Box

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
        ("remote", {"base_url": URL, "verfy": False}, "verfy: unknown to engine remote for chat"),
        ("remote", {"base_url": URL, "connect_timeout_s": 0}, "set it to more than 0"),
        ("command", {}, "options.command: is missing"),
        ("command", {"command": "vllm serve"}, "has no {port}"),
        ("command", {"command": "vllm 'serve {port}"}, "cannot be split into words"),
        ("command", {"command": COMMAND}, "has a {path}, but the model has no source"),
        ("command", {"command": "x {port}", "base_url": URL}, "it knows command, health_path, mod"),
        (
            "remote",
            {"base_url": "http://host:99999/v1"},
            "'http://host:99999/v1' is not an address",
        ),
        ("remote", {"base_url": "http://[::1/v1"}, "is not an address"),
        ("remote", {"base_url": "http://:8000/v1"}, "is not an address"),
        ("remote", {"base_url": "http:///v1"}, "is not an address"),
        ("remote", {"base_url": None}, "options.base_url: has no value; write one, or"),
        ("remote", {"base_url": [[URL]]}, "options.base_url: a list is not text, a number, true"),
        ("remote", {"base_url": []}, "options.base_url: is empty; write at least one address"),
        ("remote", {"base_url": [URL, URL]}, "options.base_url: has the same address twice"),
        ("remote", {"base_url": [URL, "host"]}, "'host' is not an address"),
        ("openvino", {"precission": "f16"}, "options.precission: unknown to engine openvino for c"),
        (
            "torch",
            {"encoder": "openvino"},
            "it knows compile, dialect, dtype, image_pixels, kv_cache",
        ),
        (
            "torch",
            {"dtype": "float128"},
            "'float128' is not one of 'float32', 'bfloat16', 'float16'",
        ),
        ("torch", {"compile": "yes"}, "'yes' is neither true nor false; write it without quotes"),
        (
            "llama.cpp",
            {"kv_cache_tokens": "many"},
            "'many' is not a whole number; set it to 0 or mo",
        ),
        ("llama.cpp", {"kv_cache_tokens": -1}, "-1 is too low; set it to 0 or more"),
    ],
)
def test_what_cannot_work_is_said_before_the_start(
    tmp_path: Path, engine: str, options: dict[str, Any], message: str
) -> None:
    files = {} if engine in ("remote", "command") else {"source": "file:/srv/model"}
    with pytest.raises(ConfigError) as refused:
        load(tmp_path, engine=engine, options=options, **files)
    assert message in str(refused.value)
    assert "sk-1" not in str(refused.value)


def test_the_engine_for_tests_is_refused_where_nobody_tests(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert load(tmp_path, engine="echo").entry.engine == "echo"
    monkeypatch.delenv(TEST_ENGINES)
    with pytest.raises(ConfigError, match=f"echo is for the tests of edge-serve.*{TEST_ENGINES}=1"):
        load(tmp_path, engine="echo")


@pytest.mark.parametrize("entry", [{"engine": "ech"}, {"engine": "ctranslate2"}])
def test_a_message_offers_no_engine_for_tests(tmp_path: Path, entry: dict[str, str]) -> None:
    model = load(tmp_path, source="file:/srv/model", **entry)
    with pytest.raises(ConfigError, match="torch") as refused:
        spec_for(model.entry, Settings(), Box(), Files())
    assert "echo" not in str(refused.value).replace("'ech'", "")


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


def test_options_are_checked_for_the_engine_that_auto_comes_to(tmp_path: Path) -> None:
    text = load(tmp_path, task="embed", source="file:/srv/model", options={"precision": "f8"})
    with pytest.raises(ConfigError, match=r"^a/b: options.precision: 'f8' is not one of 'f32'"):
        spec_for(text.entry, Settings(), Box(), Files())
    chat = load(tmp_path, source="file:/srv/model", options={"compile": True})
    assert spec_for(chat.entry, Settings(), Box(), Files()).engine == "torch"
    with pytest.raises(ConfigError, match="compile: unknown to engine openvino for chat models"):
        spec_for(chat.entry, Settings(), Box(), Files(converted=True))


@pytest.mark.parametrize("value", [True, 256, "512", "512,256", "512, 256"])
def test_sizes_of_vectors_are_written_as_they_come(tmp_path: Path, value: object) -> None:
    files = {"source": "file:/srv/model", "engine": "torch", "task": "embed"}
    assert load(tmp_path, options={"matryoshka": value}, **files).entry.options


def test_an_engine_of_ones_own_may_have_any_options(tmp_path: Path) -> None:
    assert load(tmp_path, engine="my.Engine", options={"colour": "red"}).entry.options


@pytest.mark.parametrize("box", [Box(), Box(machine="aarch64"), Box(gpus=1, cuda=True)])
def test_the_options_of_the_catalog_that_ships_fit_every_box(box: Box) -> None:
    for model in catalog.load(None).models.values():
        for one in model.variants.values() or [model]:
            assert spec_for(one.entry, Settings(), box, Files()).options == one.entry.options
