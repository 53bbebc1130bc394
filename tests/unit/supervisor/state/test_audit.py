"""Who has managed the server: what is written down, and that nobody changes it unseen."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from supervisor.state import audit
from supervisor.state.audit import NAME, AuditLog, broken_at, chained


def written(folder: Path, *acts: str) -> list[bytes]:
    """All lines, oldest first, once a log has added these acts."""
    log = AuditLog(folder)
    log.begin()
    for act in acts:
        log.write({"act": act})
    log.end()
    old = [folder / f"{NAME}.{number}" for number in range(audit.OLD_FILES, 0, -1)]
    files = [file for file in (*old, folder / NAME) if file.exists()]
    return [line for file in files for line in file.read_bytes().splitlines()]


def test_lines_are_added_over_all_restarts_each_bound_to_the_last(tmp_path: Path) -> None:
    written(tmp_path, "one", "two")
    lines = written(tmp_path, "three")
    found = [json.loads(line) for line in lines]
    assert [(one["seq"], one["act"]) for one in found] == [(1, "one"), (2, "two"), (3, "three")]
    assert broken_at(lines) is None
    assert stat.S_IMODE((tmp_path / NAME).stat().st_mode) == 0o600


def test_a_line_that_was_changed_left_out_or_put_in_shows(tmp_path: Path) -> None:
    one, two, three = written(tmp_path, "one", "two", "three")
    assert broken_at([one, two.replace(b"two", b"too"), three]) == 2
    assert broken_at([one, three]) == 1
    assert broken_at([one, chained({"act": "else"}, one), two, three]) == 2
    assert broken_at([one, b"nonsense", three]) == 1


def test_a_line_that_a_loss_of_power_has_cut_off_goes(tmp_path: Path) -> None:
    written(tmp_path, "one")
    with (tmp_path / NAME).open("ab") as file:
        file.write(b'{"seq":2,"ac')
    lines = written(tmp_path, "two")
    assert [json.loads(line)["act"] for line in lines] == ["one", "two"]
    assert broken_at(lines) is None


def test_a_file_that_is_large_is_put_aside_and_the_next_goes_on_from_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "FILE_BYTES", 300)
    acts = [str(number) for number in range(30)]
    written(tmp_path, *acts[:20])
    lines = written(tmp_path, *acts[20:])
    assert broken_at(lines) is None
    assert [json.loads(line)["act"] for line in lines] == acts[-len(lines) :]
    assert len(list(tmp_path.iterdir())) <= audit.OLD_FILES + 1


def test_where_it_cannot_be_written_the_log_says_so_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / NAME).mkdir()
    log = AuditLog(tmp_path)
    log.begin()
    log.write({"act": "one"})
    log.write({"act": "two"})
    log.end()
    assert [line.message for line in caplog.records] == ["audit_not_kept"]


def test_without_a_state_folder_nothing_is_kept() -> None:
    log = AuditLog(None)
    log.begin()
    log.write({"act": "one"})
    log.end()
