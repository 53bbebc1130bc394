"""Client libraries, each by a program that uses it as its own documentation does.

What a program asserts has to hold whatever the model says, so that a small one will do: a call that
must be made is made, what must fit a schema fits. A client is one file in `programs`, which names
what it needs: `bin/test clients langchain`. Results are in docs/clients.md.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import httpx2
import pytest

from tests.clients.conftest import environment

PROGRAMS = Path(__file__).with_name("programs")
PYTHON = sorted(PROGRAMS.glob("[a-z]*.py"))
LONGEST_S = 900


def named(program: Path) -> str:
    return program.stem.replace("_", "-")


def needs_python(program: Path) -> str:
    """The requirements in a program's inline metadata (PEP 723), one a line."""
    block = re.search(r"^# /// script$(.*?)^# ///$", program.read_text(), re.MULTILINE | re.DOTALL)
    assert block is not None, f"{program} does not say what it needs"
    found = tomllib.loads(block[1].replace("\n#", "\n"))
    return "\n".join(found["dependencies"]) + "\n"


@pytest.fixture
def asked(server: tuple[str, Path]) -> list[str]:
    """The address and the name of the chat model."""
    address = server[0]
    models = httpx2.get(f"{address}/v1/models", timeout=30).json()["data"]
    return [f"{address}/v1", next(one["id"] for one in models if "chat" in one["capabilities"])]


@pytest.mark.timeout(LONGEST_S)
@pytest.mark.parametrize("program", PYTHON, ids=named)
def test_a_library_of_python(program: Path, asked: list[str]) -> None:
    programs = environment(named(program), needs_python(program))
    # Without -P a program would import itself in place of the library it is named after.
    run([str(programs / "python"), "-P", str(program), *asked])


def run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    sys.stderr.write(done.stderr)
