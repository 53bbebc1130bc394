"""The catalog of what was pulled: entries come and go, and what people have written stays."""

from __future__ import annotations

from pathlib import Path

import pytest

from supervisor.config import catalog, pulled_catalog
from supervisor.config.errors import ConfigError

ONE = {"name": "acme/one", "task": "chat", "source": "hf:acme/one", "path": "one-Q8_0.gguf"}
TWO = {"name": "acme/two", "task": "embed", "source": "hf:acme/two"}
EDITED = """\
# mine

models:
  # the first
  - name: acme/one
    task: chat
    source: hf:acme/one
    aliases: [gpt-4o]  # for an old client

  # about what follows
  - name: acme/two
    task: embed
    source: hf:acme/two
# the end
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return pulled_catalog.file_in(tmp_path / "models")


def names(file: Path) -> list[str]:
    return [name for name in catalog.load(None, file).models if name.startswith("acme/")]


def test_an_entry_is_in_the_catalog_from_then_on(file: Path) -> None:
    pulled_catalog.put(file, ONE)
    pulled_catalog.put(file, TWO)
    found = catalog.load(None, file)
    assert names(file) == ["acme/one", "acme/two"]
    assert found.models["acme/one"].entry.path == "one-Q8_0.gguf"
    assert found.serve == catalog.load(None).serve  # nothing is served for having been pulled


def test_an_entry_takes_the_place_of_the_one_with_its_name(file: Path) -> None:
    pulled_catalog.put(file, ONE)
    pulled_catalog.put(file, TWO)
    pulled_catalog.put(file, {**ONE, "path": "one-Q4_0.gguf"})
    assert names(file) == ["acme/one", "acme/two"]
    assert catalog.load(None, file).models["acme/one"].entry.path == "one-Q4_0.gguf"


def test_comments_and_other_entries_stay_as_they_are(file: Path) -> None:
    file.parent.mkdir(parents=True)
    file.write_text(EDITED)
    pulled_catalog.put(file, {**TWO, "memory_mb": 300})
    text = file.read_text()
    assert text.startswith(EDITED.partition("  - name: acme/two")[0])
    assert text.endswith("    memory_mb: 300\n# the end\n")


def test_an_entry_is_removed_with_nothing_else(file: Path) -> None:
    file.parent.mkdir(parents=True)
    file.write_text(EDITED)
    assert pulled_catalog.remove(file, "acme/one")
    assert "# about what follows\n  - name: acme/two" in file.read_text()
    assert "gpt-4o" not in file.read_text()
    assert names(file) == ["acme/two"]
    assert not pulled_catalog.remove(file, "acme/one")


def test_the_last_one_may_go_and_others_come(file: Path) -> None:
    pulled_catalog.put(file, ONE)
    assert pulled_catalog.remove(file, "acme/one")
    assert names(file) == []
    pulled_catalog.put(file, TWO)
    assert names(file) == ["acme/two"]


def test_an_own_catalog_changes_single_keys_of_what_was_pulled(file: Path, tmp_path: Path) -> None:
    pulled_catalog.put(file, ONE)
    own = tmp_path / "own.yaml"
    own.write_text("models: [{name: acme/one, aliases: [gpt-4o]}]\n")
    entry = catalog.load(own, file).models["acme/one"].entry
    assert (entry.aliases, entry.path) == (["gpt-4o"], "one-Q8_0.gguf")


def test_a_file_in_a_form_that_cannot_be_added_to_is_left_alone(file: Path) -> None:
    file.parent.mkdir(parents=True)
    file.write_text("models: [{name: acme/one, task: chat, source: 'hf:acme/one'}]\n")
    with pytest.raises(ConfigError, match="write each entry on lines of its own"):
        pulled_catalog.put(file, TWO)


# --- models that have joined ----------------------------------------------------------------------


def served(file: Path, *names: str) -> list[tuple[str, str | None]]:
    """What a server serves that was told these names, and when it is loaded."""
    chosen = catalog.load(None, file).served(list(names))
    return [(model.entry.name, model.entry.load) for model in chosen]


def test_a_model_that_has_joined_is_served_beside_what_is_named(file: Path) -> None:
    pulled_catalog.put(file, ONE)
    pulled_catalog.put(file, TWO)
    pulled_catalog.serve(file, "acme/one")
    assert served(file, "acme/two") == [("acme/two", None), ("acme/one", "on_demand")]
    assert served(file, "acme/one") == [("acme/one", None)]
    defaults = catalog.load(None).serve
    assert [name for name, _ in served(file)] == [*defaults, "acme/one"]


def test_its_entry_says_when_it_is_loaded(file: Path) -> None:
    pulled_catalog.put(file, {**ONE, "load": "always"})
    pulled_catalog.serve(file, "acme/one")
    assert served(file)[-1] == ("acme/one", "always")


def test_a_model_of_the_catalog_joins_without_an_entry(file: Path) -> None:
    pulled_catalog.serve(file, "hibari")
    pulled_catalog.serve(file, "hibari")
    assert served(file)[-1] == ("hibari", "on_demand")
    pulled_catalog.put(file, ONE)
    assert names(file) == ["acme/one"]
    assert served(file)[-1] == ("hibari", "on_demand")


def test_one_that_is_removed_has_left(file: Path) -> None:
    pulled_catalog.put(file, ONE)
    for name in ("acme/one", "hibari"):
        pulled_catalog.serve(file, name)
    for name in ("acme/one", "hibari"):
        assert pulled_catalog.remove(file, name)
    assert served(file) == [(name, None) for name in catalog.load(None).serve]
    pulled_catalog.serve(file, "hibari")
    assert served(file)[-1] == ("hibari", "on_demand")


def test_a_server_starts_without_a_model_that_no_catalog_has_any_more(file: Path) -> None:
    pulled_catalog.serve(file, "acme/gone")
    found = catalog.load(None, file)
    assert [model.entry.name for model in found.served([])] == found.serve
    assert found.warnings == ["acme/gone: has joined, and no catalog has it any more"]


def test_what_has_joined_stays_beside_a_catalog_of_ones_own(file: Path, tmp_path: Path) -> None:
    pulled_catalog.put(file, ONE)
    pulled_catalog.serve(file, "acme/one")
    own = tmp_path / "own.yaml"
    own.write_text("models: [{name: mine, task: chat, engine: echo}]")
    chosen = catalog.load(own, file).served([])
    assert [model.entry.name for model in chosen] == ["mine", "acme/one"]
