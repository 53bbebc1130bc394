"""Pages of mapped files leave the process and come again when they are read."""

from __future__ import annotations

import mmap
import sys
from pathlib import Path

import pytest

from worker.engines.common.mapped import give_back_pages

SIZE = 8 << 20

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="by a call of Linux")


def resident_kb(path: Path) -> int:
    """How much of the file's mapping is in memory of this process."""
    found, is_its = 0, False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        first = line.split()[0]
        if "-" in first:
            is_its = line.endswith(str(path))
        elif is_its and first == "Rss:":
            found += int(line.split()[1])
    return found


def test_pages_that_were_read_are_given_back_and_read_again(tmp_path: Path) -> None:
    model, other = tmp_path / "folder/model.bin", tmp_path / "other.bin"
    model.parent.mkdir()
    for file in (model, other):
        file.write_bytes(b"w" * SIZE)
    with model.open("rb") as one, other.open("rb") as two:
        maps = [mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) for file in (one, two)]
        assert all(data.read() == b"w" * SIZE for data in maps)
        assert resident_kb(model) == resident_kb(other) == SIZE >> 10
        assert give_back_pages(model.parent) == SIZE
        assert (resident_kb(model), resident_kb(other)) == (0, SIZE >> 10)
        assert maps[0][:4] == b"wwww"


def test_what_may_be_written_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "model.bin"
    file.write_bytes(b"w" * SIZE)
    with file.open("rb") as opened:
        data = mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_COPY)
        data[:1] = b"x"
        assert give_back_pages(tmp_path) == 0
        assert data[:2] == b"xw"


def test_a_system_without_it_gives_back_nothing(tmp_path: Path) -> None:
    assert give_back_pages(tmp_path, maps=tmp_path / "none") == 0
