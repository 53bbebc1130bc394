"""Ordinary bursts of ordinary clients, against the limits of a server for which nobody sets any."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from typing import Any

import httpx2
import pytest

from ipc.messages.spec import Spec
from supervisor.config import access, settings
from supervisor.config.entries.entry import Entry
from supervisor.config.settings import Flags, Settings
from supervisor.config.spec import Files, spec_for
from supervisor.host.hardware import Box as Machine
from tests.process.box import CHAT, EMBED, RERANK, SPEECH, Box, MakeBox

BURST_S = 120.0


@pytest.fixture(scope="module")
def defaults() -> Settings:
    """The settings of a box on which nobody has set any."""
    with pytest.MonkeyPatch.context() as bare:
        for name in Settings.model_fields:
            bare.delenv(name.upper(), raising=False)
        return settings.load(Flags())


@pytest.fixture(scope="module")
def box(module_box: MakeBox, defaults: Settings) -> Box:
    def one(name: str, **options: int) -> Spec:
        task = name.rpartition("/")[2]
        entry: dict[str, Any] = {"name": name, "task": task, "engine": "echo", "options": options}
        return spec_for(Entry.model_validate(entry), defaults, Machine(), Files())

    specs = (one(EMBED, word_ms=20), one(RERANK, word_ms=20), one(CHAT, word_ms=5), one(SPEECH))
    return module_box(*specs, gate=access.gate(defaults)).wait_ready()


async def statuses(box: Box, path: str, requests: list[dict[str, Any]]) -> Counter[int]:
    """What all of ``requests`` are answered, sent at once, each over a connection of its own."""
    limits = httpx2.Limits(max_connections=None)
    async with httpx2.AsyncClient(base_url=box.url, limits=limits, timeout=BURST_S) as client:
        answers = await asyncio.gather(*(client.post(path, **each) for each in requests))
    return Counter(answer.status_code for answer in answers)


def burst(box: Box, path: str, requests: list[dict[str, Any]]) -> Counter[int]:
    return asyncio.run(statuses(box, path, requests))


@pytest.mark.parametrize("pieces", [435, 1024])
def test_a_document_sent_piece_by_piece_at_once(box: Box, pieces: int) -> None:
    """As Open WebUI sends one of 300 kB: each piece of 1,000 characters by itself."""
    texts = [f"{number} ".ljust(1000, "x") for number in range(pieces)]
    bodies = [{"json": {"model": EMBED, "input": [text]}} for text in texts]
    assert burst(box, "/v1/embeddings", bodies) == {200: pieces}


def test_a_query_ranked_against_many_collections_at_once(box: Box) -> None:
    body = {"model": RERANK, "query": "a b", "documents": ["a"] * 50}
    assert burst(box, "/v1/rerank", [{"json": body}] * 100) == {200: 100}


def test_a_list_of_prompts_sent_at_once(box: Box) -> None:
    body = {"model": CHAT, "messages": [{"role": "user", "content": "say it again"}]}
    assert burst(box, "/v1/chat/completions", [{"json": body}] * 200) == {200: 200}


def test_the_parts_of_a_long_recording_sent_at_once(box: Box) -> None:
    audio = os.urandom(1 << 20)
    form = {"data": {"model": SPEECH, "prompt": "words"}, "files": {"file": ("a.wav", audio)}}
    assert burst(box, "/v1/audio/transcriptions", [form] * 40) == {200: 40}
