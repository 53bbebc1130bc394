"""The wire: what goes in comes out, and nothing foreign gets in."""

from __future__ import annotations

import contextlib
import pickle

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipc.messages import errors
from ipc.messages.blob import Blob
from ipc.messages.events import (
    CallArguments,
    CallOpened,
    ChatResult,
    Delta,
    Done,
    Events,
    Failed,
    Reasoning,
    Token,
    TokenizeResult,
    TokenLogprob,
    Usage,
)
from ipc.messages.jobs import ChatInput, FromFrontend, Job, Message, Sampling, SpeechInput
from ipc.transport import wire

DECODER = wire.Decoder[FromFrontend](FromFrontend)
SPEECH = Job(id="a", model="m", input=SpeechInput(audio=Blob(b"\x00\xff" * 9)), deadline_at=1.5)


def test_blobs_travel_as_frames_of_their_own() -> None:
    frames = wire.encode(SPEECH)
    assert frames[1] == b"\x00\xff" * 9
    assert b"\x00\xff\x00\xff" not in frames[0]
    assert DECODER.decode(frames) == SPEECH


def test_a_message_has_no_blob_of_the_one_before_it() -> None:
    header, _ = wire.encode(SPEECH)
    DECODER.decode(wire.encode(SPEECH))
    with pytest.raises(wire.WireError, match="did not arrive"):
        DECODER.decode([header])


@given(st.lists(st.text()), st.binary(max_size=100))
def test_any_text_and_any_bytes_survive(texts: list[str], audio: bytes) -> None:
    messages = [Message("user", text) for text in texts if text.isprintable()]
    asked = ChatInput(messages=messages, sampling=Sampling(max_tokens=1))
    for job in (
        Job(id="x", model="m", input=asked, deadline_at=0.0),
        Job(id="x", model="m", input=SpeechInput(audio=Blob(audio)), deadline_at=0.0),
    ):
        assert DECODER.decode(wire.encode(job)) == job


@given(st.lists(st.binary(max_size=64), max_size=4))
def test_garbage_is_refused_and_nothing_else(frames: list[bytes]) -> None:
    with pytest.raises(wire.WireError):
        DECODER.decode(frames)


@given(st.binary(max_size=64))
def test_garbage_behind_a_good_start_is_refused(rest: bytes) -> None:
    with pytest.raises(wire.WireError):
        DECODER.decode([wire.MAGIC + rest])


@given(st.data())
def test_a_damaged_message_is_read_as_another_or_refused(data: st.DataObject) -> None:
    header, blob = wire.encode(SPEECH)
    damaged = bytearray(header)
    for _ in range(data.draw(st.integers(1, 3))):
        damaged[data.draw(st.integers(3, len(header) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(wire.WireError):
        DECODER.decode([bytes(damaged), blob])


@pytest.mark.parametrize(
    "frames",
    [
        pytest.param([], id="nothing"),
        pytest.param([wire.encode(SPEECH)[0]], id="the blob is missing"),
        pytest.param([pickle.dumps(SPEECH.id)], id="pickle"),
        pytest.param([*wire.encode(SPEECH), *[b""] * wire.MAX_BLOBS], id="too many frames"),
        pytest.param([wire.MAGIC + b"\x91" * 100_000], id="nested deep"),
        pytest.param([wire.MAGIC + b"\x81\xa4type\xa3jo\xeb"], id="a text that is none"),
    ],
)
def test_what_is_not_ours_is_refused(frames: list[bytes]) -> None:
    with pytest.raises(wire.WireError):
        DECODER.decode(frames)


def test_another_version_is_refused_however_well_it_reads() -> None:
    header, blob = wire.encode(SPEECH)
    with pytest.raises(wire.WireError, match="of another version"):
        DECODER.decode([b"ES\x01" + header[3:], blob])


@pytest.mark.parametrize("number", [-1, 0, 2, "1"])
def test_a_blob_is_one_of_the_frames_behind_the_header(number: object) -> None:
    """Not the header itself, which is frame 0."""
    header, blob = wire.encode(SPEECH)
    message = msgspec.msgpack.decode(header[3:])
    assert message["input"]["audio"] == 1
    message["input"]["audio"] = number
    with pytest.raises(wire.WireError, match="names a blob that did not arrive"):
        DECODER.decode([wire.MAGIC + msgspec.msgpack.encode(message), blob])


def test_a_message_of_another_direction_is_refused() -> None:
    with pytest.raises(wire.WireError):
        DECODER.decode(wire.encode(Events([Delta("a", "text")])))


@pytest.mark.parametrize(
    ("cap", "why"),
    [
        ("MAX_HEADER_BYTES", "header of .* bytes; the cap is 4"),
        ("MAX_BLOB_BYTES", "a blob is over 4 bytes"),
    ],
)
def test_sizes_are_capped_before_anything_is_sent_or_read(
    monkeypatch: pytest.MonkeyPatch, cap: str, why: str
) -> None:
    frames = wire.encode(SPEECH)
    monkeypatch.setattr(wire, cap, 4)
    with pytest.raises(wire.WireError, match=why):
        wire.encode(SPEECH)
    with pytest.raises(wire.WireError, match=why):
        DECODER.decode(frames)


def test_what_is_nested_too_deep_to_be_skipped_is_refused() -> None:
    header, blob = wire.encode(SPEECH)
    message = msgspec.msgpack.decode(header[3:])
    message["unknown"] = msgspec.Raw(b"\x91" * 100_000 + b"\x01")
    with pytest.raises(wire.WireError, match="recursion"):
        DECODER.decode([wire.MAGIC + msgspec.msgpack.encode(message), blob])


def test_a_step_of_events_keeps_its_order() -> None:
    usage = Usage(prompt_tokens=1, completion_tokens=2)
    done = Done("b", ChatResult(finish="stop", usage=usage, stop_text="\n"))
    failed = Failed(job="c", error=errors.QueueFull("full", retry_after_s=2.0).info(), began=False)
    tokenized = TokenizeResult(rows=[[Token(1, b"\xf0"), Token(2, b"<s>", control=True)], []])
    likely = TokenLogprob(7, b"\xf0", -0.5, [TokenLogprob(8, b"x", -1.5)])
    events = Events(
        [
            Delta("a", "x", prompt_tokens=9, cached_tokens=0),
            Reasoning("a", "Hm", 2, choice=1, ids=[5, 6]),
            Delta("a", "y", logprobs=[likely]),
            CallOpened("a", 0, "call_a", "weather"),
            CallArguments("a", 0, "{}", 3),
            Done("d", tokenized),
            done,
            failed,
        ]
    )
    assert wire.Decoder[Events](Events).decode(wire.encode(events)) == events


def test_pieces_say_nothing_that_is_not_news() -> None:
    piece = msgspec.msgpack.decode(msgspec.msgpack.encode(Delta("a", "x")))
    assert piece == {"type": "delta", "job": "a", "text": "x"}


@pytest.mark.parametrize("kind", [errors.BY_CODE[code] for code in sorted(errors.BY_CODE)])
def test_every_error_survives_the_trip(kind: type[errors.ServeError]) -> None:
    sent = kind("why", param="x", retry_after_s=3.0)
    info = msgspec.msgpack.decode(msgspec.msgpack.encode(sent.info()), type=errors.ErrorInfo)
    came = errors.from_info(info)
    assert (came.status, came.code, came.body()) == (sent.status, sent.code, sent.body())
    assert came.retry_after_s == 3.0
