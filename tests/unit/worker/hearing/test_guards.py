"""What is left out of a transcript, and what that only looks like it is kept."""

from __future__ import annotations

import numpy as np
import pytest

from worker.audio.cut import Part, Piece, Voice
from worker.hearing.guards import guarded, is_phrase, why_dropped
from worker.hearing.model import Heard

SURE = Voice(most=0.99, mean=0.93, seconds=0.5)
FAINT = Voice(most=0.72, mean=0.6, seconds=1.4)
HARDLY = Voice(most=0.55, mean=0.5, seconds=0.2)


def heard(text: str, logprob: float, no_speech: float, temperature: float = 0.0) -> Heard:
    return Heard("en", text, [1], [], temperature, logprob, 0.6, no_speech)


# As whisper-base wrote them: of noises with the filter for voices off, and of words that were said.
@pytest.mark.parametrize(
    ("found", "voice", "rule"),
    [
        (heard(" you", -1.68, 0.72), Voice(0.17, 0.0, 0.0), "no_speech"),  # white noise
        (heard(" So.", -2.04, 0.78), Voice(0.33, 0.0, 0.0), "no_speech"),  # a tune
        (heard(" you", -1.82, 0.52), Voice(0.07, 0.0, 0.0), "improbable"),  # a breath
        (heard(" This is the end of this video.", -1.43, 0.52, 1.0), SURE, "improbable"),
        (heard(" This is the end of this video.", -1.43, 0.52, 0.8), SURE, None),
        (heard(" . . . . .", -0.94, 0.52, 0.6), SURE, "phrase"),
        (heard(" Hm.", -0.9, 0.4), HARDLY, "no_voice"),
        (heard(" Thank you.", -0.9, 0.1), FAINT, "phrase"),
        (heard(" Thanks for watching!", -0.8, 0.4), SURE, "phrase"),
        (heard(" Thank you.", -0.26, 0.72), SURE, "phrase"),  # silence, behind a prompt of thanks
        (heard(" Please subscribe.", -0.36, 0.4), SURE, None),
        (heard(" Thank you.", -0.13, 0.14), SURE, None),
        (heard(" Thanks for watching.", -0.13, 0.03), SURE, None),
        (heard(" Yes.", -0.5, 0.35), SURE, None),
        (heard(" Note Note Note Note Note Note Note", -0.34, 0.36), SURE, None),
        (heard(" I don't know how to thank you.", -0.9, 0.4), FAINT, None),
        (heard(" ", -2.0, 0.9), SURE, None),  # there is nothing to leave out
    ],
)
def test_two_signs_together_leave_a_piece_out(found: Heard, voice: Voice, rule: str | None) -> None:
    assert why_dropped(found, voice, voice_only=True) == rule


@pytest.mark.parametrize(
    ("found", "voice"),
    [(heard(" Hm.", -0.9, 0.4), HARDLY), (heard(" Thank you.", -0.9, 0.1), FAINT)],
)
def test_who_does_without_the_filter_for_voices_does_without_its_rules(
    found: Heard, voice: Voice
) -> None:
    assert why_dropped(found, voice, voice_only=False) is None


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        (" Thank you.", True),
        (" THANKS FOR WATCHING!", True),
        (" Untertitel der Amara.org-Community", True),
        (" Thank you. Thank you. Thank you.", True),
        (" you you", True),
        (" Thank you. Thank you. Thank", False),
        (" Thank you, Mr. Dashwood.", False),
        ("", False),
    ],
)
def test_a_phrase_is_one_whatever_its_case_and_marks(text: str, is_one: bool) -> None:
    assert is_phrase(text) is is_one


def piece(voice: Voice, seconds: float = 4.0) -> Piece:
    samples = np.zeros(round(seconds * 16_000), np.float32)
    return Piece(samples, [Part(0, samples.size)], [], voice)


@pytest.mark.parametrize(
    ("found", "voice", "left", "rule"),
    [
        (heard(" So, so, so." + " We go." * 9, -1.2, 0.1), SURE, " So, so, so. We go.", "loop"),
        (heard(" Thank you." * 9, -0.2, 0.1), SURE, " Thank you.", "loop"),  # too much to be said
        (heard(" Thank you." * 9, -0.8, 0.4), SURE, "", "phrase"),  # and once is judged as any
        (heard(" Thank you." * 9, -0.2, 0.1), SURE._replace(seconds=9.0), " Thank you." * 9, None),
        (heard(" Hm.", -0.9, 0.4), HARDLY, "", "no_voice"),
    ],
)
def test_of_a_loop_one_round_is_left_if_that_may_stay(
    found: Heard, voice: Voice, left: str, rule: str | None
) -> None:
    kept, why = guarded(found, piece(voice), voice_only=True)
    assert (kept.text, why) == (left, rule)


def test_without_the_filter_for_voices_all_of_a_piece_may_be_one() -> None:
    found = heard(" Thank you." * 9, -0.2, 0.1)
    assert guarded(found, piece(SURE), voice_only=False) == (found, None)
    assert guarded(found, piece(SURE, seconds=1.0), voice_only=False)[1] == "loop"
