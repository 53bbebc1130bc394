"""Under which name a server is known, and where it is not announced."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import pytest

from frontend.wyoming import announcement
from frontend.wyoming.announcement import announced, machine_name


def test_a_name_stays_and_does_not_tell_the_machines_id(tmp_path: Path) -> None:
    own, other = tmp_path / "own", tmp_path / "other"
    own.write_text("0123456789abcdef0123456789abcdef\n")
    other.write_text("fedcba9876543210fedcba9876543210\n")
    name = machine_name(10_300, own)
    assert name == machine_name(10_300, own)
    assert len({name, machine_name(10_301, own), machine_name(10_300, other)}) == 3
    assert own.read_text()[:8] not in name
    missing = machine_name(10_300, tmp_path / "none")
    assert missing == machine_name(10_300, tmp_path / "none")


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "::ffff:127.0.0.1"])
def test_what_nobody_reaches_is_not_announced(host: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert asyncio.run(announced(host, 10_300)) is None
    assert "wyoming_not_announced" in caplog.text


def test_what_is_missing_is_told(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(announcement, "is_installed", lambda: False)
    with caplog.at_level(logging.WARNING):
        assert asyncio.run(announced("192.0.2.1", 10_300)) is None
    assert "requirements-zeroconf.txt" in str(caplog.records[0].__dict__)
