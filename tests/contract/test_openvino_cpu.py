"""On which cores OpenVINO reads texts and hears: on any, as other models compute beside it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ipc.messages.spec import Spec
from tests.contract.driver import Driver, embed
from tests.contract.subjects import MINILM, WHISPER, real_model
from worker.engines import make


def threads() -> set[int]:
    return {int(folder.name) for folder in Path("/proc/self/task").iterdir()}


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="one core is all there is")
@pytest.mark.parametrize(
    ("engine", "task", "model"), [("openvino", "embed", MINILM), ("ctranslate2", "speech", WHISPER)]
)
def test_no_thread_is_tied_to_a_core(engine: str, task: str, model: str, tmp_path: Path) -> None:
    spec = Spec(
        name="under-test",
        task=task,  # type: ignore[arg-type]
        engine=engine,
        path=str(real_model(model)),
        cache=str(tmp_path),
        threads=2,
        slots=1,
    )
    before = threads()
    under_test = make(spec)
    under_test.load(spec, print)  # speech runs a window as it loads
    if task == "embed":
        Driver(under_test).run(embed(*["a few words"] * 32))
    tied = {thread for thread in threads() - before if len(os.sched_getaffinity(thread)) == 1}
    under_test.close()
    assert not tied
