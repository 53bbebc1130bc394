"""A load made again: what is sent for what was recorded, and what is said of it."""

from __future__ import annotations

import asyncio
import gzip
import io
import json
import wave
from pathlib import Path
from typing import Any

import httpx2
import msgspec
import orjson
import pytest

from bench.replay.bodies import Bodies, most_bytes
from bench.replay.calibrate import Tokenizers
from bench.replay.command import main
from bench.replay.compare import compared
from bench.replay.material import Words, picture, speech
from bench.replay.play import Player
from bench.replay.recording import Outcome, Recorded, read
from supervisor.cli.incident.file import Shape
from supervisor.config.errors import ConfigError


def entry(at_s: float, **known: Any) -> dict[str, Any]:
    shape = {"kind": "chat", "texts": 1, "chars": 60, "max_tokens": 32}
    path = "/v1/chat/completions"
    return {"at_s": at_s, "model": "chat", "path": path, "shape": shape, "status": 200, **known}


def written(folder: Path, *requests: dict[str, Any]) -> Path:
    file = folder / "incident.json.gz"
    told = {"told": "chat died", "time_s": 0.0, "requests": [*requests]}
    file.write_bytes(gzip.compress(json.dumps(told).encode()))
    return file


def recorded(kind: str = "chat", **known: Any) -> Recorded:
    shape = {"kind": kind, "texts": 1, "chars": 60, **known.pop("shape", {})}
    values: dict[str, Any] = {
        "after_s": 0.0,
        "model": "m",
        "path": "",
        "streams": False,
        "outcome": Outcome(status=200),
    }
    return Recorded(**(values | known), shape=msgspec.convert(shape, Shape))


def body(one: Recorded, *, tokens: float | None = None, **names: str) -> dict[str, Any]:
    """What is sent for it, to a model of so many tokens a word."""

    def words_for(_: str, wanted: int) -> int | None:
        return None if tokens is None else round(wanted / tokens)

    found: dict[str, Any] = orjson.loads(Bodies(names, words_for, Words(1)).request(one).body)
    return found


def test_requests_come_as_far_apart_as_they_did_and_those_of_no_shape_are_left_out(
    tmp_path: Path,
) -> None:
    refused = {"at_s": -100.0, "path": "/v1/chat/completions", "status": 400}
    recording = read(written(tmp_path, refused, entry(-20.5), entry(-10.0, status=499, total_s=2)))
    assert [(one.after_s, one.left_s) for one in recording.requests] == [(0.0, None), (10.5, 2)]
    assert (recording.told, recording.left_out) == ("chat died", 1)


def test_what_is_no_such_file_is_said(tmp_path: Path) -> None:
    other = tmp_path / "notes.txt"
    for text in ("hello", "{}", '{"told": 1, "requests": [1]}'):
        other.write_text(text)
        with pytest.raises(ConfigError, match="is no file of an incident"):
            read(other)


