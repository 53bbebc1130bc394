"""When a change of files counts as one."""

from __future__ import annotations

from pathlib import Path

from supervisor.reload.watch import Settled, digest


def test_a_change_is_told_once_it_stays() -> None:
    settled = Settled(b"a")
    looks = [b"a", b"half", b"b", b"b", b"b", b"a", b"b", b"c", b"c"]
    assert [one for one in looks if settled.look(one)] == [b"b", b"c"]


def test_what_is_changed_back_before_it_was_told_is_no_change() -> None:
    settled = Settled(b"a")
    assert not any(settled.look(one) for one in (b"b", b"a", b"a"))


def test_the_content_counts_and_not_the_time(tmp_path: Path) -> None:
    file, other = tmp_path / "own.yaml", tmp_path / "none"
    file.write_text("models: []")
    files = [str(file), str(other)]
    before = digest(files)
    file.write_text("models: []")
    assert digest(files) == before
    other.touch()
    assert digest(files) != before
    assert digest(files) != digest([str(other), str(file)])
