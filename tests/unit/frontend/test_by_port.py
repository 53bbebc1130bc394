"""Ollama's API on a port of its own: one server, and an application for each port."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.testclient import TestClient

from frontend.listener.by_port import ByPort
from tests.unit.frontend.http_fakes import FakeDispatcher, application, says

MAIN, OWN = 8000, 11434


@pytest.fixture
def ask() -> Any:
    """Asks at a port."""
    fake = FakeDispatcher(says("hi"))
    app = ByPort(application(fake), {OWN: application(fake, ollama=True)})

    def get(port: int, path: str) -> Any:
        return TestClient(app, base_url=f"http://testserver:{port}").get(path)

    return get


def test_ollama_is_found_at_its_own_port_alone(ask: Any) -> None:
    assert ask(OWN, "/").text == "Ollama is running"
    assert ask(MAIN, "/").text.startswith("edge-serve: ")
    assert ask(OWN, "/api/tags").status_code == 200
    assert ask(MAIN, "/api/tags").status_code == 404


def test_all_else_is_at_both(ask: Any) -> None:
    """Programs for Ollama use its /v1 too, at the same port."""
    assert ask(OWN, "/v1/models").json() == ask(MAIN, "/v1/models").json()
    assert "/api/chat" in ask(OWN, "/openapi.json").json()["paths"]
    assert "/api/chat" not in ask(MAIN, "/openapi.json").json()["paths"]
