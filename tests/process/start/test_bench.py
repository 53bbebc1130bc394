"""``edge-serve bench`` against a running server: what it counts is what happened."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ipc.facts.samples import tone_wav
from ipc.messages.control import AccessConfig
from ipc.messages.keys import ApiKey
from tests.process.box import CHAT, EMBED, RERANK, SPEECH, Box, MakeBox, spec

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def loaded_box(module_box: MakeBox) -> Box:
    paced = spec(CHAT, slots=4, options={"word_ms": 2})
    return module_box(paced, spec(EMBED), spec(RERANK), spec(SPEECH)).wait_ready()


def bench(box: Box, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-P", "-m", "supervisor.cli", "bench", *arguments, "--url", box.url],
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def figures(box: Box, folder: Path, *arguments: str) -> list[dict[str, Any]]:
    """The levels of one run of so few requests that each is worth counting."""
    limits = ["--concurrency", "1,4", "--requests", "12"]
    files = ["--json", str(folder / "out.json"), "--plot", str(folder / "out.png")]
    ended = bench(box, *arguments, *limits, *files)
    assert ended.returncode == 0, ended.stderr
    assert (folder / "out.png").read_bytes().startswith(b"\x89PNG")
    (run,) = json.loads((folder / "out.json").read_text())["runs"]
    levels: list[dict[str, Any]] = run["levels"]
    assert [level["concurrency"] for level in levels] == [1, 4]
    assert [(level["requests"], level["answered"]) for level in levels] == [(12, 12)] * 2
    assert [level["errors"] for level in levels] == [{}, {}]
    for level in levels:
        assert level["requests_per_s"] == pytest.approx(12 / level["seconds"])
        assert 0 < level["latency_ms"]["p50"] <= level["latency_ms"]["max"]
    return levels


def test_chats_are_counted_in_tokens(loaded_box: Box, tmp_path: Path) -> None:
    words = ["--prompt", "one two three four"]
    for level in figures(loaded_box, tmp_path, "chat", *words):
        assert level["completion_tokens_per_s"] * level["seconds"] == pytest.approx(12 * 4)
        assert level["ttft_ms"]["max"] <= level["latency_ms"]["max"]
        assert level["itl_ms"]["p50"] > 0
    for level in figures(loaded_box, tmp_path, "chat", *words, "--no-stream"):
        assert level["completion_tokens_per_s"] * level["seconds"] == pytest.approx(12 * 4)
        assert "ttft_ms" not in level


def test_embeddings_are_counted_in_texts_and_tokens(loaded_box: Box, tmp_path: Path) -> None:
    sizes = ["--batch-size", "3", "--text-words", "5"]
    for level in figures(loaded_box, tmp_path, "embeddings", *sizes):
        assert level["texts_per_s"] * level["seconds"] == pytest.approx(12 * 3)
        assert level["tokens_per_s"] * level["seconds"] == pytest.approx(12 * 3 * 5)


def test_reranking_is_counted_in_documents(loaded_box: Box, tmp_path: Path) -> None:
    for level in figures(loaded_box, tmp_path, "rerank", "--documents", "7"):
        assert level["documents_per_s"] * level["seconds"] == pytest.approx(12 * 7)


def test_audio_is_counted_in_seconds_of_the_files(loaded_box: Box, tmp_path: Path) -> None:
    (tmp_path / "short.wav").write_bytes(tone_wav(0.5))
    (tmp_path / "long.wav").write_bytes(tone_wav(1.5))
    files = [f"--file={tmp_path / name}" for name in ("short.wav", "long.wav")]
    for level in figures(loaded_box, tmp_path, "audio", *files):
        assert level["audio_seconds_per_s"] * level["seconds"] == pytest.approx(12, rel=0.1)


def test_requests_that_a_full_queue_refuses_are_counted_apart(
    make_box: MakeBox, tmp_path: Path
) -> None:
    slow = spec(CHAT, slots=1, prefetch=0, queue_limit=1, options={"word_ms": 20})
    box = make_box(slow).wait_ready()
    out = tmp_path / "out.json"
    ended = bench(box, "chat", "--concurrency", "8", "--requests", "24", "--json", str(out))
    assert ended.returncode == 0, ended.stderr
    (level,) = json.loads(out.read_text())["runs"][0]["levels"]
    assert level["errors"]["429 rate_limit_exceeded"] > 0
    assert level["answered"] + sum(level["errors"].values()) == level["requests"] == 24
    assert "24 failed at 8: 429 rate_limit_exceeded: model 'echo/chat'" in ended.stdout


def test_a_guarded_server_is_measured_with_its_key_which_is_told_to_nobody(
    make_box: MakeBox, tmp_path: Path
) -> None:
    key = "sk-canary-0123456789abcdef"
    digests = {"ann": ApiKey.of(key)}
    box = make_box(spec(EMBED), gate=AccessConfig(api_keys=digests))
    box.client.headers["authorization"] = f"Bearer {key}"
    box.wait_ready()
    few = ["embeddings", "--concurrency", "1", "--requests", "1"]
    refused = bench(box, *few)
    assert refused.returncode == 1
    assert "wants an API key; put one into EDGE_SERVE_API_KEY" in refused.stderr
    out = tmp_path / "out.json"
    measured = bench(box, *few, "--json", str(out), EDGE_SERVE_API_KEY=key)
    assert measured.returncode == 0, measured.stderr
    assert key not in measured.stdout + measured.stderr + out.read_text()


def test_a_server_that_answers_nothing_is_status_1_and_one_line(
    loaded_box: Box, make_box: MakeBox
) -> None:
    ended = bench(loaded_box, "chat", "--model", "echo/none")
    assert ended.returncode == 1
    assert "echo/none: 404 model_not_found" in ended.stderr
    ended = bench(loaded_box, "chat", "--model", "echo/none", "--warmup", "0", "--requests", "1")
    assert ended.returncode == 1
    assert "1 of 1 failed at 1: 404 model_not_found" in ended.stdout
    box = make_box(spec(CHAT)).wait_ready()
    box.process.kill()
    box.process.wait()
    ended = bench(box, "chat")
    assert ended.returncode == 1
    assert ended.stderr.count("\n") == 1
    assert f"no server answers at {box.url}" in ended.stderr
