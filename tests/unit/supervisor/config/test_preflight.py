"""What `check` finds on a box that would keep a model from starting there."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from ipc.messages.spec import Spec
from supervisor.config.preflight import obstacles
from supervisor.host.hardware import Box

NO_GPU, ONE_GPU = Box(), Box(gpus=1, cuda=True)


def spec(engine: str, device: str = "cpu", **options: Any) -> Spec:
    return Spec(name="a", task="chat", engine=engine, path="/p", device=device, options=options)


@pytest.mark.parametrize(
    ("engine", "device", "box", "message"),
    [
        (
            "torch",
            "cuda",
            NO_GPU,
            "device: cuda is not there: the NVIDIA driver has no GPU; set an",
        ),
        ("torch", "cuda:1", ONE_GPU, "device: cuda:1 is not there: the NVIDIA driver has 1 GPU"),
        ("torch", "cuda:0", Box(gpus=1), "the torch that is installed cannot use cuda:0; install"),
        ("torch", "mps", NO_GPU, "device: mps is there on Macs with Apple silicon only; set auto"),
        ("ctranslate2", "cuda:0", Box(gpus=1, cuda=True, cublas12=False), "libcublas.so.12 to use"),
        ("onnx-asr", "cuda:0", ONE_GPU, "replace the package onnxruntime with onnxruntime-gpu"),
        ("my.Engine", "cuda:2", ONE_GPU, "device: cuda:2 is not there"),
    ],
)
def test_a_device_that_is_not_there(engine: str, device: str, box: Box, message: str) -> None:
    assert message in obstacles(spec(engine, device), box)[0]


@pytest.mark.parametrize(
    ("engine", "device", "box"),
    [
        ("torch", "cpu", NO_GPU),
        ("torch", "cuda", ONE_GPU),
        ("torch", "cuda:0", ONE_GPU),
        ("onnx-asr", "cuda:0", Box(gpus=1, onnxruntime=True)),
        ("torch", "mps", Box(mps=True)),
    ],
)
def test_a_device_that_is_there(engine: str, device: str, box: Box) -> None:
    assert obstacles(spec(engine, device), box) == []


def test_a_program_has_libraries_of_its_own() -> None:
    command = f"{sys.executable} {{port}}"
    assert obstacles(spec("command", "cuda:0", command=command), Box(gpus=1)) == []


@pytest.mark.parametrize("program", ["no-such-program", "/nowhere/serve", "{path}/serve"])
def test_a_program_that_is_not_installed(program: str) -> None:
    (found,) = obstacles(spec("command", command=f"{program} --port {{port}}"), NO_GPU)
    missing = program.replace("{path}", "/p")
    assert found.startswith(f"options.command: there is no program {missing!r}; install it")


def test_a_key_that_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = spec("remote", base_url="http://host/v1", api_key_env="THEIR_KEY")
    monkeypatch.delenv("THEIR_KEY", raising=False)
    assert obstacles(asked, NO_GPU) == [
        "options.api_key_env: THEIR_KEY is not set; set it to the server's key"
    ]
    monkeypatch.setenv("THEIR_KEY", "sk-1")
    assert obstacles(asked, NO_GPU) == []


def test_a_certificate_that_cannot_be_read(tmp_path: Path) -> None:
    def found(verify: bool | str) -> list[str]:
        return obstacles(spec("remote", base_url="https://host/v1", verify=verify), NO_GPU)

    (tmp_path / "empty.pem").touch()
    assert "No such file or directory; name a file" in found(str(tmp_path / "none.pem"))[0]
    assert "it holds no certificate; name a file" in found(str(tmp_path / "empty.pem"))[0]
    assert found(False) == found(True) == []


def test_an_engine_of_ones_own_that_is_not_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert obstacles(spec("shout_for_test.Shout"), NO_GPU) == [
        "engine: no Python module 'shout_for_test' is found; put its folder into PYTHONPATH"
    ]
    (tmp_path / "shout_for_test.py").write_text("class Shout: ...")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert obstacles(spec("shout_for_test.Shout"), NO_GPU) == []


OWN = {
    "class Shout: ...": True,
    "from other import Shout": True,
    "from other import Loud as Shout": True,
    "if True:\n    Shout = make()": True,
    "from other import *": True,
    "def __getattr__(name): ...": True,
    "class Whisper:\n    class Shout: ...": False,
    "Shout.load()": False,
    "": False,
    "class Shout(": True,  # the worker says what is wrong
}


@pytest.mark.parametrize(("source", "may_be_there"), OWN.items())
def test_a_class_that_an_engine_of_ones_own_does_not_define_is_named(
    source: str, may_be_there: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "own_for_test"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "engine.py").write_text(source)
    monkeypatch.syspath_prepend(str(tmp_path))
    found = obstacles(spec("own_for_test.engine.Shout"), NO_GPU)
    file = package / "engine.py"
    absent = [f"engine: {file} defines no Shout; write the name of its class"]
    assert found == ([] if may_be_there else absent)
    assert obstacles(spec("own_for_test.other.Shout"), NO_GPU) == [
        "engine: no Python module 'own_for_test.other' is found; put its folder into PYTHONPATH"
    ]
