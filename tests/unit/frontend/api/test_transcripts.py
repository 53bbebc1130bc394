"""A transcript in each of its forms, letter by letter."""

from __future__ import annotations

import msgspec
import orjson
import pytest

from frontend.api.audio import transcripts
from ipc.messages.errors import InternalError
from ipc.messages.events import Delta, Done, Piece, Reasoning
from tests.unit.frontend.http_fakes import SEGMENT, TRANSCRIPT

SECOND = msgspec.structs.replace(SEGMENT, id=1, start=3661.5, end=3663.0999, text=" A --> b\n\nc. ")


def test_srt() -> None:
    assert transcripts.srt([SEGMENT, SECOND]) == (
        "1\n00:00:00,000 --> 00:00:02,500\nHello there.\n\n"
        "2\n01:01:01,500 --> 01:01:03,100\nA -> b c.\n\n"
    )


def test_vtt() -> None:
    assert transcripts.vtt([SEGMENT, SECOND]) == (
        "WEBVTT\n\n"
        "00:00:00.000 --> 00:00:02.500\nHello there.\n\n"
        "01:01:01.500 --> 01:01:03.100\nA --&gt; b c.\n\n"
    )


@pytest.mark.parametrize(
    ("text", "in_vtt", "in_srt"),
    [
        ("Tom & Jerry", "Tom &amp; Jerry", "Tom & Jerry"),
        ("a < b", "a &lt; b", "a < b"),
        ("<v Tom>Hi</v>", "&lt;v Tom&gt;Hi&lt;/v&gt;", "<v Tom>Hi</v>"),
        ("&amp;", "&amp;amp;", "&amp;"),
        ("so --> then", "so --&gt; then", "so -> then"),
        ('it\'s "that"', 'it\'s "that"', 'it\'s "that"'),
        (" a\n\n\nb\r\n\u2028c\x85", "a b c", "a b c"),
        ("WEBVTT", "WEBVTT", "WEBVTT"),
        ("NOTE that", "NOTE that", "NOTE that"),
        ("🎉 日本", "🎉 日本", "🎉 日本"),
    ],
)
def test_what_is_said_is_never_read_as_markup(text: str, in_vtt: str, in_srt: str) -> None:
    cue = msgspec.structs.replace(SEGMENT, text=text)
    assert transcripts.vtt([cue]).split("\n")[3:] == [in_vtt, "", ""]
    assert transcripts.srt([cue]).split("\n")[2:] == [in_srt, "", ""]


def test_a_cue_without_text_is_left_out_and_the_numbers_go_on() -> None:
    blank = msgspec.structs.replace(SEGMENT, text=" \n ")
    assert transcripts.srt([SEGMENT, blank, SECOND]) == transcripts.srt([SEGMENT, SECOND])
    assert transcripts.vtt([blank]) == "WEBVTT\n\n"


@pytest.mark.parametrize("start", [-0.5, 0.0, 2.0])
def test_a_cue_ends_after_it_begins(start: float) -> None:
    cue = msgspec.structs.replace(SEGMENT, start=start, end=start)
    begin, _, end = transcripts.vtt([cue]).split("\n")[2].partition(" --> ")
    assert begin < end


def test_silence_has_no_cues() -> None:
    assert transcripts.srt([]) == ""
    assert transcripts.vtt([]) == "WEBVTT\n\n"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "00:00:00,000"),
        (0.9996, "00:00:01,000"),
        (59.9999, "00:01:00,000"),
        (3723.4567, "01:02:03,457"),
        (360_000.0, "100:00:00,000"),
        (-0.01, "00:00:00,000"),
    ],
)
def test_clock_carries_as_it_rounds(seconds: float, text: str) -> None:
    assert transcripts.clock(seconds, ",") == text


def test_plain_text_is_one_line() -> None:
    assert transcripts.plain(TRANSCRIPT) == "Hello there.\n"


def test_json_bills_by_duration() -> None:
    assert transcripts.brief(TRANSCRIPT) == {
        "text": "Hello there.",
        "usage": {"type": "duration", "seconds": 2.5},
    }


def test_verbose_json_is_complete() -> None:
    assert transcripts.verbose(TRANSCRIPT, translate=False, segments=True, words=True) == {
        "task": "transcribe",
        "language": "english",
        "duration": 2.5,
        "text": "Hello there.",
        "words": [
            {"word": "Hello", "start": 0.0, "end": 0.4},
            {"word": "there.", "start": 0.5, "end": 1.0},
        ],
        "segments": [
            {
                "id": 0,
                "seek": 0,
                "start": 0.0,
                "end": 2.5,
                "text": " Hello there.",
                "tokens": [50364, 2425],
                "temperature": 0.0,
                "avg_logprob": -0.25,
                "compression_ratio": 0.9,
                "no_speech_prob": 0.01,
            }
        ],
        "usage": {"type": "duration", "seconds": 2.5},
    }


def test_verbose_json_has_only_the_granularities_asked_for() -> None:
    body = transcripts.verbose(TRANSCRIPT, translate=True, segments=False, words=True)
    assert body["task"] == "translate"
    assert "segments" not in body
    assert "words" not in transcripts.verbose(
        TRANSCRIPT, translate=True, segments=True, words=False
    )


def test_a_stream_ends_with_the_whole_text() -> None:
    batch: list[Piece | Done] = [Delta("j", " Hello"), Delta("j", ""), Done("j", TRANSCRIPT)]
    lines = transcripts.events(batch).decode().split("\n\n")
    assert lines.pop() == ""
    assert [orjson.loads(line.removeprefix("data: ")) for line in lines] == [
        {"type": "transcript.text.delta", "delta": " Hello"},
        {
            "type": "transcript.text.done",
            "text": "Hello there.",
            "usage": {
                "type": "tokens",
                "input_tokens": 7,
                "output_tokens": 2,
                "total_tokens": 9,
            },
        },
    ]


def test_a_transcript_does_not_reason() -> None:
    with pytest.raises(InternalError, match="no place for Reasoning"):
        transcripts.events([Reasoning("j", "Hm")])
