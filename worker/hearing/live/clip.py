"""One job of live speech: sound comes in, turns are found in it, and what they say is told."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Literal, NamedTuple

from ipc.messages.events import Consumed, Done, Event, SpeechResult, Turn, Usage
from ipc.messages.jobs import Live, More, SpeechInput, TurnRules
from worker.audio.cut import FRAME_S, HYSTERESIS, Frame
from worker.hearing.live.sound import LiveSound
from worker.hearing.live.turn import LONGEST_S, LiveTurn, Run
from worker.hearing.live.turn_finder import TurnFinder
from worker.hearing.model import Heard, Manner
from worker.hearing.voice import VoiceFinder

# Sound that waits to be heard, of turns that are over; more stays where it comes from.
MOST_WAITING_S = 30.0
# A language that was found in so much speech is kept.
_SURE_S = 2.0

What = Literal["started", "stopped", "committed", "words", "unstable", "ended", "cleared"]


class LiveRun(NamedTuple):
    """What is to be heard now, and how."""

    turn: LiveTurn
    run: Run
    manner: Manner


class LiveClip:
    """Owns the sound of one job. ``languages`` are those that the model knows."""

    def __init__(self, job_id: str, asked: SpeechInput, language: str | None) -> None:
        self.job_id = job_id
        self.is_running = False
        self.is_closed = False
        self._asked = asked
        self._sound = LiveSound(self._live.coding, self._live.rate_hz)
        self._language = language
        self._inbox: deque[More] = deque()
        self._voice = VoiceFinder()
        self._frames = 0
        self._before: deque[Frame] = deque()  # kept for the turn that may begin
        self._open: LiveTurn | None = None
        self._over: deque[LiveTurn] = deque()
        self._numbers = 0
        self._ends = False
        self._tokens = 0
        self._tune(asked)

    def take(self, more: More, language: str | None) -> None:
        """A piece of its input. ``language`` is that of what ``more`` says, where it says one."""
        self._inbox.append(more)
        if isinstance(more.said, SpeechInput):
            self._language = language

    def read(self) -> list[Event]:
        """What comes of the sound that has come, as much of it as may wait here."""
        events: list[Event] = []
        while self._inbox and self._has_room:
            more = self._inbox.popleft()
            for frame in self._voice.push(self._sound.push(more.data.data)):
                events += self._on_frame(frame)
            events += self._on_said(more)
            events.append(Consumed(self.job_id, more.number + 1))
        return events

    def due_in_s(self, now: float) -> float | None:
        """In how many seconds something is to be heard; None: not before something happens."""
        if self.is_running:
            return None
        waits = [turn.due_in_s(now) for turn in self._turns]
        return min((wait for wait in waits if wait is not None), default=None)

    def run(self, now: float) -> LiveRun:
        """What is due: turns that are over go first."""
        turn = next(turn for turn in self._turns if turn.due_in_s(now) == 0.0)
        run = turn.run(now)
        said_before = turn.words.last if run.start_s > 0 else ""
        prompt = " ".join(filter(None, (self._asked.prompt, said_before))) or None
        manner = Manner(self._language, prompt=prompt, times=True, live=True, quick=not run.final)
        self.is_running = True
        return LiveRun(turn, run, manner)

    def heard(self, run: LiveRun, heard: Heard, now: float) -> list[Event]:
        """What a run has brought."""
        self.is_running = False
        self._tokens += len(heard.tokens)
        if self._language is None and run.run.piece.seconds >= _SURE_S and heard.text:
            self._language = heard.language
        turn = run.turn
        if turn is not self._open and turn not in self._over:
            turn.heard(heard, now)
            return []  # it was cleared
        events = self._told(turn, turn.heard(heard, now))
        if self._live.unstable and turn is self._open and self._live.turns is not None:
            events.append(self._event(turn, "unstable", turn.words.unstable))
        return [*events, *self.ended()]

    def ended(self) -> list[Event]:
        """The turns that are over and heard, in order, and the job's end behind the last."""
        events: list[Event] = []
        while self._over and self._over[0].is_heard:
            events += self._end(self._over.popleft())
        if self._ends and not self._inbox and not self._over and self._open is None:
            events.append(Done(self.job_id, self._result()))
        return events

    # --- the sound ---

    @property
    def _live(self) -> Live:
        assert self._asked.live is not None
        return self._asked.live

    @property
    def _turns(self) -> Iterator[LiveTurn]:
        yield from self._over
        if self._open is not None:
            yield self._open

    @property
    def _has_room(self) -> bool:
        waiting_s = sum(turn.unheard_s for turn in self._over)
        open_s = self._open.unheard_s if self._open is not None else 0.0
        return waiting_s < MOST_WAITING_S and open_s < LONGEST_S

    def _tune(self, asked: SpeechInput) -> None:
        """How the sound is to be heard from now on."""
        self._asked = asked
        live = self._live
        if (self._sound.coding, self._sound.rate_hz) != (live.coding, live.rate_hz):
            self._sound = LiveSound(live.coding, live.rate_hz)
        self._rules = live.turns or TurnRules()
        self._finder = TurnFinder(self._rules)
        self._silent = max(self._rules.threshold - HYSTERESIS, 0.01)

    def _on_frame(self, frame: Frame) -> list[Event]:
        self._frames = frame.number + 1
        found = self._finder.push(frame.voice)
        if self._live.turns is None:
            if self._open is None:
                self._open = self._begin()
            self._open.add(frame)
            return []
        if self._open is not None:
            self._open.add(frame)
            return self._stop() if found == "stopped" else []
        self._before.append(frame)
        if found == "started":
            return self._start()
        while len(self._before) > self._most_before:
            self._before.popleft()
        return []

    @property
    def _most_before(self) -> int:
        """Frames before the one in which a voice has turned out to be one."""
        return round(self._rules.padding_ms / 1000 / FRAME_S) + 3

    def _start(self) -> list[Event]:
        turn = self._open = self._begin()
        first = self._before[0].number
        while self._before:
            turn.add(self._before.popleft())
        return [self._event(turn, "started", at_ms=_ms(first))]

    def _stop(self) -> list[Event]:
        assert self._open is not None
        return [self._event(self._open, "stopped", at_ms=_ms(self._frames)), *self._commit()]

    def _on_said(self, more: More) -> list[Event]:
        events: list[Event] = []
        if isinstance(more.said, SpeechInput):
            self._tune(more.said)
        elif more.said == "commit":
            events += self._commit()
        elif more.said == "clear":
            events += self._clear()
        if more.last:
            self._ends = True
            if self._open is not None:
                events += self._commit()
        return events

    # --- turns ---

    def _begin(self) -> LiveTurn:
        self._numbers += 1
        return LiveTurn(
            self._numbers - 1,
            guard_s=self._live.guard_ms / 1000,
            eager=self._live.turns is not None,
            silent=self._silent,
        )

    def _commit(self) -> list[Event]:
        """The open turn gets no more sound; without one, what came is a turn that says nothing."""
        turn, self._open = self._open or self._begin(), None
        turn.is_over = True
        self._finder.reset()
        self._over.append(turn)
        held, turn.held = turn.held, ""
        events: list[Event] = [self._event(turn, "committed")]
        return [*events, self._event(turn, "words", held)] if held else events

    def _clear(self) -> list[Event]:
        turn, self._open = self._open or self._begin(), None
        self._before.clear()
        self._finder.reset()
        return [self._event(turn, "cleared")]

    def _told(self, turn: LiveTurn, text: str) -> list[Event]:
        if not text:
            return []
        if turn is self._open and self._live.turns is None:
            turn.held += text  # the item that it is of has no name yet
            return []
        return [self._event(turn, "words", text)]

    def _end(self, turn: LiveTurn) -> list[Event]:
        text, revised = turn.end()
        told = [self._event(turn, "words", text)] if text else []
        end = Turn(
            self.job_id,
            turn.number,
            "ended",
            turn.words.text,
            at_ms=round(turn.seconds * 1000),
            revised=revised,
        )
        return [*told, end]

    def _event(self, turn: LiveTurn, what: What, text: str = "", at_ms: int = 0) -> Turn:
        return Turn(self.job_id, turn.number, what, text, at_ms=at_ms)

    def _result(self) -> SpeechResult:
        return SpeechResult(
            text="",
            language=self._language or "en",
            duration_s=self._frames * FRAME_S,
            segments=[],
            words=None,
            usage=Usage(completion_tokens=self._tokens),
        )


def _ms(frames: int) -> int:
    return round(frames * FRAME_S * 1000)
