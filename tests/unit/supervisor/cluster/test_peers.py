"""Files that come from another box, by a process that is made up here."""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec
import pytest

from ipc import cluster
from ipc.cluster import Member, Node, Sought
from supervisor.cluster import node, peers
from supervisor.cluster.peers import Peers

SOUGHT = Sought(folder="org--chat", source="hf:org/chat")
READS = (
    "import json, pathlib, sys; sought = json.load(sys.stdin); into = pathlib.Path(sys.argv[2])\n"
)
BRINGS = (
    READS
    + """
(into / "sub").mkdir()
(into / "sub" / "a.bin").write_bytes(b"abc")
print(json.dumps({"done": 1, "size": 3, "peer": "127.0.0.3"}), flush=True)
print(json.dumps({"files": {"sub/a.bin": sought["folder"]}}), flush=True)
"""
)
BREAKS_OFF = (
    READS
    + """
(into / "a.bin").write_bytes(b"ab")
print(json.dumps({"done": 2, "size": 3, "peer": "127.0.0.3"}), flush=True)
sys.exit("gone")
"""
)
HANGS = (
    READS
    + """
import time
(into / "a.bin").write_bytes(b"ab")
time.sleep(600)
"""
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What a box has whose node is up."""
    found = tmp_path / "cluster"
    found.mkdir()
    member = Member(
        address="127.0.0.2", head="127.0.0.2", port=1, memory_mb=1, models_dir="/models"
    )
    (found / cluster.MEMBER).write_bytes(msgspec.json.encode(member))
    monkeypatch.setattr(node, "running", lambda _: Node(pid=1, id="n"))
    return found


@pytest.fixture
def into(tmp_path: Path) -> Path:
    (tmp_path / "into").mkdir()
    return tmp_path / "into"


def by(folder: Path, script: str) -> Peers:
    return Peers(folder, [sys.executable, "-c", script])


def test_what_comes_is_in_the_folder_and_how_far_it_is_is_told(folder: Path, into: Path) -> None:
    told: list[tuple[str, int, int]] = []
    found = by(folder, BRINGS)(SOUGHT, into, lambda *how_far: told.append(how_far))
    assert found == {"sub/a.bin": "org--chat"}
    assert (into / "sub" / "a.bin").read_bytes() == b"abc"
    assert [path.name for path in into.iterdir()] == ["sub"]
    assert told == [("asking the other boxes", 0, 0), ("from 127.0.0.3", 1, 3)]


@pytest.mark.parametrize("script", [BREAKS_OFF, "print('no JSON')", "", HANGS])
def test_of_what_does_not_come_whole_nothing_stays(
    folder: Path, into: Path, script: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if script == HANGS:
        monkeypatch.setattr(peers, "SILENT_S", 0.5)
    assert by(folder, script)(SOUGHT, into, lambda *_: None) == {}
    assert list(into.iterdir()) == []


def test_a_box_of_no_cluster_asks_nobody(tmp_path: Path, into: Path) -> None:
    assert by(tmp_path / "none", BRINGS)(SOUGHT, into, lambda *_: None) == {}


def test_nor_one_whose_node_is_not_there(
    folder: Path, into: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(node, "running", lambda _: None)
    assert by(folder, BRINGS)(SOUGHT, into, lambda *_: None) == {}
