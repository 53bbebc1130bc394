"""Open WebUI as a server: its settings, and what its page asks of its HTTP API."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2

Json = dict[str, Any]
ANSWERED_WITHIN_S = 600.0
TOOL = '''
class Tools:
    def get_weather(self, city: str) -> str:
        """Tell the weather of a city.

        :param city: the city
        """
        return "Sunny, 21 degrees, a light wind from the west."
'''


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
        "AUDIO_TTS_ENGINE": "openai",
        "AUDIO_TTS_OPENAI_API_BASE_URL": api,
        "AUDIO_TTS_OPENAI_API_KEY": "unused",
        "AUDIO_TTS_MODEL": "hibari",
        "AUDIO_TTS_VOICE": "heart",
        "ANONYMIZED_TELEMETRY": "false",
    }


class OpenWebUI:
    """Its API by ``http``, which the caller closes, as its administrator, who needs no password."""

    def __init__(self, http: httpx2.Client) -> None:
        self._http = http
        session = self._json("POST", "/api/v1/auths/signin", {"email": "", "password": ""})
        self._http.headers["Authorization"] = f"Bearer {session['token']}"

    def models(self) -> dict[str, Json]:
        return {model["id"]: model for model in self._json("GET", "/api/models")["data"]}

    def connect_ollama(self, url: str, prefix: str) -> None:
        """Have the models of ``url`` too, under names that begin with ``prefix``."""
        connections = {
            "ENABLE_OLLAMA_API": True,
            "OLLAMA_BASE_URLS": [url],
            "OLLAMA_API_CONFIGS": {"0": {"enable": True, "prefix_id": prefix}},
        }
        self._json("POST", "/ollama/config/update", connections)

    def add_tool(self, name: str, content: str) -> None:
        self._json(
            "POST",
            "/api/v1/tools/create",
            {"id": name, "name": name, "content": content, "meta": {"description": name}},
        )

    def add_model(self, name: str, base: str, tool: str) -> None:
        """A model that is ``base`` with ``tool``, and without Open WebUI's own tools, whose
        descriptions are long."""
        self._json(
            "POST",
            "/api/v1/models/create",
            {
                "id": name,
                "base_model_id": base,
                "name": name,
                "meta": {"toolIds": [tool], "capabilities": {"builtin_tools": False}},
                "params": {"function_calling": "native", "temperature": 0, "max_tokens": 80},
            },
        )
        self.models()  # as the page does: a new model cannot be asked before it is listed

    def ask(self, model: str, text: str, tools: list[str]) -> Json:
        """A new chat as the page begins it; returns the whole answer as it is kept."""
        asked, answer = (str(uuid.uuid4()) for _ in range(2))
        turn = {"id": asked, "role": "user", "content": text, "parentId": None}
        begun = self._json(
            "POST",
            "/api/chat/completions",
            {
                "model": model,
                "messages": [{"role": "user", "content": text}],
                "stream": True,
                "parent_id": None,
                "session_id": "of-a-test",
                "user_message": turn,
                "message_ids": [{"model_id": model, "message_id": answer}],
                "tool_ids": tools,
            },
        )
        return self._finished(begun["chat_id"], answer)

    def _finished(self, chat: str, message: str) -> Json:
        give_up_at = time.monotonic() + ANSWERED_WITHIN_S
        while time.monotonic() < give_up_at:
            kept = self._json("GET", f"/api/v1/chats/{chat}")["chat"]["history"]["messages"]
            if kept[message].get("done"):
                return dict(kept[message])
            time.sleep(0.5)
        raise TimeoutError(f"no whole answer in {ANSWERED_WITHIN_S:g} s")

    def stream(self, model: str, text: str) -> Iterator[Json]:
        """The chunks of an answer that no chat keeps."""
        body = {
            "model": model,
            "messages": [{"role": "user", "content": text}],
            "stream": True,
            "max_tokens": 30,
        }
        with self._http.stream("POST", "/api/chat/completions", json=body) as answer:
            for line in answer.iter_lines():
                data = line.removeprefix("data: ")
                if data != line and data != "[DONE]":
                    yield json.loads(data)

    def voices(self) -> list[str]:
        return [voice["id"] for voice in self._json("GET", "/api/v1/audio/voices")["voices"]]

    def speak(self, text: str, voice: str) -> bytes:
        body = {"input": text, "voice": voice}
        answer = self._http.post("/api/v1/audio/speech", json=body)
        assert answer.status_code == 200, answer.text
        return answer.content

    def transcribe(self, mp3: bytes) -> str:
        answer = self._http.post(
            "/api/v1/audio/transcriptions", files={"file": ("said.mp3", mp3, "audio/mpeg")}
        )
        assert answer.status_code == 200, answer.text
        return str(answer.json()["text"])

    def _json(self, method: str, path: str, body: Json | None = None) -> Json:
        answer = self._http.request(method, path, json=body)
        assert answer.status_code == 200, f"{method} {path}: {answer.status_code} {answer.text}"
        found: Json = answer.json()
        return found
