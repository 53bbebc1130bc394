"""The engine for tests breaks on command only where tests allow it."""

from __future__ import annotations

import pytest

from ipc.engines import TEST_ENGINES
from ipc.messages.errors import InvalidRequest
from ipc.messages.events import Done
from ipc.messages.jobs import EmbedInput, Job
from ipc.messages.spec import Spec
from worker.engine import LoadError
from worker.engines.echo.engine import Echo


def loaded(**options: str | float) -> Echo:
    engine = Echo()
    engine.load(
        Spec(name="a", task="embed", engine="echo", path="", options=options), lambda _: None
    )
    return engine


def job(text: str) -> Job:
    return Job(id="j", model="a", input=EmbedInput(texts=[text]), deadline_at=1e9)


@pytest.fixture
def _serving(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(TEST_ENGINES)


@pytest.mark.usefixtures("_serving")
def test_a_client_cannot_break_it() -> None:
    engine = loaded()
    with pytest.raises(InvalidRequest, match=f"faults are for tests; set {TEST_ENGINES}=1"):
        engine.admit(job("/exit 3"))
    assert engine.admit(job("exit 3"))
    assert isinstance(engine.step()[0], Done)


@pytest.mark.usefixtures("_serving")
@pytest.mark.parametrize("fault", [{"load_fails": "always"}, {"load_exits": 0}, {"orders": "/p"}])
def test_its_loading_cannot_be_broken(fault: dict[str, str | float]) -> None:
    loaded(word_ms=0, dimensions=4)
    with pytest.raises(LoadError, match=f"its faults are for tests; set {TEST_ENGINES}=1"):
        loaded(**fault)


def test_tests_may_break_it() -> None:
    engine = loaded()
    engine.admit(job("/raise now"))
    with pytest.raises(RuntimeError, match="told to break"):
        engine.step()
    with pytest.raises(LoadError, match="told to fail"):
        loaded(load_fails="always")
