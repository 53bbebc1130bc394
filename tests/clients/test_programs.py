"""Client libraries, each by a program that uses it as its own documentation does.

What a program asserts has to hold whatever the model says, so that a small one will do: a call that
must be made is made, what must fit a schema fits. A client is one file in `programs`, which names
what it needs: `bin/test clients langchain`, on another engine `bin/test clients langchain --engine
torch`. Results are in docs/clients.md.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import httpx2
import pytest

from tests.clients.conftest import environment, packages

PROGRAMS = Path(__file__).with_name("programs")
PYTHON, NODE = (sorted(PROGRAMS.glob(f"[a-z]*.{ending}")) for ending in ("py", "mjs"))
LONGEST_S = 1800


def named(program: Path) -> str:
    return program.stem.replace("_", "-")


class Needs(NamedTuple):
    """What a program needs: packages, each by its version, and models, each by a capability, whose
    names it is given after the address."""

    packages: list[str]
    models: list[str]


def needs(program: Path) -> Needs:
    """The inline metadata of ``program`` (PEP 723; of JavaScript in its own comments)."""
    mark = "#" if program.suffix == ".py" else "//"
    block = re.search(
        rf"^{mark} /// script$(.*?)^{mark} ///$", program.read_text(), re.MULTILINE | re.DOTALL
    )
    assert block is not None, f"{program} does not say what it needs"
    found = tomllib.loads(block[1].replace(f"\n{mark}", "\n"))
    own = found.get("tool", {}).get("edge-serve", {})
    return Needs(found["dependencies"], own.get("models", ["chat-completion"]))


Argued = Callable[[Needs], list[str]]


@pytest.fixture
def arguments(server: tuple[str, Path]) -> Argued:
    """The address, and the first model of each kind that is needed."""
    models = httpx2.get(f"{server[0]}/v1/models", timeout=30).json()["data"]

    def of(needed: Needs) -> list[str]:
        return [
            f"{server[0]}/v1",
            *(
                next(one["id"] for one in models if kind in one["capabilities"])
                for kind in needed.models
            ),
        ]

    return of


@pytest.mark.timeout(LONGEST_S)
@pytest.mark.parametrize("program", PYTHON, ids=named)
def test_a_library_of_python(program: Path, arguments: Argued) -> None:
    needed = needs(program)
    programs = environment(named(program), "\n".join(needed.packages) + "\n")
    # Without -P a program would import itself in place of the library it is named after.
    run([str(programs / "python"), "-P", str(program), *arguments(needed)])


@pytest.mark.timeout(LONGEST_S)
@pytest.mark.parametrize("program", NODE, ids=named)
def test_a_library_of_node(program: Path, arguments: Argued) -> None:
    needed = needs(program)
    # Packages are looked for beside the program.
    beside = shutil.copy(program, packages(named(program), needed.packages))
    run(["node", str(beside), *arguments(needed)])


def run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    sys.stderr.write(done.stderr)
