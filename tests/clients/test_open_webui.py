"""Open WebUI in a browser: a chat, a question about a document, words spoken into a microphone.

By its own HTTP API: a tool, speech both ways, a connection to Ollama. Only the browser's part needs
Debian's chromium. Results are in docs/clients.md.
"""

from __future__ import annotations

import io
import json
import random
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import httpx2
import pytest

from tests.clients.conftest import ROOT, environment, free_port, running
from tests.clients.open_webui import ANSWERED_WITHIN_S, TOOL, OpenWebUI, settings

CLIENT = "open-webui"
PIECES = 435
LONGEST_S = 3600
SMOLLM2 = "HuggingFaceTB/SmolLM2-135M-Instruct"
QWEN = "Qwen/Qwen2.5-Coder-0.5B-Instruct"

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


@pytest.fixture(scope="module")
def address(server: tuple[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where Open WebUI answers."""
    folder, port = tmp_path_factory.mktemp("webui"), free_port()
    address = f"http://127.0.0.1:{port}"
    program = str(environment(CLIENT) / "open-webui")
    command = [program, "serve", "--host", "127.0.0.1", "--port", str(port)]
    variables = settings(server[0], folder)
    for _ in running(command, folder / "webui.log", f"{address}/health", **variables):
        yield address


@pytest.fixture(scope="module")
def webui(address: str) -> Iterator[OpenWebUI]:
    with httpx2.Client(base_url=address, timeout=ANSWERED_WITHIN_S) as http:
        yield OpenWebUI(http)


@pytest.fixture(scope="module")
def seen(address: str, tmp_path_factory: pytest.TempPathFactory) -> Seen:
    """What somebody sees who does all three things."""
    if shutil.which("chromium") is None:
        pytest.fail("there is no chromium; run: apt-get install chromium")
    folder = tmp_path_factory.mktemp("browser")
    browser = subprocess.run(
        [
            str(environment(CLIENT) / "python"),
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
    found: Seen = json.loads(browser.stdout)
    return found


pytestmark = pytest.mark.timeout(LONGEST_S)


def test_a_chat_is_answered(seen: Seen) -> None:
    assert "Paris" in seen["chat"]


def test_a_document_is_embedded_whole_and_quoted(seen: Seen) -> None:
    assert seen["document"]["status"] == "completed"
    assert "Source" in seen["document"]["answer"]


def test_speech_becomes_a_message(seen: Seen) -> None:
    assert "your country" in seen["speech"]


def test_a_tool_is_called_natively_and_its_result_answered(webui: OpenWebUI) -> None:
    webui.add_tool("weather", TOOL)
    webui.add_model("clerk", QWEN, "weather")
    question = "Ask the tool once for the weather in Ulm. Then tell me in words: is it sunny?"
    answer = webui.ask("clerk", question, ["weather"])
    assert "error" not in answer, answer["error"]
    called, result = answer["output"][:2]
    assert (called["type"], called["name"]) == ("function_call", "get_weather")
    assert json.loads(called["arguments"]) == {"city": "Ulm"}
    assert (result["type"], result["call_id"]) == ("function_call_output", called["call_id"])
    assert "21 degrees" in answer["content"]


def test_what_it_has_said_aloud_it_hears(webui: OpenWebUI) -> None:
    assert webui.voices() == ["heart"]
    said = webui.speak("The train to Boston is late.", "heart")
    with av.open(io.BytesIO(said), "r") as sound:
        assert sound.format.name == "mp3"
        frames = [frame for frame in sound.decode(audio=0) if isinstance(frame, av.AudioFrame)]
    assert sum(frame.samples / frame.sample_rate for frame in frames) > 1
    assert "the train to boston" in webui.transcribe(said).lower()


def test_a_connection_to_ollama_lists_the_models_and_streams(
    webui: OpenWebUI, server: tuple[str, Path]
) -> None:
    webui.connect_ollama(server[0], "ollama")
    listed = webui.models()
    assert {name for name, model in listed.items() if model["owned_by"] == "ollama"} >= {
        f"ollama.{SMOLLM2}",
        f"ollama.{QWEN}",
    }
    chunks = list(webui.stream(f"ollama.{SMOLLM2}", "What is the capital of France?"))
    deltas = [chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks]
    assert len(list(filter(None, deltas))) > 1
    assert "Paris" in "".join(deltas)


def test_nothing_that_it_asks_is_refused(seen: Seen, server: tuple[str, Path]) -> None:
    assert seen
    lines = [json.loads(line) for line in server[1].read_text().splitlines() if line[:1] == "{"]
    asked = Counter((line["path"], line["status"]) for line in lines if "path" in line)
    assert {status for _, status in asked} == {200}, asked
    assert asked["/v1/embeddings", 200] >= PIECES
    assert asked["/v1/chat/completions", 200] >= 2
