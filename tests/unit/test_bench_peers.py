"""The comparison with other servers: what is started, in which order, and what is made of it."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest

from bench.peers import report
from bench.peers.chat import Chats, _Level
from bench.peers.install import scripts
from bench.peers.known import PEERS, Files, Peer
from bench.peers.sides import OURS, Figure, in_turn

FILES = Files(
    chat_gguf=Path("/m/chat.gguf"),
    chat_folder=Path("/m/chat"),
    embed=Path("/m/embed"),
    speech=Path("/m/speech"),
    threads=2,
    streams=16,
)
RATES = [
    Figure("chat: tokens", "1", "tokens/s", {OURS: [90.0, 110.0, 100.0], "b": [50.0, 50.0, 50.0]}),
    Figure("chat: tokens", "8", "tokens/s", {OURS: [400.0]}),
]


@pytest.mark.parametrize("peer", PEERS, ids=lambda peer: peer.name)
def test_a_peer_listens_where_it_is_told_and_is_pinned(peer: Peer) -> None:
    argv = peer.command(Path("/venv/bin"), FILES, 9000)
    assert "9000" in argv
    assert argv[0].startswith("/venv/bin/")
    assert all("==" in package for package in peer.packages)
    assert peer.path.startswith("/") is peer.serves


def test_peers_of_the_same_packages_share_an_environment() -> None:
    folders = {scripts(peer) for peer in PEERS}
    assert len(folders) == len({peer.packages for peer in PEERS})
    assert len({peer.name for peer in PEERS}) == len(PEERS)


def test_everybody_goes_first_once() -> None:
    assert [in_turn(["a", "b", "c"], number) for number in range(4)] == [
        ["a", "b", "c"],
        ["b", "c", "a"],
        ["c", "a", "b"],
        ["a", "b", "c"],
    ]


def test_a_table_has_medians_and_the_ratio_to_each_side() -> None:
    assert report.markdown("chat: tokens", RATES).splitlines() == [
        "| chat: tokens, tokens/s | edge-serve | b |",
        "| --- | --- | --- |",
        "| 1 | **100** | 50 (2) |",
        "| 8 | **400** |  |",
    ]


def test_numbers_are_drawn_as_lines_and_names_as_bars(tmp_path: Path) -> None:
    named = [Figure("embeddings: texts", "one client", "texts/s", {OURS: [5.0], "b": [2.0]})]
    for name, figures in (("lines", RATES), ("bars", named)):
        report.draw("title", figures, tmp_path / f"{name}.svg")
        assert ElementTree.parse(tmp_path / f"{name}.svg").getroot().tag.endswith("svg")


def test_a_side_that_fails_has_no_figures_and_one_that_is_slow_is_not_asked_for_more() -> None:
    level = _Level(8)
    chats = Chats(tokens=64, seconds=50.0, cpu_s=1.0, first_s=0.5, between_s=0.01)
    level.add(OURS, chats)
    level.add("slow", chats)
    level.add("gone", chats)
    level.leave_out("gone")
    assert all(set(figure.values) == {OURS, "slow"} for figure in level.figures)
    assert level.failed == {"gone"}
    assert level.slow("slow")
