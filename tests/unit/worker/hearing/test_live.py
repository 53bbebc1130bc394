"""Live speech as histories: sound in, runs of the model, and what is told of turns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from ipc.messages.blob import Blob
from ipc.messages.events import Consumed, Done, Event, Turn
from ipc.messages.jobs import Live, More, SpeechInput, TurnRules
from worker.audio.cut import FRAME_S, FRAME_SAMPLES, Frame
from worker.audio.decode import Samples
from worker.hearing.live import clip as clips
from worker.hearing.live.clip import LiveClip, LiveRun
from worker.hearing.live.sound import LiveSound
from worker.hearing.live.turn import LONGEST_S
from worker.hearing.model import Heard
from worker.hearing.words import Said

LOUD, QUIET = np.full(FRAME_SAMPLES, 9000, "<i2").tobytes(), bytes(2 * FRAME_SAMPLES)


class Loudness:
    """A voice is whatever is loud."""

    def __init__(self) -> None:
        self._number = 0
        self._rest: Samples = np.empty(0, np.float32)

    def push(self, samples: Samples) -> list[Frame]:
        held = np.concatenate([self._rest, samples])
        whole = held.size - held.size % FRAME_SAMPLES
        self._rest = held[whole:]
        found = []
        for frame in held[:whole].reshape(-1, FRAME_SAMPLES):
            found.append(Frame(self._number, 0.9 if np.abs(frame).max() > 0.1 else 0.0, frame))
            self._number += 1
        return found


@pytest.fixture(autouse=True)
def loudness(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clips, "VoiceFinder", Loudness)


class Speaker:
    """One job: each second of its loud sound says a number, ``w0 w1 …``."""

    def __init__(self, **live: Any) -> None:
        rules = TurnRules(silence_ms=500, padding_ms=96)
        asked = Live(**{"rate_hz": 16_000, "turns": rules, "guard_ms": 400, **live})
        self.asked = SpeechInput(audio=Blob(b""), streamed=True, live=asked)
        self.clip = LiveClip("a", self.asked, "en")
        self.number = 0
        self.now = 100.0
        self.runs: list[LiveRun] = []
        self.events: list[Event] = []

    def sounds(self, loud_s: float, quiet_s: float = 0.0) -> None:
        """In pieces of a tenth of a second, each of which is looked at and heard if it is due."""
        total = [LOUD] * round(loud_s / FRAME_S) + [QUIET] * round(quiet_s / FRAME_S)
        for at in range(0, len(total), 3):
            self.send(b"".join(total[at : at + 3]))
            self.now += 3 * FRAME_S
            self.hear()

    def send(self, data: bytes = b"", **more: Any) -> None:
        piece = More(job="a", number=self.number, data=Blob(data), **more)
        self.number += 1
        self.clip.take(piece, None)
        self.events += self.clip.read()
        self.events += self.clip.ended()

    def hear(self) -> None:
        while self.clip.due_in_s(self.now) == 0.0:
            run = self.clip.run(self.now)
            self.runs.append(run)
            self.events += self.clip.heard(run, said(run), self.now)

    def told(self) -> list[str]:
        found = []
        for event in self.events:
            if isinstance(event, Turn):
                text = f" {event.text.strip()}" if event.text else ""
                found.append(f"{event.turn} {event.what}{text}")
            elif isinstance(event, Done):
                found.append("done")
        self.events.clear()
        return found


def said(run: LiveRun) -> Heard:
    """A word in each second of the turn that is loud to its end."""
    start, samples = run.run.start_s, run.run.piece.samples
    seconds = run.run.piece.seconds
    found = [
        Said(f" w{at}", [at], at - start, at + 0.8 - start, 0.9)
        for at in range(40)
        if start <= at and at + 0.8 <= start + seconds
        if samples[round((at + 0.78 - start) * 16_000)] > 0.1
    ]
    text = "".join(word.text for word in found)
    return Heard("en", text, [word.tokens[0] for word in found], found, 0.0, -0.1, 1.0, 0.0)


def test_words_of_a_turn_are_told_while_it_goes_on_and_the_rest_at_its_end() -> None:
    speaker = Speaker()
    speaker.sounds(0.0, 0.5)
    assert speaker.told() == []
    speaker.sounds(3.1)
    assert speaker.told() == ["0 started", "0 words w0", "0 words w1"]
    speaker.sounds(0.0, 0.7)
    assert speaker.told() == ["0 words w2", "0 stopped", "0 committed", "0 ended w0 w1 w2"]


def test_runs_are_quick_while_somebody_speaks_and_careful_once_he_pauses() -> None:
    speaker = Speaker()
    speaker.sounds(2.0, 0.7)
    manners = [run.manner.quick for run in speaker.runs]
    assert manners[:-1] == [True] * (len(manners) - 1)
    assert manners[-1] is False
    # The look at the pause is the end's: nothing is heard twice.
    assert speaker.runs[-1].run.final
    assert not speaker.clip.is_running


def test_a_pause_that_was_none_goes_on_with_the_turn() -> None:
    speaker = Speaker()
    speaker.sounds(2.0, 0.3)
    speaker.sounds(2.0, 0.7)
    told = speaker.told()
    assert told[0] == "0 started"
    assert told[-1] == "0 ended w0 w1 w2 w3"
    assert [line for line in told if "stopped" in line] == ["0 stopped"]


def test_runs_keep_their_distance() -> None:
    speaker = Speaker()
    speaker.sounds(5.0)
    assert 5 <= len(speaker.runs) <= 10


def test_a_slow_model_is_asked_less_often() -> None:
    speaker = Speaker()
    speaker.send(LOUD * 40)
    run = speaker.clip.run(speaker.now)
    assert speaker.clip.due_in_s(speaker.now) is None
    speaker.send(LOUD * 40)
    speaker.clip.heard(run, said(run), speaker.now + 2.0)
    assert speaker.clip.due_in_s(speaker.now + 2.0) == pytest.approx(0.4)


def test_without_turn_detection_nothing_is_told_before_the_client_ends_the_turn() -> None:
    speaker = Speaker(turns=None)
    speaker.sounds(2.5, 1.0)
    assert speaker.told() == []
    assert speaker.runs == []
    speaker.send(said="commit")
    speaker.hear()
    assert speaker.told() == ["0 committed", "0 words w0 w1", "0 ended w0 w1"]
    speaker.sounds(0.0, 1.0)
    speaker.send(said="commit")
    assert speaker.told() == ["1 committed", "1 ended"]
    assert len(speaker.runs) == 1


def test_a_long_turn_without_turn_detection_is_heard_as_it_fills() -> None:
    speaker = Speaker(turns=None)
    speaker.sounds(35.5)
    assert speaker.told() == []
    speaker.send(said="commit")
    speaker.hear()
    committed, words, end, ended = speaker.told()
    assert committed == "0 committed"
    assert words.startswith("0 words w0 w1")
    everything = " ".join(f"w{at}" for at in range(35))
    assert ended == f"0 ended {everything}"
    assert end.startswith("0 words")


def test_a_long_turn_lets_go_of_what_was_told() -> None:
    speaker = Speaker()
    speaker.sounds(38.0, 0.7)
    assert max(run.run.piece.seconds for run in speaker.runs) <= LONGEST_S + 1
    assert speaker.told()[-1] == "0 ended " + " ".join(f"w{at}" for at in range(38))
    last = speaker.runs[-1]
    assert last.run.start_s > 0
    assert last.manner.prompt is not None
    assert "w15" in last.manner.prompt


def test_silence_is_never_heard_and_not_kept() -> None:
    speaker = Speaker(turns=None)
    speaker.sounds(0.0, 90.0)
    assert speaker.runs == []
    assert speaker.clip._open is not None
    assert speaker.clip._open.unheard_s < LONGEST_S


def test_what_is_cleared_is_forgotten() -> None:
    speaker = Speaker(turns=None)
    speaker.sounds(2.0)
    speaker.send(said="clear")
    speaker.sounds(1.2)
    speaker.send(said="commit")
    speaker.hear()
    assert speaker.told() == ["0 cleared", "1 committed", "1 words w0", "1 ended w0"]


def test_a_turn_that_is_cleared_while_it_is_heard_brings_nothing() -> None:
    speaker = Speaker()
    speaker.send(LOUD * 40)
    run = speaker.clip.run(speaker.now)
    speaker.send(said="clear")
    assert speaker.clip.heard(run, said(run), speaker.now) == []
    assert not speaker.clip.is_running


def test_the_last_piece_ends_the_turn_and_the_job() -> None:
    speaker = Speaker()
    speaker.sounds(2.5)
    speaker.told()
    speaker.send(last=True)
    speaker.hear()
    told = speaker.told()
    assert told[0] == "0 committed"
    assert told[-2:] == ["0 ended w0 w1", "done"]
    speaker = Speaker()
    speaker.send(last=True)
    assert speaker.told() == ["done"]


def test_turn_detection_may_be_turned_off_on_the_way() -> None:
    speaker = Speaker()
    speaker.sounds(1.5, 0.7)
    assert speaker.told()[-1] == "0 ended w0"
    speaker.send(said=Speaker(turns=None).asked)
    speaker.sounds(1.5, 0.7)
    assert speaker.told() == []
    speaker.send(said="commit")
    speaker.hear()
    assert speaker.told()[-1] == "1 ended w0"


def test_unstable_words_are_told_to_who_asks_for_them() -> None:
    speaker = Speaker(unstable=True)
    speaker.sounds(1.5)
    assert "0 unstable w0" in speaker.told()


def test_sound_that_cannot_be_heard_yet_is_not_taken() -> None:
    speaker = Speaker()
    for _ in range(20):
        speaker.send(LOUD * 62)  # about 2 s
    assert len(_consumed(speaker)) == 15
    speaker.hear()
    speaker.send()
    assert len(_consumed(speaker)) > 15


def _consumed(speaker: Speaker) -> list[int]:
    return [event.pieces for event in speaker.events if isinstance(event, Consumed)]


@pytest.mark.parametrize(("coding", "rate_hz", "width"), [("pcm", 24_000, 2), ("pcmu", 8_000, 1)])
def test_sound_comes_at_its_rate_wherever_it_is_cut(coding: Any, rate_hz: int, width: int) -> None:
    sound = LiveSound(coding, rate_hz)
    data = bytes(rate_hz * width)
    sizes: Sequence[int] = [sound.push(data[at : at + 333]).size for at in range(0, len(data), 333)]
    assert sum(sizes) == pytest.approx(16_000, abs=40)


def test_telephony_is_read_by_its_law() -> None:
    loud = np.array([0x00, 0xFF, 0x80], np.uint8).tobytes()
    table = LiveSound("pcmu", 16_000).push(loud)
    assert [round(float(one), 2) for one in table] == [-0.98, 0.0, 0.98]
