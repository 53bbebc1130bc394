"""Requests that cannot be served: the right answer each, and one line in the log."""

from __future__ import annotations

from typing import Any

import pytest

from tests.process.box import CHAT, EMBED, SPEECH, Box, MakeBox, spec, wait_until

MIB = 1 << 20
JSON = {"content-type": "application/json"}
USER = [{"role": "user", "content": "x"}]


@pytest.fixture(scope="module")
def small_box(module_box: MakeBox) -> Box:
    return module_box(
        spec(CHAT), spec(EMBED), spec(SPEECH), max_audio_bytes=MIB, max_json_bytes=MIB
    ).wait_ready()


@pytest.mark.parametrize(
    ("path", "send", "status", "code"),
    [
        pytest.param(
            "/v1/chat/completions",
            {"content": b'{"model": "echo/ch', "headers": JSON},
            400,
            "invalid_value",
            id="malformed JSON",
        ),
        pytest.param(
            "/v1/chat/completions",
            {"json": {"model": "nobody/knows", "messages": USER}},
            404,
            "model_not_found",
            id="unknown model",
        ),
        pytest.param(
            "/v1/chat/completions",
            {"json": {"model": EMBED, "messages": USER}},
            400,
            "invalid_value",
            id="a model of another task",
        ),
        pytest.param(
            "/v1/chat/completions",
            {"content": b"{}", "headers": {"content-type": "text/plain"}},
            415,
            "unsupported_media_type",
            id="wrong content type",
        ),
        pytest.param(
            "/v1/chat/completions",
            {"json": {"model": CHAT, "messages": USER, "temperature": 9}},
            400,
            "invalid_value",
            id="a value out of range",
        ),
        pytest.param(
            "/v1/embeddings",
            {"content": b"[" * 100_000, "headers": JSON},
            400,
            "invalid_value",
            id="deep nesting",
        ),
        pytest.param(
            "/v1/embeddings",
            {"json": {"model": EMBED, "input": "x" * 2 * MIB}},
            413,
            "request_too_large",
            id="oversized JSON",
        ),
        pytest.param(
            "/v1/audio/transcriptions",
            {"data": {"model": SPEECH}, "files": {"file": ("a.wav", b"x" * 2 * MIB)}},
            413,
            "request_too_large",
            id="oversized upload",
        ),
        pytest.param(
            "/v1/audio/transcriptions",
            {"json": {"model": SPEECH}},
            415,
            "unsupported_media_type",
            id="audio as JSON",
        ),
        pytest.param("/v1/nothing", {"json": {}}, 404, "not_found", id="no such route"),
        pytest.param("/v1/models", {"json": {}}, 405, "method_not_allowed", id="wrong method"),
    ],
)
def test_an_error_object_and_one_line(
    small_box: Box, path: str, send: dict[str, Any], status: int, code: str
) -> None:
    answer = small_box.client.post(path, **send)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (status, code)
    assert set(error) == {"message", "type", "param", "code"}
    name = answer.headers["x-request-id"]
    (line,) = wait_until(lambda: [line for line in small_box.lines() if name in line])
    assert f"status={status}" in line


def test_a_request_id_is_taken_over(small_box: Box) -> None:
    body = {"model": EMBED, "input": "x"}
    sent = small_box.client.post("/v1/embeddings", json=body, headers={"x-request-id": "my-id-7"})
    assert sent.headers["x-request-id"] == "my-id-7"
    wait_until(lambda: any("request_id=my-id-7" in line for line in small_box.lines()))


def test_prompts_never_reach_the_log(make_box: MakeBox) -> None:
    box = make_box(spec(CHAT), spec(EMBED), log_level="debug").wait_ready()
    for text in ("canary-7f3a", "/raise canary-7f3a", "/deny canary-7f3a"):
        box.chat(text)
    wait_until(lambda: box.embed("canary-7f3a").status_code == 200)
    assert not [line for line in box.lines() if "canary-7f3a" in line]
