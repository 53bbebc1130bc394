"""How many files of incidents there are, and who may read them."""

from __future__ import annotations

import gzip
import json
import stat
from pathlib import Path

from frontend.incidents.folder import MOST_BYTES, MOST_FILES, Folder


def name(number: int) -> str:
    return f"20261127T2344{number:02}Z-crash.org-chat"


def test_a_file_is_for_this_user_alone_and_is_read_as_it_was_written(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "incidents", 1 << 20)
    folder.write(name(1), b"data")
    (file,) = (tmp_path / "incidents").iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert folder.read(name(1)) == b"data"
    assert [(one.id, one.size_bytes) for one in folder.files()] == [(name(1), 4)]


def test_the_oldest_go_where_there_are_too_many(tmp_path: Path) -> None:
    folder = Folder(tmp_path, 1 << 20)
    for number in range(MOST_FILES + 5):
        folder.write(name(number), b"x")
    kept = [one.id for one in folder.files()]
    assert kept == [name(number) for number in reversed(range(5, MOST_FILES + 5))]


def test_or_where_they_take_too_much_but_for_the_newest(tmp_path: Path) -> None:
    folder = Folder(tmp_path, 100)
    for number in range(5):
        folder.write(name(number), bytes(40))
    assert [one.id for one in folder.files()] == [name(4), name(3)]
    folder.write(name(5), bytes(400))
    assert [one.id for one in folder.files()] == [name(5)]


def test_nothing_else_is_read_whatever_it_is_called(tmp_path: Path) -> None:
    (tmp_path / "incidents").mkdir()
    secret = tmp_path / "secret.json.gz"
    secret.write_bytes(b"secret")
    folder = Folder(tmp_path / "incidents", 100)
    (tmp_path / "incidents" / f"{name(1)}.json.gz").symlink_to(secret)
    (tmp_path / "incidents" / "notes.json.gz").touch()
    assert folder.files() == []
    for wanted in ("../secret", "notes", name(1), "", "/etc/passwd"):
        assert folder.read(wanted) is None


def test_where_there_is_no_folder_there_are_no_files(tmp_path: Path) -> None:
    assert Folder(tmp_path / "none", 100).files() == []


def test_a_list_of_them_says_what_each_is_about_and_leaves_out_what_is_broken(
    tmp_path: Path,
) -> None:
    folder = Folder(tmp_path, 1 << 20)
    told = {"what": "crash", "model": "org/chat", "told": "it died", "in_hand": 2}
    data = gzip.compress(json.dumps({**told, "time_s": 7.5, "requests": [{}, {}]}).encode())
    folder.write(name(1), data)
    folder.write(name(2), b"broken")
    assert folder.summaries() == [
        {"id": name(1), "bytes": len(data), **told, "time": 7.5, "requests": 2}
    ]


def test_what_is_broken_or_unpacks_to_too_much_is_left_out_of_the_list(tmp_path: Path) -> None:
    folder = Folder(tmp_path, 1 << 20)
    told = {"what": "crash", "model": "m", "told": "it died", "in_hand": 0, "time_s": 0.0}
    good = json.dumps({**told, "requests": []}).encode()
    bomb = gzip.compress(bytes(MOST_BYTES + 1), 1)
    deep = b"[" * 100_000 + b"]" * 100_000
    for number, data in enumerate((good, bomb, gzip.compress(b"{}"), b"[]", deep, b"\x1f\x8bx")):
        folder.write(name(number), data)
    assert [one["id"] for one in folder.summaries()] == [name(0)]
