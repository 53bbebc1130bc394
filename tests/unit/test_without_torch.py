"""What the README's one command installs is enough to import every command: no torch, no tools of
the tests, no sentence-transformers."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# What only requirements-torch.txt and requirements-test.txt bring.
_NOT_THERE = ["torch", "transformers", "accelerate", "sentence_transformers", "openai"]
_NOT_THERE += ["scipy", "sklearn", "jiwer", "pytest", "hypothesis", "matplotlib"]
_IMPORT = """
import importlib, json, sys
missing = set(json.loads(sys.argv[1]))

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in missing:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Absent())
for module in sys.argv[2:]:
    importlib.import_module(module)
"""


def modules(*folders: str) -> list[str]:
    files = (file for folder in folders for file in (ROOT / folder).rglob("*.py"))
    return sorted(
        ".".join(file.relative_to(ROOT).with_suffix("").parts)
        for file in files
        if file.stem not in ("__main__", "__init__") and "apps" not in file.parts
    )


def imported(*names: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-P", "-c", _IMPORT, json.dumps(_NOT_THERE), *names]
    return subprocess.run(
        argv,
        env={"PYTHONPATH": str(ROOT), "PATH": ""},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_every_command_can_be_imported() -> None:
    ended = imported(*modules("supervisor", "frontend", "ipc"))
    assert ended.returncode == 0, ended.stderr


# `bench gpu` measures torch, and says so before anything else.
_OF_TORCH = {"tests.bench.gpu", "tests.bench.ceilings", "tests.bench.random_model"}


def test_every_measurement_can_be_imported_but_what_draws() -> None:
    # `--plot` installs what it draws with.
    ended = imported(*(set(modules("bench")) - {"bench.load.plot"}))
    assert ended.returncode == 0, ended.stderr


@pytest.mark.parametrize("module", sorted(_OF_TORCH))
def test_the_blocking_blocks(module: str) -> None:
    assert "No module named 'torch'" in imported(module).stderr
