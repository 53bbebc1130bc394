"""What the service's unit says of the listener for voice assistants."""

from __future__ import annotations

from pathlib import Path

import pytest

from supervisor.cli import systemd_unit
from supervisor.config import settings
from supervisor.config.errors import ConfigError


@pytest.fixture(autouse=True)
def unprivileged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(systemd_unit, "_account", lambda _needed: "DynamicUser=yes")


def test_it_is_where_this_shell_would_have_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WYOMING_PORT", "10300")
    lines = systemd_unit.unit(settings.load(settings.Flags()), tmp_path, []).splitlines()
    assert "Environment=WYOMING_PORT=10300" in lines
    assert "Environment=WYOMING_HOST=127.0.0.1" in lines


def test_one_for_the_network_names_who_may_connect(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WYOMING_PORT", "10300")
    monkeypatch.setenv("WYOMING_HOST", "0.0.0.0")
    wide = settings.load(settings.Flags())
    with pytest.raises(ConfigError, match=r"^WYOMING_HOST: .* name the network with --allow"):
        systemd_unit.unit(wide, tmp_path, [])
    text = systemd_unit.unit(wide, tmp_path, ["192.168.1.0/24"])
    assert "IPAddressAllow=localhost 192.168.1.0/24" in text
