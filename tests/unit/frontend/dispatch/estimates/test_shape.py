"""A job in numbers: enough to make one like it, and nothing of what it says."""

from __future__ import annotations

import msgspec
import pytest

from frontend.dispatch.estimates.shape import Shape, shape_of, tokens_of
from ipc.messages.blob import Blob
from ipc.messages.jobs import (
    ChatInput,
    EmbedInput,
    Fill,
    Image,
    Input,
    Json,
    Message,
    RerankInput,
    Sampling,
    SpeakInput,
    SpeechInput,
    Text,
    TokenizeInput,
    Tokens,
    Tool,
)

SAMPLING = Sampling(max_tokens=9, temperature=0.5, seed=3, n=2, stop=["a secret"], logprobs=1)
CHAT = ChatInput(
    messages=[
        Message("system", "a secret"),
        Message("user", [Text("secret"), Image(Blob(b"12345"))]),
    ],
    sampling=SAMPLING,
    tools=[Tool(name="secret")],
    form=Json(schema='{"const": "secret"}'),
)


@pytest.mark.parametrize(
    ("asked", "shape"),
    [
        (
            CHAT,
            Shape(
                kind="chat",
                texts=2,
                chars=14,
                images_bytes=[5],
                tools=1,
                schema=True,
                n=2,
                max_tokens=9,
                temperature=0.5,
                top_p=1.0,
                top_k=0,
                seed=3,
                stops=1,
                logprobs=1,
            ),
        ),
        (
            ChatInput(
                prompts=[Text("abc"), Tokens(ids=[1, 2]), Fill(prefix="a", suffix="bc")],
                sampling=Sampling(max_tokens=1),
            ),
            Shape(
                kind="chat",
                texts=3,
                chars=6,
                tokens=2,
                max_tokens=1,
                temperature=1.0,
                top_p=1.0,
                top_k=0,
            ),
        ),
        (EmbedInput(texts=["ab", "c"]), Shape(kind="embed", texts=2, chars=3)),
        (EmbedInput(tokens=[[1, 2], [3]]), Shape(kind="embed", texts=2, tokens=3)),
        (
            RerankInput(query="ab", documents=["abc"]),
            Shape(kind="rerank", texts=1, chars=5),
        ),
        (
            SpeechInput(audio=Blob(b"123"), temperature=0.0),
            Shape(kind="speech", audio_bytes=3, temperature=0.0),
        ),
        (SpeakInput(text="abc"), Shape(kind="speak", texts=1, chars=3)),
        (TokenizeInput(texts=["abc"]), Shape(kind="tokenize", texts=1, chars=3)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_job_has_its_shape(asked: Input, shape: Shape) -> None:
    assert shape_of(asked) == shape


@pytest.mark.parametrize(
    ("asked", "read", "written"),
    [
        (ChatInput(prompts=[Text("abcd")] * 16, sampling=Sampling(max_tokens=10, n=2)), 16, 320),
        (CHAT, None, 18),
        (EmbedInput(texts=["abcd"] * 100), 300, 0),
        (EmbedInput(tokens=[[1], [2, 3]]), 7, 0),
        (RerankInput(query="abcdefgh", documents=["abcd"] * 10), 50, 0),
        (SpeakInput(text="abcd"), 1, 0),
        (TokenizeInput(texts=["abc"]), 0, 0),
    ],
)
def test_a_job_may_be_so_many_tokens(asked: Input, read: float | None, written: float) -> None:
    reads, writes = tokens_of(asked)
    assert writes == written
    if read is not None:
        assert reads == read


def test_no_word_of_a_job_is_in_its_shape() -> None:
    assert b"secret" not in msgspec.json.encode(shape_of(CHAT))
