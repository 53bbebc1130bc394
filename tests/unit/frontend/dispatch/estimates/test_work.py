"""How much there is to do, as a request tells it."""

from __future__ import annotations

import struct

import pytest

from frontend.dispatch.estimates.work import IMAGE_CHARS, Work, work_of
from ipc.messages.blob import Blob
from ipc.messages.jobs import (
    ChatInput,
    EmbedInput,
    Fill,
    Image,
    Input,
    Message,
    RerankInput,
    Sampling,
    SpeakInput,
    SpeechInput,
    Text,
    TokenizeInput,
    Tokens,
    Tool,
    ToolCall,
)

FEW = Sampling(max_tokens=10)


def wav(seconds: float, rate: int = 16_000) -> Blob:
    """The head of a file of 16 bits in one channel, with its samples."""
    data = bytes(int(seconds * rate) * 2)
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, rate, rate * 2, 2, 16)
    rest = form + struct.pack("<4sI", b"data", len(data)) + data
    return Blob(struct.pack("<4sI4s", b"RIFF", len(rest) + 4, b"WAVE") + rest)


@pytest.mark.parametrize(
    ("asked", "work"),
    [
        (EmbedInput(texts=["one", "three"]), Work(8)),
        (EmbedInput(tokens=[[1, 2, 3]]), Work(12)),
        (RerankInput(query="what", documents=["one", "three"]), Work(16)),
        (SpeakInput(text="12345678", speed=2.0), Work(4)),
        (SpeechInput(audio=Blob(b"OggSxxxxxx")), Work(10, kind="ogg")),
        (SpeechInput(audio=Blob(b"\0\0\0\x1cftypM4A ")), Work(12, kind="mp4")),
        (SpeechInput(audio=Blob(b"\xff\xfbxx")), Work(4, kind="mpeg")),
        (SpeechInput(audio=Blob(b"RIFF")), Work(4, kind="other")),
        (TokenizeInput(texts=["a long text"]), Work(0, kind="tokenize")),
        (ChatInput(messages=[Message("user", "hello")], sampling=FEW), Work(5, 10)),
        (ChatInput(prompts=[Text("abc"), Tokens(ids=[1, 2])], sampling=FEW), Work(11, 10)),
        (ChatInput(prompts=[Fill(prefix="ab", suffix="c")], sampling=FEW), Work(3, 10)),
        (
            ChatInput(
                messages=[Message("user", [Text("see"), Image(Blob(b"x" * 9999))])],
                sampling=FEW,
                tools=[Tool(name="add", description="adds", parameters="{}")],
            ),
            Work(3 + IMAGE_CHARS + 6, 10),
        ),
        (
            ChatInput(
                messages=[
                    Message(
                        "assistant", "", tool_calls=[ToolCall(id="1", name="f", arguments="{}")]
                    )
                ],
                sampling=Sampling(max_tokens=10, ignore_eos=True),
            ),
            Work(2, 10, exact=True),
        ),
    ],
)
def test_what_is_to_be_read_and_written(asked: Input, work: Work) -> None:
    assert work_of(asked) == work


@pytest.mark.parametrize(("seconds", "rate"), [(2.0, 16_000), (2.0, 48_000)])
def test_a_wav_file_tells_how_long_it_sounds(seconds: float, rate: int) -> None:
    work = work_of(SpeechInput(audio=wav(seconds, rate)))
    assert (round(work.read, 2), work.kind) == (2.0, "wav")


def test_a_chat_may_be_of_a_length_that_was_asked_for() -> None:
    sampling = Sampling(max_tokens=10, min_tokens=10)
    assert work_of(ChatInput(prompts=[Text("x")], sampling=sampling)).exact
