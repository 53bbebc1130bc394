"""A box of the test's own: no settings but these."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.supervisor import own_box


@pytest.fixture(autouse=True)
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own_box.take(tmp_path, monkeypatch)
