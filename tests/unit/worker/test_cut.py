"""A recording in pieces: nothing that is said is lost or comes twice, and no piece is too long."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from worker.audio.cut import FRAME_S, FRAME_SAMPLES, LONGEST_S, Cutter, Frame, Part, Piece, Rules

SPOKEN, SILENT = 0.9, 0.05


def frames(*spans: tuple[float, float], level: float = 0.5) -> Iterator[Frame]:
    """Frames of spans, each so many seconds long and so likely spoken."""
    voices = [voice for seconds, voice in spans for _ in range(round(seconds / FRAME_S))]
    for number, voice in enumerate(voices):
        yield Frame(number, voice, np.full(FRAME_SAMPLES, level, np.float32))


def pieces(given_frames: Iterator[Frame], rules: Rules | None = None) -> list[Piece]:
    cutter = Cutter(rules or Rules())
    return [*cutter.push(given_frames), *cutter.close()]


def spans(piece: Piece) -> list[tuple[float, float]]:
    return [(round(part.start / 16_000, 1), round(part.end / 16_000, 1)) for part in piece.parts]


def test_silence_is_no_piece() -> None:
    assert pieces(frames((60, SILENT))) == []


def test_what_is_kept_around_a_voice() -> None:
    (piece,) = pieces(frames((4, SILENT), (5, SPOKEN), (6, SILENT)))
    assert spans(piece) == [(3.6, 9.4)]
    assert [(round(start, 1), round(end, 1)) for start, end in piece.silences] == [
        (0.0, 0.4),
        (5.4, 5.8),
    ]


def test_a_voice_at_both_ends_of_a_recording_is_kept_to_its_ends() -> None:
    (piece,) = pieces(frames((5, SPOKEN)))
    assert spans(piece) == [(0.0, 5.0)]


def test_a_short_silence_stays() -> None:
    (piece,) = pieces(frames((3, SPOKEN), (1.5, SILENT), (3, SPOKEN)))
    assert spans(piece) == [(0.0, 7.5)]


def test_a_long_silence_is_left_out_of_a_piece() -> None:
    (piece,) = pieces(frames((3, SPOKEN), (10, SILENT), (3, SPOKEN)))
    assert spans(piece) == [(0.0, 3.4), (12.6, 16.0)]
    assert piece.seconds == sum(part.end - part.start for part in piece.parts) / 16_000


def test_a_long_silence_ends_a_piece_that_is_full() -> None:
    first, second = pieces(frames((16, SPOKEN), (3, SILENT), (3, SPOKEN)))
    assert spans(first) == [(0.0, 16.4)]
    assert spans(second) == [(18.6, 22.0)]


def test_where_pieces_cost_by_their_length_every_long_silence_ends_one() -> None:
    found = pieces(frames((3, SPOKEN), (10, SILENT), (3, SPOKEN)), Rules(full_s=0.0))
    assert [spans(piece) for piece in found] == [[(0.0, 3.4)], [(12.6, 16.0)]]


def test_a_voice_without_end_is_cut_in_its_last_pause() -> None:
    first, second = pieces(
        frames((15, SPOKEN), (1, SILENT), (8, SPOKEN), (0.5, SILENT), (9, SPOKEN))
    )
    assert spans(first) == [(0.0, 24.3)]
    assert spans(second) == [(24.3, 33.5)]


def test_where_all_pauses_are_short_in_the_longest() -> None:
    first, _ = pieces(frames((16, SPOKEN), (0.3, SILENT), (8, SPOKEN), (0.1, SILENT), (9, SPOKEN)))
    assert 16.0 < first.seconds < 16.3


def test_without_a_pause_in_the_quietest_moment() -> None:
    loud, quiet = frames((20, SPOKEN)), frames((0.2, SPOKEN), level=0.1)
    rest = frames((12, SPOKEN))
    row = [*loud, *quiet, *rest]
    numbered = (frame._replace(number=number) for number, frame in enumerate(row))
    first, _ = pieces(numbered)
    assert 20.0 < first.seconds < 20.2


def test_a_click_is_no_voice() -> None:
    assert pieces(frames((3, SILENT), (0.064, 0.6), (5, SILENT))) == []
    assert len(pieces(frames((3, SILENT), (0.064, SPOKEN), (5, SILENT)))) == 1


def test_without_the_filter_all_is_kept_and_cut_in_pauses_all_the_same() -> None:
    found = pieces(
        frames((5, SILENT), (16, SPOKEN), (5, SILENT), (16, SPOKEN)), Rules(voice_only=False)
    )
    assert [spans(piece) for piece in found] == [[(0.0, 23.5)], [(23.5, 42.0)]]


def test_what_is_asked_for_decides_what_is_a_voice() -> None:
    given_frames = list(frames((3, SILENT), (3, 0.4), (3, SILENT)))
    assert pieces(iter(given_frames)) == []
    (piece,) = pieces(iter(given_frames), Rules(threshold=0.3, pad_s=1.0))
    assert spans(piece) == [(2.0, 7.0)]


VOICES = st.lists(
    st.tuples(st.integers(1, 400), st.sampled_from([0.05, 0.4, 0.6, 0.9])), max_size=12
)


@given(VOICES, st.sampled_from([0.1, 0.5, 2.0]), st.sampled_from([0.0, 0.1, 0.4]))
def test_every_voice_is_in_one_piece_and_no_piece_is_too_long(
    runs: list[tuple[int, float]], silence_s: float, pad_s: float
) -> None:
    voices = [voice for count, voice in runs for _ in range(count)]
    samples = np.zeros(FRAME_SAMPLES, np.float32)
    given_frames = [Frame(number, voice, samples) for number, voice in enumerate(voices)]
    found = pieces(iter(given_frames), Rules(silence_s=silence_s, pad_s=pad_s))
    parts: list[Part] = [part for piece in found for part in piece.parts]
    assert all(part.start < part.end for part in parts)
    assert all(one.end <= other.start for one, other in pairwise(parts))
    assert all(piece.seconds <= LONGEST_S + FRAME_S for piece in found)
    kept = {
        number
        for part in parts
        for number in range(part.start // FRAME_SAMPLES, part.end // FRAME_SAMPLES)
    }
    assert {number for number, voice in enumerate(voices) if voice >= 0.7} <= kept
