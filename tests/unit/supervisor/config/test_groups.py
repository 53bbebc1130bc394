"""Groups of models in a catalog: what is read of them, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from ipc.messages.spec import Groups
from supervisor.config import catalog
from supervisor.config.errors import ConfigError

MODELS = """
models:
  - {name: a/a, task: chat, engine: echo}
  - {name: b/b, task: chat, engine: echo}
groups:
"""


def load(folder: Path, groups: str) -> Groups:
    file = folder / "own.yaml"
    file.write_text(MODELS + groups)
    return catalog.load(file).groups


def test_models_are_kept_apart_and_together(tmp_path: Path) -> None:
    groups = load(tmp_path, "  - never_together: [a/a, b/b]\n  - keep_together: [b/b, a/a]")
    assert groups == Groups(never_together=[["a/a", "b/b"]], keep_together=[["b/b", "a/a"]])
    assert groups.rivals("a/a") == groups.companions("a/a") == {"b/b"}
    assert groups.rivals("c") == set()


def test_there_need_be_no_groups() -> None:
    assert catalog.load(None).groups == Groups()


@pytest.mark.parametrize(
    ("groups", "told"),
    [
        ("  together: 1", "groups: is not a list"),
        ("  - apart: [a/a, b/b]", r"groups\[0\]: is neither never_together nor keep_together"),
        ("  - keep_together: [a/a]", r"groups\[0\]: keep_together: is not a list of two models"),
        ("  - never_together: [a/a, a/a]", "is not a list of two models or more"),
        ("  - never_together: [a/a, b/c]", "groups: no model 'b/c' in the catalog"),
    ],
)
def test_what_is_no_group_is_refused(tmp_path: Path, groups: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        load(tmp_path, groups)
