"""Which models were in memory at the last stop, from one run to the next."""

from __future__ import annotations

from pathlib import Path

from supervisor.state.residents import Residents


def test_what_is_kept_is_known_to_the_next_run(tmp_path: Path) -> None:
    first = Residents(tmp_path)
    assert first.before == []
    first.keep(["a", "b"])
    first.close()
    second = Residents(tmp_path)
    assert second.before == ["a", "b"]
    second.close()


def test_without_a_folder_nothing_is_kept() -> None:
    residents = Residents(None)
    residents.keep(["a"])
    residents.close()
    assert residents.before == []


def test_a_second_server_on_the_same_folder_changes_nothing(tmp_path: Path) -> None:
    first, second = Residents(tmp_path), Residents(tmp_path)
    second.keep(["b"])
    first.keep(["a"])
    second.close()
    first.close()
    assert Residents(tmp_path).before == ["a"]
