"""One turn of live speech: its sound, its words, and when it is to be heard again."""

from __future__ import annotations

from typing import NamedTuple

from worker.audio.cut import FRAME_S, Frame, Piece, piece_of
from worker.hearing.guards import guarded
from worker.hearing.live.told_words import ToldWords, guessed
from worker.hearing.model import Heard
from worker.hearing.words import Said

# A run lasts for so much of the time to the next one, which is no sooner than this.
STEP_S, REST = 0.5, 1.2
# What is new must be worth a run, and so must the whole.
_NEW_S, _LEAST_S = 0.2, 0.8
# A voice that pauses for so long may have ended: what is heard then may be the end.
PAUSE_FRAMES = 5
# A turn that is longer is heard from its last told word on; one of which nothing could be told,
# without its oldest sound. The encoder hears half a minute.
LONG_S, LONGEST_S = 20.0, 28.0
_KEEP_S = 5.0


class Run(NamedTuple):
    """A look at a turn: ``piece`` is what of it there was, from ``start_s`` of it up to frame
    ``upto``. A ``final`` one is made with all care."""

    piece: Piece
    start_s: float
    upto: int
    final: bool


class LiveTurn:
    """``number`` counts turns. One that is ``eager`` is heard while it goes on; another one only as
    far as it must, and at its end. ``silent`` is below what a frame has no voice in."""

    def __init__(self, number: int, *, guard_s: float, eager: bool, silent: float) -> None:
        self.number = number
        self.words = ToldWords(guard_s)
        self.is_over = False
        self.held = ""  # told, but not to the client before the turn is committed
        self._eager = eager
        self._silent = silent
        self._frames: list[Frame] = []
        self._first: int | None = None  # the frame that it began with
        self._voice_at = -1  # the last frame with a voice in it
        self._upto = -1  # how far it was heard
        self._final: list[Said] | None = None  # of a run that has heard all of its voice
        self._began_at = -1e9
        self._last_run_s = 0.0
        self._running: Run | None = None

    @property
    def seconds(self) -> float:
        """How long it is by now."""
        if self._first is None:
            return 0.0
        return (self._frames[-1].number + 1 - self._first) * FRAME_S if self._frames else 0.0

    @property
    def is_running(self) -> bool:
        return self._running is not None

    @property
    def unheard_s(self) -> float:
        return len(self._frames) * FRAME_S

    def add(self, frame: Frame) -> None:
        """Its next sound."""
        if self._first is None:
            self._first = frame.number
        self._frames.append(frame)
        if frame.voice >= self._silent:
            self._voice_at = frame.number
            self._final = None
        elif self.unheard_s >= LONG_S and self._frames[0].number > self._voice_at:
            del self._frames[: -round(_KEEP_S / FRAME_S)]  # nobody has spoken in it

    def due_in_s(self, now: float) -> float | None:
        """In how many seconds it is to be heard; None: not before something happens."""
        if self._running is not None or not self._wants_run:
            return None
        if self.is_over or self._pauses:
            return 0.0
        pace_s = max(STEP_S, REST * self._last_run_s)
        return max(0.0, self._began_at + pace_s - now)

    @property
    def is_heard(self) -> bool:
        """Whether it is over and nothing is left to be heard."""
        return self.is_over and self._running is None and not self._wants_run

    def run(self, now: float) -> Run:
        """Have it heard now."""
        final = self.is_over or self._pauses
        start_s = (self._frames[0].number - (self._first or 0)) * FRAME_S
        piece = piece_of(self._frames, self._silent)
        run = Run(piece, start_s, self._frames[-1].number, final)
        self._running, self._began_at = run, now
        return run

    def heard(self, heard: Heard, now: float) -> str:
        """What its run has brought: what is told now."""
        run, self._running = self._running, None
        assert run is not None, "it was to be heard"
        self._last_run_s = now - self._began_at
        self._upto = run.upto
        heard, _ = guarded(heard, run.piece, voice_only=True)
        words = _placed(heard, run)
        if run.final and self._voice_at <= run.upto:
            self._final = words
            if self.is_over:
                return ""
        edge_s = run.start_s + run.piece.seconds
        told = self.words.hear(words, edge_s, timed=bool(heard.words))
        self._forget(edge_s)
        return told

    def end(self) -> tuple[str, bool]:
        """It is heard: its last words, and whether told ones would be others by now."""
        return self.words.end(self._final or [])

    @property
    def _pauses(self) -> bool:
        """Whether the voice may have ended."""
        return bool(self._frames) and self._frames[-1].number - self._voice_at >= PAUSE_FRAMES

    @property
    def _wants_run(self) -> bool:
        if self._voice_at < 0 or not self._frames or self._frames[0].number > self._voice_at:
            return False  # nobody speaks in what is there
        if self.is_over:
            return self._final is None
        new_s = (self._frames[-1].number - max(self._upto, self._frames[0].number)) * FRAME_S
        if not self._eager:
            return self.unheard_s >= LONG_S and new_s >= _NEW_S
        if self._pauses:
            return self._upto < self._voice_at
        return self.unheard_s >= _LEAST_S and new_s >= _NEW_S

    def _forget(self, edge_s: float) -> None:
        """Let go of the sound of what was told, once it has become too long to be heard at once."""
        if self.unheard_s < LONG_S:
            return
        first = self._first or 0
        told_s = self.words.last_end_s
        until_s = told_s if self.unheard_s < LONGEST_S else max(told_s, edge_s - LONG_S)
        self._frames = [
            frame for frame in self._frames if frame.number - first >= until_s / FRAME_S
        ]


def _placed(heard: Heard, run: Run) -> list[Said]:
    """The words of a run with their times in the turn."""
    if not heard.words:
        return guessed(heard.text, run.start_s, run.start_s + run.piece.seconds)
    shift = run.start_s
    return [word._replace(start=word.start + shift, end=word.end + shift) for word in heard.words]
