"""How a GGUF file comes to where OpenVINO converts it."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import pytest

if platform.machine() != "x86_64":
    pytest.skip("the chat engine on OpenVINO is for x86-64", allow_module_level=True)

from worker.engines.openvino_chat.load import _bring


@pytest.mark.parametrize("may_write", [True, False])
def test_only_a_file_that_may_not_be_written_is_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, may_write: bool
) -> None:
    """The library opens it for writing too. The tests may be root's, who may write everything."""
    monkeypatch.setattr(os, "access", lambda _path, _mode: may_write)
    source, place = tmp_path / "source.gguf", tmp_path / "model.gguf"
    source.write_bytes(b"weights")
    _bring(source, place)
    assert place.is_symlink() is may_write
    assert place.read_bytes() == b"weights"
