"""The engines under test, and where their models are.

Every engine of a task is run through the same cases. To bring another under the contract, add a
`Subject` to its table.
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import tiny
from driver import Driver
from upstream import edge_serve

from ipc.types import Loaded, Spec, Task
from worker.engine import Engine
from worker.engines import make

CHECKOUT = Path(__file__).parents[2]
SLOTS = 4
MAX_PROMPT_TOKENS = 400

LLAMA_SERVER = str(Path(__file__).with_name("llama_server.py"))

SMOLLM2 = "HuggingFaceTB/SmolLM2-135M-Instruct"
MINILM = "sentence-transformers/all-MiniLM-L6-v2"
WHISPER = "openai/whisper-base"


def real_model(name: str, file: str = "") -> Path:
    """Where the store keeps a model of the catalog, or the one ``file`` that is loaded of it."""
    models = Path(os.environ.get("EDGE_SERVE_MODELS_DIR") or CHECKOUT / "models")
    path = models / name.replace("/", "--") / file
    if not path.exists():
        pytest.fail(f"{path} is missing: bin/test pulls the models, then runs these tests")
    return path


def recording(name: str) -> bytes:
    """A real recording that bin/test fetches."""
    folder = Path(os.environ.get("EDGE_SERVE_TEST_DATA") or CHECKOUT / "tests" / ".data")
    path = folder / name
    if not path.exists():
        pytest.fail(f"{path} is missing: bin/test fetches the recordings, then runs these tests")
    return path.read_bytes()


@dataclass(frozen=True)
class Subject:
    """An engine and a model for it.

    ``model`` returns the model's path; it gets an empty folder in which it may build one. An engine
    is ``exact`` if nothing around a request, neither its company nor a cached prefix, changes how
    its numbers round: only then are two greedy answers to one prompt sure to be the same. One that
    is not ``gradual`` brings all text at once.
    """

    engine: str
    task: Task
    model: Callable[[Path], Path] = lambda scratch: scratch
    threads: int = 2
    exact: bool = True
    gradual: bool = True
    options: dict[str, str | int | float | bool] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.engine}-{self.task}"


# `echo` keeps the engine's side of the bargain but has no model, and `remote` asks an `echo`
# elsewhere: what takes a model is tested on the others only.
CHAT_MODELS = [
    Subject("torch", "chat", tiny.llama, 1, options={"prefill_tokens": 32}),
    Subject(
        "openvino",
        "chat",
        lambda _: real_model(SMOLLM2, "SmolLM2-135M-Instruct.Q4_1.gguf"),
        exact=False,
    ),
    Subject(
        "command",
        "chat",
        lambda _: real_model(SMOLLM2, "SmolLM2-135M-Instruct.Q4_1.gguf"),
        exact=False,
        options={"command": shlex.join([sys.executable, LLAMA_SERVER, "{path}", "{port}", "4"])},
    ),
]
EMBED_MODELS = [
    Subject("torch", "embed", lambda _: real_model(MINILM)),
    Subject("openvino", "embed", lambda _: real_model(MINILM)),
]
SPEECH_MODELS = [
    Subject("ctranslate2", "speech", lambda _: real_model(WHISPER)),
]


class Bench:
    """A loaded engine, shared by all tests of a run."""

    def __init__(self, subject: Subject, scratch: Path, **options: str) -> None:
        self.stages: list[str] = []
        self.spec = Spec(
            name="under-test",
            task=subject.task,
            engine=subject.engine,
            path=str(subject.model(scratch)),
            cache=str(scratch / "cache"),
            slots=SLOTS,
            threads=subject.threads,
            max_prompt_tokens=MAX_PROMPT_TOKENS,
            options={**subject.options, **options},
        )
        self.engine: Engine = make(self.spec)
        self.loaded: Loaded = self.engine.load(self.spec, self.stages.append)


@pytest.fixture(scope="session")
def upstream() -> Iterator[str]:
    """The address of another server."""
    with edge_serve(SLOTS) as address:
        yield address


@pytest.fixture(scope="session")
def load(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Callable[[Subject], Bench]]:
    """Loads a subject when it is first needed, and closes all at the end."""
    loaded: dict[str, Bench] = {}

    def once(subject: Subject) -> Bench:
        name = str(subject)
        if name not in loaded:
            options = {}
            if subject.engine == "remote":
                options = {
                    "base_url": request.getfixturevalue("upstream"),
                    "model": str(subject.task),
                }
            loaded[name] = Bench(subject, tmp_path_factory.mktemp(name), **options)
        return loaded[name]

    yield once
    for bench in loaded.values():
        bench.engine.close()


@pytest.fixture
def bench(request: pytest.FixtureRequest, load: Callable[[Subject], Bench]) -> Bench:
    """The engine under test; each module says which there are."""
    return load(request.param)


@pytest.fixture
def driver(bench: Bench) -> Iterator[Driver]:
    """A driver of the idle engine under test, which must become idle again afterwards."""
    driver = Driver(bench.engine)
    yield driver
    driver.clear()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each test that takes ``bench`` or ``driver`` on every engine of its module's task, or
    where it is marked ``model`` on those with a model only."""
    if "bench" not in metafunc.fixturenames:
        return
    subjects: list[Subject] = metafunc.module.MODELS
    if metafunc.definition.get_closest_marker("exact") is not None:
        subjects = [subject for subject in subjects if subject.exact]
    if metafunc.definition.get_closest_marker("model") is None:
        task = subjects[0].task
        remote = Subject("remote", task, gradual=task == "chat")
        subjects = [Subject("echo", task), remote, *subjects]
    if metafunc.definition.get_closest_marker("gradual") is not None:
        subjects = [subject for subject in subjects if subject.gradual]
    metafunc.parametrize("bench", subjects, indirect=True, ids=str)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "model: needs an engine with a real model, not echo")
    config.addinivalue_line("markers", "exact: needs an engine that repeats its greedy answers")
    config.addinivalue_line("markers", "gradual: needs an engine whose text comes bit by bit")
