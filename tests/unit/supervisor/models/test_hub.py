"""Downloads from a hub that breaks off, lies, or is another one the next time."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from supervisor.config.catalog import Model
from supervisor.config.entries.entry import Entry
from supervisor.config.entries.source import parse_source
from supervisor.models import hub_files, to_safetensors
from supervisor.models.archive import FetchError, Report, UnreachedError
from supervisor.models.store import Store
from tests.fake_hub import FakeHub
from tests.unit.supervisor.discovery.conftest import hub

__all__ = ["hub"]

WEIGHTS = os.urandom(3 << 20)
NOTE = b'{"a": 1}'


def model(include: list[str] | None = None) -> Model:
    entry = Entry(name="acme/one", task="chat", source="hf:acme/one", include=include)
    return Model(entry, parse_source("hf:acme/one", Path()))


GGUF = model(["*.gguf"])


def silent(_label: str, _done: int, _total: int) -> None:
    return


def pulled(store: Store, wanted: Model) -> list[str]:
    """The files that are there."""
    manifest = store.manifest(wanted)
    return sorted(manifest.files) if manifest else []


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "models")


# --- which files ----------------------------------------------------------------------------------


def test_safetensors_are_fetched_with_what_goes_with_them_and_no_pickle(
    hub: FakeHub, store: Store
) -> None:
    files = ("model.safetensors", "config.json", "pytorch_model.bin", "README.md", "old.ckpt")
    hub.put("acme/one", dict.fromkeys(files, NOTE))
    store.pull(model(), silent)
    assert pulled(store, model()) == ["config.json", "model.safetensors"]


def test_a_model_in_openvinos_format_is_fetched_where_there_are_no_safetensors(
    hub: FakeHub, store: Store
) -> None:
    """Its weights are no pickle, though they are called *.bin."""
    files = ["config.json", "openvino_language_model.bin", "openvino_language_model.xml"]
    hub.put("acme/one", dict.fromkeys([*files, "pytorch_model.bin"], NOTE))
    store.pull(model(), silent)
    assert pulled(store, model()) == files


def test_pickled_weights_are_fetched_where_there_are_no_others_and_rewritten(
    hub: FakeHub, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def rewritten(source: Path, target: Path, _report: Report) -> None:
        target.write_bytes(source.read_bytes()[::-1])

    hub.put("acme/one", {"config.json": NOTE, "pytorch_model.bin": WEIGHTS})
    with pytest.raises(FetchError, match=r"pytorch_model.bin is not a plain table of tensors"):
        store.pull(model(), silent)
    assert pulled(store, model()) == []
    monkeypatch.setattr(to_safetensors, "rewrite", rewritten)
    store.pull(model(), silent)
    assert pulled(store, model()) == ["config.json", "model.safetensors"]
    assert (store.path(model()) / "model.safetensors").read_bytes() == WEIGHTS[::-1]


def test_a_repository_without_weights_asks_for_the_files_to_take(
    hub: FakeHub, store: Store
) -> None:
    hub.put("acme/one", {"config.json": NOTE})
    with pytest.raises(FetchError, match=r"name the files to take in include, such as"):
        store.pull(model(), silent)


# --- what comes -----------------------------------------------------------------------------------


def test_files_are_recorded_with_the_digests_that_the_hub_has(hub: FakeHub, store: Store) -> None:
    hub.put("acme/one", {"one.gguf": WEIGHTS})
    hub.token = "hf_secret"
    store.pull(GGUF, silent, token="hf_secret")
    manifest = store.manifest(GGUF)
    assert manifest is not None
    assert manifest.files["one.gguf"].sha256 == hashlib.sha256(WEIGHTS).hexdigest()
    assert store.fault(GGUF, manifest, store.path(GGUF), silent) is None
    assert [path.name for path in store.folder.iterdir() if path.name != ".locks"] == ["acme--one"]


def test_how_far_it_is_counts_the_bytes_of_all_files(hub: FakeHub, store: Store) -> None:
    hub.put("acme/one", {"one.gguf": WEIGHTS, "two.gguf": WEIGHTS})
    seen: list[tuple[str, int, int]] = []
    store.pull(model(["*.gguf"]), lambda *facts: seen.append(facts))
    counted = [(done, total) for label, done, total in seen if label == "hf:acme/one"]
    assert counted[0] == (0, 0)
    assert counted[-1] == (6 << 20, 6 << 20)
    assert [done for done, _ in counted] == sorted(done for done, _ in counted)


@pytest.mark.parametrize(("name", "size"), [("one.gguf", 3 << 20), ("small.gguf", 100)])
def test_other_bytes_than_promised_are_refused_and_fetched_anew(
    hub: FakeHub, store: Store, name: str, size: int
) -> None:
    """Whether the hub knows the file by its SHA-256, as large ones, or by git's digest."""
    hub.put("acme/one", {name: WEIGHTS[:size]})
    hub.corrupt.add(name)
    with pytest.raises(FetchError, match=f"{name} has come with other bytes than the hub has"):
        store.pull(GGUF, silent)
    assert store.manifest(GGUF) is None
    hub.corrupt.clear()
    store.pull(GGUF, silent)
    assert store.manifest(GGUF) is not None


def test_a_line_that_breaks_is_taken_up_again(
    hub: FakeHub, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub_files, "WAIT_S", 0.0)
    hub.put("acme/one", {"one.gguf": WEIGHTS})
    hub.breaks_after = 2 << 20
    store.pull(GGUF, silent)
    assert [begin for _, begin, _ in hub.sent] == [0, 2 << 20]
    assert (store.folder / "acme--one" / "one.gguf").read_bytes() == WEIGHTS


def test_a_pull_that_was_interrupted_is_gone_on_with_by_the_next(
    hub: FakeHub, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.put("acme/one", {"one.gguf": WEIGHTS})
    hub.breaks_after = 2 << 20
    with monkeypatch.context() as patched:
        patched.setattr(hub_files, "TRIES", 0)
        with pytest.raises(FetchError, match="cannot be downloaded"):
            store.pull(GGUF, silent)
    store.pull(GGUF, silent)
    assert [begin for _, begin, _ in hub.sent] == [0, 2 << 20]
    assert (store.folder / "acme--one" / "one.gguf").read_bytes() == WEIGHTS


def test_another_form_is_not_mixed_with_what_an_interrupted_pull_has_left(
    hub: FakeHub, store: Store
) -> None:
    hub.put("acme/one", {"one.gguf": WEIGHTS, "two.bin": WEIGHTS})
    hub.corrupt.add("one.gguf")
    with pytest.raises(FetchError):
        store.pull(model(include=["*.gguf", "*.bin"]), silent)
    assert (store.folder / "acme--one.partial").exists()
    hub.corrupt.clear()
    store.pull(GGUF, silent)
    manifest = store.manifest(GGUF)
    assert manifest is not None
    assert list(manifest.files) == ["one.gguf"]


def test_a_hub_that_cannot_be_reached_is_one_clear_line(
    store: Store, hub: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:1")
    with pytest.raises(UnreachedError, match=r"hf:acme/one cannot be downloaded: .*refused"):
        store.pull(GGUF, silent)
    assert hub.asked == []


@pytest.mark.usefixtures("hub")
def test_what_is_not_there_will_not_be_there_later(store: Store) -> None:
    with pytest.raises(FetchError) as raised:
        store.pull(GGUF, silent)
    assert not isinstance(raised.value, UnreachedError)
