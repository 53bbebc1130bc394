"""`pull` measures the engines that can serve a GGUF file, once, and the fastest serves it."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from ipc.facts.pace import Pace
from ipc.messages.spec import Spec
from ipc.runtime import durable
from supervisor.config import catalog, settings
from supervisor.config.catalog import Model
from supervisor.host.hardware import Box
from supervisor.host.timings import Subject, Timing
from supervisor.launch.candidate import Candidate
from supervisor.launch.stages import Launch
from supervisor.models import store, timed
from tests.unit.ipc.test_gguf import PAIRS, TENSORS, gguf, pair, text

ENTRY = "models: [{name: acme/chat, task: chat, hf_repo_id: acme/chat-GGUF}]"
LLAMA = gguf([pair("general.architecture", 8, text("llama")), *PAIRS[1:]], TENSORS)
ALONE = {"openvino": 20.0, "llama.cpp": 30.0}


def silent(_label: str, _done: int, _total: int) -> None:
    return


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The engines that were measured, in order. llama.cpp is faster throughout."""
    found: list[str] = []

    def measure(spec: Spec, subject: Subject, _prepare: Callable[[], Spec]) -> Timing:
        assert spec.engine == subject.engine
        found.append(spec.engine)
        alone = ALONE[spec.engine]
        pace = Pace(alone_per_s=alone, full_per_s=2 * alone, prompt_per_s=3 * alone)
        return Timing(subject=subject, slots=spec.slots, pace=pace)

    def fill(partial: Path, _model: Model, _report: object, _token: str | None) -> dict[str, str]:
        (partial / "model.gguf").write_bytes(LLAMA)
        return {}

    monkeypatch.setattr(timed, "measure", measure)
    monkeypatch.setattr(timed, "is_idle", lambda: True)
    monkeypatch.setattr(store, "_fill", fill)
    monkeypatch.setattr(Launch, "_converted", lambda _self, spec, _report: spec)
    return found


def launch(*, times_engines: bool = True, box: Box | None = None) -> Launch:
    made = Launch(settings.load(settings.Flags()), box or Box(threads=2))
    made.times_engines = times_engines
    return made


def pulled(folder: Path, entry: str = ENTRY, by: Launch | None = None) -> Candidate:
    file = folder / "own.yaml"
    file.write_text(entry)
    by = by or launch()
    (candidate,) = by.candidates(catalog.load(file).select([])).all
    return by.fetch(candidate, silent)


def test_the_fastest_serves_and_the_reason_is_told(measured: list[str], tmp_path: Path) -> None:
    spec = pulled(tmp_path).spec
    assert measured == ["openvino", "llama.cpp"]
    assert spec.engine == "llama.cpp"
    assert spec.engine_why.startswith("measured here, tokens/s: openvino 20 alone")
    models = catalog.load(tmp_path / "own.yaml").select([])
    _, notes = launch(times_engines=False).candidates(models)
    assert notes == [f"acme/chat: engine llama.cpp: {spec.engine_why}"]


def test_it_is_measured_once(measured: list[str], tmp_path: Path) -> None:
    pulled(tmp_path)
    pulled(tmp_path)
    assert len(measured) == 2


def test_another_cpu_is_measured_again_and_meanwhile_the_rule_holds(
    measured: list[str], tmp_path: Path
) -> None:
    pulled(tmp_path)
    other = Box(threads=4)
    start = launch(times_engines=False, box=other)
    spec = pulled(tmp_path, by=start).spec
    assert (spec.engine, spec.engine_why) == ("openvino", "")
    assert pulled(tmp_path, by=launch(box=other)).spec.engine == "llama.cpp"
    assert len(measured) == 4


@pytest.mark.parametrize("key", ["engine: openvino", "device: cuda", "vision: true"])
def test_what_the_entry_says_wins(measured: list[str], key: str, tmp_path: Path) -> None:
    entry = ENTRY.replace("task: chat", f"task: chat, {key}")
    spec = pulled(tmp_path, entry, launch(box=Box(cuda=True) if "cuda" in key else None)).spec
    assert measured == []
    assert spec.engine_why == ""


@pytest.mark.usefixtures("measured")
def test_an_entry_that_names_an_engine_later_wins_too(tmp_path: Path) -> None:
    pulled(tmp_path)
    spec = pulled(tmp_path, ENTRY.replace("task: chat", "task: chat, engine: openvino")).spec
    assert (spec.engine, spec.engine_why) == ("openvino", "")


def test_a_box_at_work_is_not_measured(
    measured: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(timed, "is_idle", lambda: False)
    assert pulled(tmp_path).spec.engine == "openvino"
    assert measured == []


def test_what_cannot_be_kept_is_not_measured(
    measured: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(durable, "why_not_written", lambda _path: "Read-only file system")
    assert pulled(tmp_path).spec.engine == "openvino"
    assert measured == []


def test_a_disk_that_is_full_by_then_costs_the_measurement_only(
    measured: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def write(_folder: Path, _timings: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(timed, "write", write)
    assert pulled(tmp_path).spec.engine == "openvino"
    assert len(measured) == 2


@pytest.mark.usefixtures("measured")
def test_what_a_slower_engine_was_converted_for_is_removed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    converted = tmp_path / "models/.cache/acme--chat/converted"
    measure = timed.measure

    def measured(spec: Spec, subject: Subject, prepare: Callable[[], Spec]) -> Timing:
        converted.mkdir(parents=True, exist_ok=True)
        return measure(spec, subject, prepare)

    monkeypatch.setattr(timed, "measure", measured)
    pulled(tmp_path)
    assert not converted.exists()


@pytest.mark.usefixtures("measured")
def test_a_conversion_that_was_there_stays_since_a_running_server_may_serve_by_it(
    tmp_path: Path,
) -> None:
    converted = tmp_path / "models/.cache/acme--chat/converted"
    converted.mkdir(parents=True)
    assert pulled(tmp_path).spec.engine == "llama.cpp"
    assert converted.exists()


def test_only_what_one_engine_reads_is_not_measured(measured: list[str], tmp_path: Path) -> None:
    assert pulled(tmp_path, by=launch(box=Box(machine="aarch64"))).spec.engine == "llama.cpp"
    assert measured == []


def test_measure_engines_is_a_setting() -> None:
    os.environ["MEASURE_ENGINES"] = "0"
    assert not settings.load(settings.Flags()).measure_engines
