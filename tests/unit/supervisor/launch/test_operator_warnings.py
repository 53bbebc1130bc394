"""What an operator is told before it bites: of this machine. Of settings tells
`config.test_setting_effects`."""

from __future__ import annotations

import pytest

from supervisor.config import settings
from supervisor.launch.operator_warnings import warnings


def test_more_memory_than_there_is_is_warned_about() -> None:
    found = warnings(settings.load(settings.Flags()), ["huge"], needed_mb=1 << 40)
    assert len(found) == 1
    assert "the models need about 1099511627776 MB of memory" in found[0]


@pytest.mark.parametrize(("most", "warned"), [(1280, False), (1279, True), (-1, False)])
def test_too_few_open_files_are_told_with_the_number_that_is_needed(
    monkeypatch: pytest.MonkeyPatch, most: int, warned: bool
) -> None:
    monkeypatch.setenv("MAX_CONNECTIONS", "1024")
    monkeypatch.setattr("resource.getrlimit", lambda _: (64, most))
    found = [line for line in warnings(settings.load(settings.Flags()), []) if "files" in line]
    assert bool(found) == warned
    for line in found:
        assert "MAX_CONNECTIONS=1024 needs 1280 open files" in line
        assert "which leaves 1023 connections" in line
        assert "LimitNOFILE=1280" in line
