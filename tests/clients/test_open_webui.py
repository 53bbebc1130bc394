"""Open WebUI in a browser: a chat, a question about a document, words spoken into a microphone.

Needs Debian's chromium. Results are in docs/clients.md.
"""

from __future__ import annotations

import json
import random
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.clients.conftest import ROOT, environment, free_port, running

CLIENT = "open-webui"
PIECES = 435
LONGEST_S = 3600

Seen = dict[str, Any]


def document(path: Path) -> Path:
    """A report that becomes `PIECES` pieces of 1,000 characters or a few more; one sentence of it
    is worth finding."""
    words = ["water", "pump", "report", "pipe", "price", "spring", "valley", "year", "repair"]
    draw = random.Random(3)
    sentences = ["The lighthouse keeper's house on Orsa has a door of bright violet colour."]
    while sum(map(len, sentences)) < PIECES * 1000:
        sentences.append(" ".join(draw.choices(words, k=15)).capitalize() + ".")
    sentences.insert(len(sentences) // 2, sentences.pop(0))
    path.write_text(" ".join(sentences))
    return path


def settings(server: str, folder: Path) -> dict[str, str]:
    """Everything is asked of ``server``, and nothing of a hub."""
    api = f"{server}/v1"
    return {
        "DATA_DIR": str(folder),
        "WEBUI_AUTH": "False",
        "WEBUI_SECRET_KEY": "of-a-test",
        "OFFLINE_MODE": "true",
        "HF_HUB_OFFLINE": "1",
        "ENABLE_PERSISTENT_CONFIG": "false",
        "ENABLE_OLLAMA_API": "false",
        "OPENAI_API_BASE_URL": api,
        "OPENAI_API_KEY": "unused",
        "RAG_EMBEDDING_ENGINE": "openai",
        "RAG_EMBEDDING_MODEL": "sentence-transformers/all-MiniLM-L6-v2",
        "RAG_OPENAI_API_BASE_URL": api,
        "RAG_OPENAI_API_KEY": "unused",
        "AUDIO_STT_ENGINE": "openai",
        "AUDIO_STT_OPENAI_API_BASE_URL": api,
        "AUDIO_STT_OPENAI_API_KEY": "unused",
        "AUDIO_STT_MODEL": "openai/whisper-base",
        "ANONYMIZED_TELEMETRY": "false",
    }


@pytest.fixture(scope="module")
def seen(server: tuple[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seen]:
    """What somebody sees who does all three things."""
    if shutil.which("chromium") is None:
        pytest.fail("there is no chromium; run: apt-get install chromium")
    programs, folder = environment(CLIENT), tmp_path_factory.mktemp("webui")
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    command = [str(programs / "open-webui"), "serve", "--host", "127.0.0.1", "--port", str(port)]
    variables = settings(server[0], folder)
    for _ in running(command, folder / "webui.log", f"{address}/health", **variables):
        browser = subprocess.run(
            [
                str(programs / "python"),
                str(Path(__file__).with_name("open_webui_browser.py")),
                address,
                str(document(folder / "report.txt")),
                str(ROOT / "tests" / ".data" / "jfk.wav"),
                str(folder),
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        assert browser.returncode == 0, browser.stderr
        yield json.loads(browser.stdout)


pytestmark = pytest.mark.timeout(LONGEST_S)


def test_a_chat_is_answered(seen: Seen) -> None:
    assert "Paris" in seen["chat"]


def test_a_document_is_embedded_whole_and_quoted(seen: Seen) -> None:
    assert seen["document"]["status"] == "completed"
    assert "Source" in seen["document"]["answer"]


def test_speech_becomes_a_message(seen: Seen) -> None:
    assert "your country" in seen["speech"]


def test_nothing_that_it_asks_is_refused(seen: Seen, server: tuple[str, Path]) -> None:
    assert seen
    lines = [json.loads(line) for line in server[1].read_text().splitlines() if line[:1] == "{"]
    asked = Counter((line["path"], line["status"]) for line in lines if "path" in line)
    assert {status for _, status in asked} == {200}, asked
    assert asked["/v1/embeddings", 200] >= PIECES
    assert asked["/v1/chat/completions", 200] >= 2
