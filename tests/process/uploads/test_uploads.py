"""Recordings on their way: what becomes of their jobs while they come, whatever happens to either
side. The engine is echo: each piece of a file brings a word of the prompt, its end the others."""

from __future__ import annotations

import json
import signal

import openai
import psutil
import pytest

from tests.process.box import SPEECH, Box, MakeBox, spec, wait_until
from tests.process.uploads.client import FILE, KB, MB, Uploader, audio, field

WORDS = "one two three four five"


@pytest.fixture(scope="module")
def box(module_box: MakeBox) -> Box:
    return module_box(
        spec(SPEECH, slots=2), max_audio_bytes=32 * MB, keepalive_s=0.5, memory_mb=64
    ).wait_ready()


def frontend(box: Box) -> psutil.Process:
    return psutil.Process(box.health()["frontend"]["pid"])


def test_a_job_is_in_hand_before_its_upload_ends(box: Box) -> None:
    with Uploader(box) as one:
        one.fields(prompt=WORDS).send(FILE, audio(MB)).is_in_hand()
        status, body = one.send(audio(MB)).end().answer()
    assert (status, json.loads(body)["text"]) == (200, WORDS)


def test_words_are_told_while_the_upload_runs(box: Box) -> None:
    with Uploader(box) as one:
        one.fields(prompt=WORDS, stream="true").send(FILE, audio(MB))
        assert b'"one"' in one.raw.read_until(b'"one"')
        status_and_rest = one.send(audio(MB)).end().raw.read_all().decode()
    assert '"text":"one two three four five"' in status_and_rest
    assert "transcript.text.done" in status_and_rest


@pytest.mark.parametrize("size", [4 * KB, MB])
def test_fields_behind_the_file_count(box: Box, size: int) -> None:
    with Uploader(box) as one:
        one.send(FILE, audio(size), field("prompt", WORDS))
        status, body = one.send(field("model", SPEECH)).end().answer()
    assert (status, json.loads(body)["text"]) == (200, WORDS)


def test_a_field_behind_the_file_changes_what_was_begun_without_it(box: Box) -> None:
    with Uploader(box) as one:
        one.fields().send(FILE, audio(MB)).is_in_hand()
        status, body = one.send(field("prompt", WORDS)).end().answer()
    assert (status, json.loads(body)["text"]) == (200, WORDS)


def test_one_that_comes_when_words_have_been_told_is_an_error(box: Box) -> None:
    with Uploader(box) as one:
        one.fields(prompt=WORDS, stream="true").send(FILE, audio(MB))
        one.raw.read_until(b'"one"')
        rest = one.send(field("language", "de")).end().raw.read_all()
    assert b"`language` came after the file" in rest
    assert b"transcript.text.done" not in rest


@pytest.mark.parametrize("declared", [None, 40 * MB])
def test_what_is_too_large_is_the_error_it_was(box: Box, declared: int | None) -> None:
    with Uploader(box, declared) as one:
        if declared is None:
            one.fields(prompt=WORDS).send(FILE, audio(MB)).is_in_hand()
            one.send(*([audio(MB)] * 31), audio(KB))
        status, error = one.error()
    assert (status, error["code"]) == (413, "request_too_large")
    wait_until(lambda: box.queue(SPEECH)["in_flight"] == 0)


def test_a_client_that_leaves_while_it_sends_ends_its_job(box: Box) -> None:
    with Uploader(box) as one:
        one.fields(prompt=WORDS).send(FILE, audio(MB)).is_in_hand()
    wait_until(lambda: box.queue(SPEECH)["in_flight"] == 0)
    wait_until(lambda: any("status=499" in line for line in box.lines()))


def test_a_form_that_breaks_off_ends_its_job(box: Box) -> None:
    with Uploader(box) as one:
        one.fields(prompt=WORDS).send(FILE, audio(MB)).is_in_hand()
        one.send(b"\r\n--cut\r\nno header\r\n\r\n")
        status, error = one.end().error()
    assert (status, error["code"]) == (400, "invalid_value")
    wait_until(lambda: box.queue(SPEECH)["in_flight"] == 0)


def test_it_is_heard_by_the_next_worker_if_its_own_is_killed(box: Box) -> None:
    """While it comes, and once more when all of it is there."""
    with Uploader(box) as one:
        one.fields(prompt=WORDS).send(FILE, audio(MB)).is_in_hand()
        generation = box.kill(SPEECH, signal.SIGKILL)
        wait_until(lambda: box.replica(SPEECH)["generation"] > generation)
        one.is_in_hand()
        status, body = one.send(audio(MB)).end().answer()
    assert (status, json.loads(body)["text"]) == (200, WORDS)


def test_a_killed_worker_of_which_words_were_told_is_an_error_event(box: Box) -> None:
    with Uploader(box) as one:
        one.fields(prompt=WORDS, stream="true").send(FILE, audio(MB))
        one.raw.read_until(b'"one"')
        box.kill(SPEECH, signal.SIGKILL)
        rest = one.raw.read_until(b"worker_crashed")
    assert b"transcript.text.done" not in rest
    box.wait_ready()


def test_long_files_pass_through_little_memory(box: Box) -> None:
    process = frontend(box)
    part, most = audio(MB), 0
    with Uploader(box) as one:
        one.send(FILE, part)
        before = process.memory_info().rss
        for _ in range(30):
            one.send(part)
            most = max(most, process.memory_info().rss)
        one.send(field("model", SPEECH), field("prompt", WORDS))
        status, _ = one.end().answer()
    assert status == 200
    assert most - before < 8 * MB


def test_the_sdk_is_answered_as_before(box: Box) -> None:
    with openai.OpenAI(base_url=f"{box.url}/v1", api_key="none", max_retries=0) as client:
        for size in (KB, 3 * MB):
            heard = client.audio.transcriptions.create(
                model=SPEECH, file=("a.wav", audio(size)), prompt=WORDS
            )
            assert heard.text == WORDS
        events = list(
            client.audio.transcriptions.create(
                model=SPEECH, file=("a.wav", audio(3 * MB)), prompt=WORDS, stream=True
            )
        )
    deltas = [event.delta for event in events if event.type == "transcript.text.delta"]
    assert "".join(deltas) == WORDS
