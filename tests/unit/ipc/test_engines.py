"""The entries of the engines agree with the engines, which are read here and not imported."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from ipc.engines import ENGINES, Descriptor, Serving, is_own, serving
from ipc.options import described

ROOT = Path(__file__).parents[3]
SERVED = [
    (engine, task, served) for engine in ENGINES.values() for task, served in engine.serves.items()
]


def module(served: Serving) -> Path:
    return ROOT / f"{served.at.rpartition('.')[0].replace('.', '/')}.py"


def classes(path: Path) -> Iterator[ast.ClassDef]:
    return (node for node in ast.parse(path.read_text()).body if isinstance(node, ast.ClassDef))


@pytest.mark.parametrize(("engine", "task", "served"), SERVED, ids=str)
def test_the_class_of_an_entry_is_there(engine: Descriptor, task: str, served: Serving) -> None:
    assert served.at.rpartition(".")[2] in [one.name for one in classes(module(served))]
    assert engine.name == next(name for name, one in ENGINES.items() if one is engine)
    assert task != "chat" or engine.chat is not None


@pytest.mark.parametrize(("engine", "task", "served"), SERVED, ids=str)
def test_an_engine_reads_all_its_options(engine: Descriptor, task: str, served: Serving) -> None:
    files = [*module(served).parent.glob("*.py")]
    if task == "speech":
        files += (ROOT / "worker" / "hearing").glob("*.py")  # for all engines
    text = "".join(file.read_text() for file in files)
    read = set(re.findall(r"\b_?options\.(\w+)", text))
    if task == "chat" and engine.chat and "dialect" in {o.name for o in described(served.options)}:
        read.add("dialect")  # by the chat core, for all engines
    assert {one.name for one in described(served.options)} <= read, (engine.name, task)


def test_no_engine_asks_for_an_option_by_a_string() -> None:
    files = (ROOT / "worker").rglob("*.py")
    assert [
        file for file in files if re.search(r"spec\.options(\.get\(|\[)", file.read_text())
    ] == []


def test_the_engines_that_convert_are_those_that_prepare() -> None:
    """One that had no packages would never be asked to."""
    preparing = {
        path
        for path in (ROOT / "worker" / "engines").rglob("*.py")
        for one in classes(path)
        for method in one.body
        if isinstance(method, ast.FunctionDef) and method.name == "prepare" and method.body[1:]
    }
    assert preparing == {module(served) for engine, _, served in SERVED if engine.conversion}


def test_only_what_needs_files_reads_them() -> None:
    for engine in ENGINES.values():
        reading = [bool(served.reads) for served in engine.serves.values()]
        assert set(reading) == {engine.files == "needed"}, engine.name


def test_an_engine_of_ones_own_is_a_dotted_path() -> None:
    assert is_own("shout.Shout")
    assert not is_own("llama.cpp")
    assert not is_own("torch")
    assert serving("shout.Shout", "chat") is None
    assert serving("ctranslate2", "chat") is None
