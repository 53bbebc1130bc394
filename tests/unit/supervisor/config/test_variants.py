"""Which variant of a model a box gets: literal offers and memories in, choice and reason out."""

from __future__ import annotations

from pathlib import Path

import pytest

from supervisor.config import catalog
from supervisor.config.catalog import Catalog, Model
from supervisor.config.entries.source import HubRepo
from supervisor.config.errors import ConfigError
from supervisor.config.variants import Contender, Offer, choose, settle

FULL = Offer("bf16", 9000, ["cuda", "mps"])
LARGE, SMALL = Offer("Q8_0", 5000, ["cpu"]), Offer("Q4_K_M", 3000, ["cpu"])

CHOICES = [
    ("cpu", 16_000, "Q8_0", "needs 5000 MB of the 16000 MB that cpu has for it"),
    ("cpu", 5000, "Q8_0", "needs 5000 MB of the 5000 MB that cpu has for it"),
    (
        "cpu",
        4999,
        "Q4_K_M",
        "needs 3000 MB of the 4999 MB that cpu has for it; Q8_0 would need 5000",
    ),
    ("cpu", 100, "Q4_K_M", "the smallest, though it needs 3000 MB and cpu has 100 MB for it"),
    ("cuda", 24_000, "bf16", "needs 9000 MB of the 24000 MB that cuda has for it"),
    ("cuda", 8000, "bf16", "the smallest, though it needs 9000 MB and cuda has 8000 MB for it"),
]


@pytest.mark.parametrize(("device", "free_mb", "name", "why"), CHOICES)
def test_the_best_that_fits_is_chosen(device: str, free_mb: int, name: str, why: str) -> None:
    found, reason = choose([FULL, LARGE, SMALL], device, free_mb)
    assert found == name
    assert reason.startswith(why)


def test_where_none_is_for_the_device_all_are() -> None:
    assert choose([LARGE, SMALL], "cuda", 4000)[0] == "Q4_K_M"


TWO = """
models:
  - name: acme/one
    task: chat
    defaults: {temperature: 0.5}
    variants:
      - {name: Q8_0, memory_mb: 5000, hf_repo_id: acme/one-GGUF, path: one-Q8_0.gguf}
      - {name: Q4_K_M, memory_mb: 3000, hf_repo_id: acme/one-GGUF, path: one-Q4_K_M.gguf}
  - name: acme/two
    task: chat
    replicas: 2
    variants:
      - {name: Q8_0, memory_mb: 2000, source: "file:/srv/two-Q8_0.gguf"}
      - {name: Q4_0, memory_mb: 1000, source: "file:/srv/two-Q4_0.gguf"}
  - {name: acme/plain, task: chat, source: "file:/srv/plain", memory_mb: 1000}
"""


def load(folder: Path, text: str = TWO) -> Catalog:
    file = folder / "own.yaml"
    file.write_text(text)
    return catalog.load(file)


def chosen(
    models: list[Model], free_mb: int, pulled: dict[str, str] | None = None
) -> tuple[list[str | None], list[str]]:
    here = pulled or {}
    found = settle(
        [Contender(model, here.get(model.entry.name, ""), "cpu") for model in models],
        free_mb=lambda _: free_mb,
    )
    return [model.entry.variant for model in found.models], found.notes


@pytest.mark.parametrize(
    ("free_mb", "expected"),
    [
        (10_000, ["Q8_0", "Q8_0", None]),
        (9000, ["Q8_0", "Q4_0", None]),  # the one that stands first has the first choice
        (7000, ["Q4_K_M", "Q4_0", None]),
        (0, ["Q4_K_M", "Q4_0", None]),
    ],
)
def test_models_share_the_memory(tmp_path: Path, free_mb: int, expected: list[str | None]) -> None:
    models = load(tmp_path).select([])
    names, notes = chosen(models, free_mb)
    assert names == expected
    assert [note.partition(": needs")[0].partition(": the")[0] for note in notes] == [
        f"acme/one: variant {expected[0]}",
        f"acme/two: variant {expected[1]}",
    ]


def test_what_is_here_stays(tmp_path: Path) -> None:
    models = load(tmp_path).select(["acme/one"])
    names, notes = chosen(models, 64_000, {"acme/one": "Q4_K_M"})
    assert names == ["Q4_K_M"]
    assert notes == ["acme/one: variant Q4_K_M: it is here already"]


def test_the_entrys_own_choice_wins(tmp_path: Path) -> None:
    own = TWO.replace("task: chat\n    defaults", "task: chat\n    variant: Q4_K_M\n    defaults")
    models = load(tmp_path, own).select(["acme/one"])
    names, notes = chosen(models, 64_000, {"acme/one": "Q8_0"})
    assert names == ["Q4_K_M"]
    assert notes == ["acme/one: variant Q4_K_M: its entry names it"]


def test_what_is_pulled_and_offered_no_more_is_chosen_anew(tmp_path: Path) -> None:
    models = load(tmp_path).select(["acme/one"])
    assert chosen(models, 64_000, {"acme/one": "Q5_1"})[0] == ["Q8_0"]


def test_a_variant_has_the_entrys_keys_and_its_own(tmp_path: Path) -> None:
    model = load(tmp_path).models["acme/one"].variants["Q4_K_M"]
    assert model.source == HubRepo("acme/one-GGUF", "main")
    assert (model.entry.path, model.entry.memory_mb) == ("one-Q4_K_M.gguf", 3000)
    assert model.entry.defaults.temperature == 0.5
    assert not model.variants


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("name: acme/two\n", "name: acme/two\n    variant: Q8\n", "variant: no variant 'Q8'"),
        ("name: Q4_0, memory_mb", "name: Q8_0, memory_mb", "variants: two have the same name"),
        ("memory_mb: 2000, source", "source", r"variants.*memory_mb: is missing"),
        ("memory_mb: 2000, source", "memory_mb: 1, devices: [npu], source", "variants.*devices"),
        (', source: "file:/srv/two-Q4_0.gguf"', "", "source: is missing"),
    ],
)
def test_what_is_wrong_with_variants_is_named(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    with pytest.raises(ConfigError, match=f"acme/two: {message}"):
        load(tmp_path, TWO.replace(old, new))
