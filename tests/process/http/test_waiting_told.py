"""A wait as clients meet it: official SDKs read the headers and skip the comments."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx2
import pytest
from anthropic import Anthropic
from openai import OpenAI

from tests.process.box import CHAT, Box, MakeBox, spec, wait_until

LONG = "/slow 100 " + "word " * 30
LATE: Any = [{"role": "user", "content": "hello"}]
PROGRESS = {"x-progress": "1"}
RARE = "echo/chat-rare"


@pytest.fixture(scope="module")
def box(module_box: MakeBox) -> Box:
    """A model that answers one at a time, and has done so once."""
    rare = spec(RARE, load="on_demand", idle_unload_s=0.5, options={"load_s": 1.0})
    box: Box = module_box(spec(CHAT, slots=1, prefetch=0), rare)
    wait_until(lambda: box.ask("/readyz") == 200)
    assert box.chat(LONG).status_code == 200
    return box


@contextmanager
def busy(box: Box) -> Iterator[None]:
    """The model has three seconds' work in hand."""
    wait_until(lambda: not box.queue(CHAT)["in_flight"])
    client = threading.Thread(target=box.chat, args=(LONG,))
    client.start()
    try:
        wait_until(lambda: box.queue(CHAT)["in_flight"])
        yield
    finally:
        client.join()


def test_openais_sdk_reads_the_headers_of_a_whole_answer(box: Box) -> None:
    with busy(box), OpenAI(base_url=f"{box.url}/v1", api_key="unused", max_retries=0) as client:
        raw = client.chat.completions.with_raw_response.create(model=CHAT, messages=LATE)
    assert raw.parse().choices[0].message.content == "hello"
    assert raw.headers["x-queue-position"] == "1"
    assert int(raw.headers["x-eta-start-ms"]) > 0
    assert int(raw.headers["x-queue-ms"]) > 0
    assert raw.headers["x-model-load-ms"] == "0"


def test_openais_sdk_reads_the_headers_of_a_stream_and_skips_its_comments(box: Box) -> None:
    with busy(box), OpenAI(base_url=f"{box.url}/v1", api_key="unused", max_retries=0) as client:
        raw = client.chat.completions.with_raw_response.create(
            model=CHAT, messages=LATE, stream=True, extra_headers=PROGRESS
        )
        assert raw.headers["x-queue-position"] == "1"
        assert "x-queue-ms" not in raw.headers  # it waits
        chunks = list(raw.parse())
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "hello"


def test_openais_sdk_skips_the_comments_before_a_response(box: Box) -> None:
    with busy(box), OpenAI(base_url=f"{box.url}/v1", api_key="unused", max_retries=0) as client:
        events = client.responses.create(
            model=CHAT, input="hello", stream=True, extra_headers=PROGRESS
        )
        kinds = [event.type for event in events]
    assert (kinds[0], kinds[-1]) == ("response.created", "response.completed")


def test_anthropics_sdk_skips_the_comments_before_a_message(box: Box) -> None:
    asked: Any = {"model": CHAT, "messages": LATE, "max_tokens": 8, "extra_headers": PROGRESS}
    with (
        busy(box),
        Anthropic(base_url=box.url, api_key="unused", max_retries=0) as client,
        client.messages.stream(**asked) as told,
    ):
        text = told.get_final_text()
    assert text == "hello"


def lines(box: Box, until: Callable[[str], bool], **body: Any) -> list[str]:
    """What a stream sends, up to that line."""
    asked = {"model": CHAT, "messages": LATE, "stream": True, **body}
    found = []
    with httpx2.stream(
        "POST", f"{box.url}/v1/chat/completions", json=asked, headers=PROGRESS, timeout=60
    ) as answer:
        for line in answer.iter_lines():
            found.append(line)
            if until(line):
                break
    return [line for line in found if line]


def test_a_stream_that_waits_is_told_where_it_stands_and_when_its_turn_comes(box: Box) -> None:
    with busy(box):
        first, *rest = lines(box, lambda line: line.startswith("data: {"))
    assert first.startswith(": queue position=1 eta=")
    assert rest[-1].startswith("data: {")


def test_a_stream_is_told_how_far_its_prompt_is_read(box: Box) -> None:
    wait_until(lambda: not box.queue(CHAT)["in_flight"])
    asked = [{"role": "user", "content": "/prefill 100 " + "word " * 30}]
    *told, answer = lines(box, lambda line: line.startswith("data: {"), messages=asked)
    counts = [re.fullmatch(r": prefill (\d+)/30 eta=\d\.\ds", line) for line in told]
    read = [int(found[1]) for found in counts if found]
    assert len(read) == len(told) >= 1
    assert read == sorted(read)
    assert answer.startswith("data: {")


def test_operators_are_told_how_far_a_prompt_is_read(box: Box) -> None:
    wait_until(lambda: not box.queue(CHAT)["in_flight"])
    client = threading.Thread(target=box.chat, args=("/prefill 100 " + "word " * 30,))
    client.start()

    def is_told() -> bool:
        listed = httpx2.get(f"{box.url}/admin/requests", timeout=60).json()["requests"]
        told = [one["waiting"]["prefill"] for one in listed if one["waiting"]]
        return any(one and one["prompt_tokens"] == 30 for one in told)

    wait_until(is_told)
    client.join()


def test_a_stream_whose_model_loads_is_told_the_stages(box: Box) -> None:
    assert box.chat("hello", model=RARE).status_code == 200

    def is_out() -> bool:
        models = {one["name"]: one["state"] for one in box.health()["models"]}
        return bool(models[RARE] == "unloaded")

    wait_until(is_out)
    told = lines(box, lambda line: line.startswith("data: {"), model=RARE)
    assert told[0].startswith(": loading position=1 stage=")
    assert "eta=" in told[0]  # the load before was measured


def test_an_answer_says_how_long_its_model_took_to_load(box: Box) -> None:
    def loaded_ms() -> int:
        return int(box.chat("hello", model=RARE).headers["x-model-load-ms"])

    wait_until(lambda: loaded_ms() >= 1000 or threading.Event().wait(1.0))
