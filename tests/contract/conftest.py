"""Loads each engine under test once, and runs a module's cases on all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from ipc.engines import ENGINES
from ipc.messages.jobs import Task
from ipc.options import described
from tests.contract.driver import Driver
from tests.contract.served import Running, serving
from tests.contract.subjects import HIBARI, SLOTS, Bench, Subject
from tests.contract.upstream import edge_serve


@pytest.fixture(scope="session")
def upstream() -> Iterator[str]:
    """The address of another server."""
    with edge_serve(SLOTS) as address:
        yield address


@pytest.fixture(scope="session")
def speaking() -> Iterator[str]:
    """The address of another server, with a model that speaks."""
    with serving(MODELS=HIBARI) as server:
        yield f"{server.url}/v1"


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
                spoken = subject.task == "speak"  # which has to be heard
                options = {
                    "base_url": request.getfixturevalue("speaking" if spoken else "upstream"),
                    "model": HIBARI if spoken else str(subject.task),
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


def _without_a_model(task: Task) -> list[Subject]:
    """The engines that need neither a model nor an option: `echo`, and whichever is like it."""
    return [
        Subject(engine.name, task)
        for engine in ENGINES.values()
        if engine.files == "optional" and task in engine.serves
        if not any(option.is_required for option in described(engine.serves[task].options))
    ]


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
        subjects = [*_without_a_model(task), remote, *subjects]
    if metafunc.definition.get_closest_marker("gradual") is not None:
        subjects = [subject for subject in subjects if subject.gradual]
    if metafunc.definition.get_closest_marker("trained") is not None:
        subjects = [subject for subject in subjects if subject.trained]
    metafunc.parametrize("bench", subjects, indirect=True, ids=str)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "model: needs an engine with a real model, not echo")
    config.addinivalue_line("markers", "exact: needs an engine that repeats its greedy answers")
    config.addinivalue_line("markers", "gradual: needs an engine whose text comes bit by bit")
    config.addinivalue_line("markers", "trained: needs weights that are not random")


def pytest_addoption(parser: pytest.Parser) -> None:
    where = "of a server that runs with the default models: it is asked, rather than one of ours"
    parser.addoption("--through", metavar="URL", help=f"the address {where}")
    parser.addoption(
        "--through-ollama", metavar="URL", help="the same of its port for Ollama's API"
    )


@pytest.fixture(scope="module")
def server(pytestconfig: pytest.Config) -> Iterator[Running]:
    """With the default models, for all tests of a module."""
    if url := pytestconfig.getoption("--through", None):
        yield Running(url)
        return
    with serving() as server:
        yield server
