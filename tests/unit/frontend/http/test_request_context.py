"""Under what terms a request waits: who asks, and what it says about its place, on every face."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.testclient import TestClient

from frontend.dispatch.stream import Stream
from frontend.dispatch.terms import Terms
from frontend.http.request_context import RequestContext
from ipc.messages.control import AccessConfig
from ipc.messages.errors import QueueFull
from ipc.messages.keys import ApiKey
from tests.unit.frontend.http_fakes import FakeDispatcher, application

HI = [{"role": "user", "content": "hi"}]
FACES: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {"model": "org/chat", "messages": HI},
    "/v1/messages": {"model": "org/chat", "messages": HI, "max_tokens": 9},
    "/v1/responses": {"model": "org/chat", "input": "hi"},
    "/v1/completions": {"model": "org/chat", "prompt": "a"},
    "/infill": {"model": "org/chat", "input_prefix": "a", "input_suffix": "b"},
    "/v1/fim/completions": {"model": "org/chat", "prompt": "a", "suffix": "b"},
    "/v1/embeddings": {"model": "org/embed", "input": "a"},
    "/embedding": {"model": "org/embed", "content": "a"},
    "/v1/rerank": {"model": "org/rerank", "query": "q", "documents": ["a"]},
    "/rerank": {"query": "q", "texts": ["a"]},
    "/v1/score": {"model": "org/rerank", "text_1": "a", "text_2": "b"},
    "/v1/audio/speech": {"model": "org/speak", "input": "a"},
}
CHAT = "/v1/chat/completions"
SECRETS = {name: f"sk-{name}-{name}" for name in ("ann", "root", "late", "first")}
KEYS = {
    "ann": ApiKey.of(SECRETS["ann"], weight=2.0),
    "root": ApiKey.of(SECRETS["root"], "admin"),
    "late": ApiKey.of(SECRETS["late"], priority=4),
    "first": ApiKey.of(SECRETS["first"], priority=-4),
}


def full(_: Stream) -> None:
    raise QueueFull("full")  # the terms are all that is looked at


def terms_of(answered: Any, fake: FakeDispatcher) -> Terms:
    assert answered.status_code == 429, answered.text
    (terms,) = fake.terms
    return terms


def terms(path: str = CHAT, *, by: str = "ann", **keys: Any) -> Terms:
    """Of a request with these headers or keys of its body."""
    fake = FakeDispatcher(full)
    client = TestClient(application(fake, gate=AccessConfig(api_keys=KEYS)))
    headers = {name: keys.pop(name) for name in [*keys] if name.startswith("x-")}
    headers["x-api-key"] = SECRETS[by]
    return terms_of(client.post(path, json={**FACES[path], **keys}, headers=headers), fake)


@pytest.mark.parametrize("path", FACES)
def test_every_face_takes_a_priority_of_which_the_lower_comes_first(path: str) -> None:
    assert terms(path, priority=3) == Terms(client="ann", weight=2.0, priority=-3, precedence=-3)
    assert terms(path, priority=-3) == Terms(client="ann", weight=2.0, priority=3, precedence=0)


@pytest.mark.parametrize("path", FACES)
def test_one_that_is_no_integer_is_refused(path: str) -> None:
    client = TestClient(application(FakeDispatcher(full)))
    answer = client.post(path, json={**FACES[path], "priority": "soon"})
    assert answer.status_code == 400
    assert "`priority` must be an integer" in answer.text


def test_a_form_has_it_as_a_field() -> None:
    fake = FakeDispatcher(full)
    answer = TestClient(application(fake)).post(
        "/v1/audio/transcriptions",
        data={"model": "org/speech", "priority": "-3"},
        files={"file": ("a.wav", b"RIFF")},
    )
    assert terms_of(answer, fake).priority == 3


def test_the_header_says_the_same_and_the_body_wins() -> None:
    assert terms(**{"x-priority": "3"}).priority == -3
    assert terms(**{"x-priority": "3"}, priority=-2).priority == 2
    assert terms(**{"x-priority": "1 (Highest)"}).priority == 0  # as mail has it


def test_what_is_out_of_bounds_is_as_far_as_it_goes() -> None:
    assert terms(priority=2_000_000).priority == -10
    assert terms(priority=-2_000_000).priority == 10


@pytest.mark.parametrize(
    ("by", "asked", "priority", "precedence"),
    [
        ("ann", -5, 5, 0),
        ("ann", 5, -5, -5),
        ("late", None, -4, -4),
        ("late", -5, 5, -4),
        ("first", None, 4, 4),
        ("first", -9, 9, 4),
        ("first", 9, -9, -9),
        ("root", None, 0, 0),
        ("root", -9, 9, 9),
    ],
)
def test_a_client_goes_before_others_as_its_key_may_and_an_admin_as_it_likes(
    by: str, asked: int | None, priority: int, precedence: int
) -> None:
    found = terms(by=by, priority=asked)
    assert (found.priority, found.precedence) == (priority, precedence)


@pytest.mark.parametrize(
    ("query", "autoload"),
    [
        (b"", True),
        (b"autoload=false", False),
        (b"autoload=true", True),
        (b"autoload=%ff", False),
        (b"autoload=\xff&autoload", False),
        (b"x=%ff%00&autoload=1", True),
    ],
)
def test_a_query_may_hold_anything(query: bytes, autoload: bool) -> None:
    scope = {"type": "http", "headers": [], "query_string": query}
    assert RequestContext.begin(scope).autoload is autoload
