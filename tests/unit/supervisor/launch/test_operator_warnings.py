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


def test_a_listener_without_keys_that_others_reach_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WYOMING_PORT", "10300")
    assert warnings(settings.load(settings.Flags()), []) == []
    monkeypatch.setenv("WYOMING_HOST", "0.0.0.0")
    (told,) = warnings(settings.load(settings.Flags()), [])
    assert told.startswith("WYOMING_HOST=0.0.0.0: the Wyoming protocol has no key, so whoever")
    monkeypatch.setenv("WYOMING_ANNOUNCE", "1")
    monkeypatch.setattr("ipc.zeroconf.is_installed", lambda: False)
    assert (
        "pip install -r requirements-zeroconf.txt"
        in warnings(settings.load(settings.Flags()), [])[-1]
    )