def test_no_more_is_made_than_fits_in_memory(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture_bytes = {"images_bytes": [100 << 20] * 32}
    file = written(tmp_path, entry(-1.0, shape={"kind": "chat", **picture_bytes}))
    with pytest.raises(SystemExit) as ended:
        main([str(file)])
    assert ended.value.code == 78
    said = capsys.readouterr().err
    assert "its requests would be 4266 MiB, more than the 2048 MiB that are made again" in said


@pytest.mark.parametrize(
    ("kind", "shape", "known"),
    [
        ("chat", {"chars": 6000, "images_bytes": [2000, 3000], "tools": 3, "texts": 2}, {}),
        ("embed", {"chars": 600, "texts": 300}, {}),
        ("rerank", {"tokens": 70}, {}),
        ("speech", {}, {"audio_s": 2.0}),
        ("speech", {"audio_bytes": 64_000}, {}),
        ("speak", {"texts": 5}, {}),
    ],
)
def test_how_much_is_sent_is_known_before(
    kind: str, shape: dict[str, Any], known: dict[str, Any]
) -> None:
    one = recorded(kind, shape=shape, **known)
    made = Bodies({}, lambda _, tokens: tokens, Words(1)).request(one)
    assert len(made.body) <= most_bytes(one) + 1024


def test_a_server_cannot_have_a_prompt_made_longer_than_it_was() -> None:
    def count(request: httpx2.Request) -> httpx2.Response:
        words = len(orjson.loads(request.content)["messages"][0]["content"].split())
        return httpx2.Response(200, json={"count": 1 + (words > 50)})

    async def ask() -> int | None:
        tokenizers = Tokenizers()
        transport = httpx2.MockTransport(count)
        async with httpx2.AsyncClient(transport=transport, base_url="http://test") as one:
            await tokenizers.ask(one, {"m"}, Words(1))
        return tokenizers.words_for("m", 105)

    assert asyncio.run(ask()) == 105


def test_a_chat_is_sent_with_its_length_and_all_that_was_asked_of_it() -> None:
    asked = {"max_tokens": 32, "n": 2, "temperature": 0.5, "tools": 2, "schema": True, "stops": 1}
    one = recorded(streams=True, shape=asked, prompt_tokens=30)
    sent = body(one, tokens=1.5, m="other")
    assert len(sent["messages"][0]["content"].split()) == 20
    assert (sent["model"], sent["max_tokens"], sent["n"], sent["temperature"]) == (
        "other",
        32,
        2,
        0.5,
    )
    assert (sent["stream"], len(sent["tools"]), len(sent["stop"])) == (True, 2, 1)
    assert sent["response_format"]["type"] == "json_schema"


def test_where_no_tokenizer_is_asked_its_characters_are_counted() -> None:
    text = body(recorded(shape={"chars": 600}))["messages"][0]["content"]
    assert len(text.split()) == 100


def test_an_answer_is_held_to_the_length_that_it_had() -> None:
    ended = Outcome(status=200, tokens=7)
    assert body(recorded(outcome=ended, shape={"max_tokens": 512}))["max_tokens"] == 7
    cut = Outcome(status=503, error="worker_crashed", tokens=7)
    assert body(recorded(outcome=cut, shape={"max_tokens": 512}))["max_tokens"] == 512


def test_what_a_cache_had_begins_with_the_same_words_again() -> None:
    made = Bodies({}, lambda _, tokens: tokens, Words(1))
    one = recorded(prompt_tokens=20, cached_tokens=15)
    first, second = (
        orjson.loads(made.request(one).body)["messages"][0]["content"].split() for _ in range(2)
    )
    assert first[:15] == second[:15]
    assert first[15:] != second[15:]


def test_other_tasks_are_sent_where_they_belong() -> None:
    made = Bodies({}, lambda *_: None, Words(1))
    paths = {
        kind: made.request(recorded(kind, shape={"texts": 3}, audio_s=1.0)).path
        for kind in ("embed", "rerank", "speech", "tokenize")
    }
    assert paths == {
        "embed": "/v1/embeddings",
        "rerank": "/v1/rerank",
        "speech": "/v1/audio/transcriptions",
        "tokenize": "/tokenize",
    }
    assert len(body(recorded("embed", shape={"texts": 3}))["input"]) == 3
    assert len(body(recorded("rerank", shape={"texts": 3}))["documents"]) == 3


def test_pictures_and_sound_are_as_large_as_they_were() -> None:
    assert len(picture(50_000)) == 50_000
    assert picture(50_000).startswith(b"\x89PNG")
    with wave.open(io.BytesIO(speech(2.5))) as sound:
        assert sound.getnframes() / sound.getframerate() == 2.5
    asked = {"images_bytes": [2000, 3000]}
    parts = body(recorded(shape=asked))["messages"][0]["content"]
    assert [part["type"] for part in parts] == ["text", "image_url", "image_url"]


def answer(request: httpx2.Request) -> httpx2.Response:
    """A tokenizer of two tokens a word behind a template of five, and answers of three tokens."""
    asked = orjson.loads(request.content)
    if request.url.path == "/tokenize":
        count = 5 + 2 * len(asked["messages"][0]["content"].split())
        return httpx2.Response(200, json={"count": count})
    if asked["model"] == "broken":
        return httpx2.Response(503, json={"error": {"code": "worker_crashed", "message": ""}})
    if asked.get("stream"):
        events = ': wait\n\ndata: {"usage": null}\n\ndata: {"usage": {"completion_tokens": 3}}\n\n'
        return httpx2.Response(200, content=events + "data: [DONE]\n\n")
    return httpx2.Response(200, json={"usage": {"completion_tokens": 3}})


def client() -> httpx2.AsyncClient:
    return httpx2.AsyncClient(transport=httpx2.MockTransport(answer), base_url="http://test")


def test_a_models_tokenizer_tells_how_many_words_a_prompt_has() -> None:
    async def ask() -> list[int | None]:
        tokenizers = Tokenizers()
        async with client() as one:
            await tokenizers.ask(one, {"m"}, Words(1))
        return [tokenizers.words_for("m", 105), tokenizers.words_for("unknown", 105)]

    assert asyncio.run(ask()) == [50, None]


def test_what_comes_now_stands_beside_what_came_then() -> None:
    then = Outcome(status=503, error="worker_crashed")
    requests = [recorded(), recorded(streams=True), recorded(model="broken", outcome=then)]

    async def play() -> list[Outcome]:
        made = Bodies({}, lambda *_: None, Words(1))
        async with client() as one:
            return await Player(one, 10.0).play(
                requests, [made.request(each) for each in requests], speed=100
            )

    outcomes = asyncio.run(play())
    assert [(one.status, one.ended, one.tokens) for one in outcomes] == [
        (200, "ok", 3),
        (200, "ok", 3),
        (503, "worker_crashed", None),
    ]
    kinds = compared(requests, outcomes)
    assert [str(kind) for kind, _, _ in kinds] == ["m chat", "m chat stream", "broken chat"]
    assert [(dict(before.ended), dict(now.ended)) for _, before, now in kinds] == [
        ({"ok": 1}, {"ok": 1}),
        ({"ok": 1}, {"ok": 1}),
        ({"worker_crashed": 1}, {"worker_crashed": 1}),
    ]
