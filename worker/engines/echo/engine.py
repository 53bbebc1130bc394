"""The scripted fault engine: it answers with what it was sent, or breaks in the way it is told to.

The last user message or the prompt (chat), the first text (embeddings), the query (rerank) or the
prompt (speech) may begin with one directive; everything after it is echoed, one word for each step
(a document's score is the share of the query's words that it has):

    /exit STATUS         leave the process at the next step (os._exit)
    /signal NAME         send this process a signal, say SEGV, KILL, ABRT or STOP
    /hang                never return from the step, with the GIL free
    /spin                never return from the step, holding the GIL most of the time
    /freeze              never return from it, holding the GIL and doing nothing
    /slow MS TEXT...     wait so long before each word
    /hold AFTER:FILE TEXT...  say so many words, and the others once that file is there
    /prefill MS TEXT...  read the text so fast, a word each, and tell how far it is
    /allocate MB TEXT... keep that much memory
    /burst CHARS TEXT... write so many characters in one piece first
    /raise TEXT...       an exception out of the step
    /deny TEXT...        refuse the job when it is admitted
    /garbage             send an event that cannot be read
    /unsendable          make an event that cannot be sent
    /oversized           send a result that is larger than the frontend takes
    /deaf TEXT...        ignore SIGTERM from now on
    /child TEXT...       start a process that does not end
    /daemon TEXT...      start one that makes a session of its own, with a child in a third one

What a chat says may have thoughts and calls in it, see `worker.engines.echo.chat_pieces`.

Of its options (`EchoOptions`) all but ``word_ms`` and ``dimensions`` script the load:
``load_fails: once`` needs ``load_marker``, a file that remembers. ``orders`` is a FIFO by which
the process can be ended from within at any time, see `worker.engines.echo.faults`.

A catalog may name it only where `ipc.engines.TEST_ENGINES` is 1, and only there are the faults in
directives and options obeyed: whatever else starts it, no client can break it.
"""

from __future__ import annotations

import math
import os
import re
import signal
import time
from collections import deque
from pathlib import Path

import msgspec

from ipc.engine_options import EchoOptions
from ipc.engines import TEST_ENGINES, allows_tests
from ipc.messages.blob import Blob
from ipc.messages.errors import InvalidRequest
from ipc.messages.events import (
    Audio,
    ChatResult,
    Consumed,
    Delta,
    Done,
    Event,
    Finish,
    Piece,
    Reasoning,
    Result,
    SpeakResult,
    Usage,
)
from ipc.messages.jobs import (
    ChatInput,
    EmbedInput,
    Job,
    More,
    RerankInput,
    SpeakInput,
    SpeechInput,
    TokenizeInput,
    is_streamed,
)
from ipc.messages.spec import Loaded, Spec, Voice
from worker.engine import Engine, LoadError, Stage, options_of
from worker.engines.echo import faults
from worker.engines.echo.chat_pieces import Spoken
from worker.engines.echo.hold import Hold, wait_for
from worker.engines.echo.live import LiveEcho
from worker.engines.echo.results import prompt_text, scores, tokens, transcript, vectors
from worker.prefill import PrefillPace

_HARMLESS = {"word_ms", "dimensions"}
_WORD = re.compile(r"\s*\S+")
_DIRECTIVE = re.compile(
    r"/(exit|signal|slow|hold|prefill|allocate|burst) (\S+) ?"
    r"|/(hang|spin|freeze|raise|deny|garbage|unsendable|oversized|deaf|child|daemon) ?"
)
_CACHED_TOKENS = 0  # it keeps none
_DEEDS = {
    "deaf": faults.ignore_sigterm,
    "child": faults.leave_child,
    "daemon": faults.leave_daemon,
}
_MISSHAPEN = {
    "garbage": faults.unreadable,
    "unsendable": faults.unsendable,
    "oversized": faults.oversized,
}


class Echo(Engine):
    """An engine for every task, without a model."""

    def __init__(self) -> None:
        self._slots = 0
        self._word_s = 0.0
        self._dimensions = 0
        self._may_break = False
        self._running: dict[str, _Script] = {}
        self._kept: list[bytearray] = []

    def load(self, spec: Spec, stage: Stage) -> Loaded:
        self._slots = spec.slots
        options = options_of(spec, EchoOptions)
        self._word_s = options.word_ms / 1000
        self._dimensions = options.dimensions
        self._may_break = allows_tests()
        if not self._may_break and spec.options.keys() - _HARMLESS:
            raise LoadError(f"engine echo: its faults are for tests; set {TEST_ENGINES}=1")
        stage("reading the script")
        _follow_script(options, stage)
        return Loaded(
            device=options.load_device or spec.device,
            context_tokens=4096,
            dimensions=self._dimensions if spec.task == "embed" else None,
            languages=["en", "de"] if spec.task == "speech" else None,
            translates=spec.task == "speech",
            voices=[Voice(name="echo", language="en")] if spec.task == "speak" else None,
            fills=spec.task == "chat",
            tools=spec.task == "chat",
            reasoning=spec.task == "chat",
            tokenizes=spec.task == "chat",
            goes_on=spec.task == "chat",
            streams_input=spec.task == "speech",
        )

    def admit(self, job: Job) -> bool:
        if len(self._running) >= self._slots:
            return False
        script = _Script(job, self._word_s, self._dimensions)
        if script.directive and not self._may_break:
            raise InvalidRequest(f"faults are for tests; set {TEST_ENGINES}=1 for the server")
        if script.directive == "deny":
            raise InvalidRequest(f"told to refuse: {script.text}")
        has = self._dimensions
        if isinstance(job.input, EmbedInput) and job.input.dimensions not in (None, has):
            raise InvalidRequest(f"this model has {has} dimensions", param="dimensions")
        self._running[job.id] = script
        return True

    def more(self, more: More) -> None:
        if (script := self._running.get(more.job)) is not None:
            script.take(more)

    def wait_s(self) -> float | None:
        if not self._running:
            return None
        due_at = min(script.due_at for script in self._running.values())
        return max(0.0, due_at - time.monotonic())

    def step(self) -> list[Event]:
        now = time.monotonic()
        events: list[Event] = []
        for script in [script for script in self._running.values() if script.due_at <= now]:
            self._obey(script)
            if script.directive in _MISSHAPEN:
                events.append(_MISSHAPEN[script.directive](script.job))
                script.directive = ""
            events += script.advance()
            if script.ended:
                del self._running[script.job.id]
        return events

    def drop(self, job_id: str) -> None:
        self._running.pop(job_id, None)

    def close(self) -> None:
        self._running.clear()

    def _obey(self, script: _Script) -> None:
        match script.directive:
            case "exit":
                os._exit(int(script.argument))
            case "signal":
                os.kill(os.getpid(), signal.Signals[f"SIG{script.argument}"])
            case "hang":
                time.sleep(1e6)
            case "spin":
                while True:
                    pass
            case "freeze":
                faults.freeze()
            case "allocate":
                self._kept.append(bytearray(os.urandom(1 << 20)) * int(script.argument))
                script.directive = ""
            case "deaf" | "child" | "daemon" as deed:
                _DEEDS[deed]()
                script.directive = ""
            case "raise":
                raise RuntimeError("told to break")


class _Script:
    """One job being echoed, word by word."""

    def __init__(self, job: Job, word_s: float, dimensions: int) -> None:
        self.job = job
        self.dimensions = dimensions
        self.directive, self.argument, self.text = _parse(_source(job))
        has_delay = self.directive in ("slow", "prefill")
        self.delay_s = float(self.argument) / 1000 if has_delay else word_s
        self.due_at = time.monotonic() + self.delay_s
        self.ended = False
        self.ends = False  # its streamed input has
        self.sent = 0
        self.reasoning = 0
        self.finishes: list[Finish] = []
        self.pieces: deque[Piece] = deque()
        self.unread = self._prompt_tokens if self.directive == "prefill" else 0
        self.pace = PrefillPace(job.id, self.unread, time.monotonic())
        self.hold = Hold.of(self.argument) if self.directive == "hold" else None
        # Of streamed input the end is waited for; until then each piece of a file brings a word.
        self.live: LiveEcho | None = None
        self.told: list[Event] = []
        if isinstance(job.input, SpeechInput) and job.input.live is not None:
            self.live = LiveEcho(job)
        if is_streamed(job.input):
            self.due_at = math.inf
        if self.live is None:
            for choice, text in enumerate(self._texts()):
                self._say(choice, text)
        if self.directive == "burst":
            self.pieces.appendleft(Delta(job.id, "x" * int(self.argument)))

    def _texts(self) -> list[str]:
        """What is echoed, for each choice."""
        asked = self.job.input
        if isinstance(asked, ChatInput):
            prompts = [self.text, *map(prompt_text, asked.prompts[1:])]
            return [text for text in prompts for _ in range(asked.sampling.n)]
        return [self.text] if isinstance(asked, SpeechInput | SpeakInput) else []

    def _say(self, choice: int, text: str) -> None:
        asked, job_id = self.job.input, self.job.id
        if isinstance(asked, SpeakInput):
            words = _WORD.findall(text)
            self.pieces += [Audio(job=job_id, data=Blob(word.encode()), tokens=1) for word in words]
            return
        if not isinstance(asked, ChatInput):
            self.pieces += [Delta(job_id, word) for word in _WORD.findall(text)]
            return
        spoken = Spoken(job_id, asked, choice, text)
        pieces = _named(spoken.pieces)
        written = self.job.written.get(choice)
        if written is None:
            repeated = [Delta(job_id, text, 0, choice=choice)] if asked.echo else []
            self.pieces += self._begun([*repeated, *pieces])
        else:
            told = len(written)
            self.sent += told
            self.reasoning += sum(isinstance(piece, Reasoning) for piece in pieces[:told])
            self.pieces += pieces[told:]
        self.finishes.append(spoken.finish)

    @property
    def _prompt_tokens(self) -> int:
        return len(self.text.split())

    def _begun(self, pieces: list[Piece]) -> list[Piece]:
        """The first of the ``pieces`` of a choice tells what its prompt took."""
        told = {"prompt_tokens": self._prompt_tokens, "cached_tokens": _CACHED_TOKENS}
        return [msgspec.structs.replace(one, **told) for one in pieces[:1]] + pieces[1:]

    def take(self, more: More) -> None:
        """A piece of its input, used as soon as it has come."""
        self.told.append(Consumed(self.job.id, more.number + 1))
        if self.live is not None:
            self.told += self.live.take(more, self.text)
        self.ends = more.last
        self.due_at = time.monotonic()

    def advance(self) -> list[Event]:
        if self.told:
            told, self.told = self.told, []
            if not self.ends and self.live is None and self.pieces:
                told.append(self.pieces.popleft())
                self.sent += 1
            self.due_at = time.monotonic() + self.delay_s if self.ends else math.inf
            return told
        if self.unread:
            return self._read_word()
        if self.hold is not None and self.hold.holds(self.sent):
            self.due_at = time.monotonic() + self.hold.look_s
            return []
        if self.pieces:
            self.due_at = time.monotonic() + self.delay_s
            piece = self.pieces.popleft()
            self.sent += not isinstance(piece, Delta) or piece.tokens > 0
            self.reasoning += isinstance(piece, Reasoning)
            return [piece]
        self.ended = True
        return [Done(self.job.id, self._result())]

    def _read_word(self) -> list[Event]:
        now = time.monotonic()
        self.due_at = now + self.delay_s
        self.unread -= 1
        return [*self.pace.told(self._prompt_tokens - self.unread, _CACHED_TOKENS, now)]

    def _result(self) -> Result:
        asked = self.job.input
        usage = Usage(
            cached_tokens=_CACHED_TOKENS,
            prompt_tokens=self._prompt_tokens,
            completion_tokens=self.sent,
            reasoning_tokens=self.reasoning,
        )
        if self.live is not None:
            return self.live.result()
        if isinstance(asked, ChatInput):
            finish, *others = self.finishes
            return ChatResult(finish=finish, usage=usage, others=others)
        if isinstance(asked, TokenizeInput):
            return tokens(asked, self.text)
        if isinstance(asked, EmbedInput):
            return vectors(asked, self.dimensions)
        if isinstance(asked, RerankInput):
            return scores(asked, self.text)
        if isinstance(asked, SpeakInput):
            return SpeakResult(duration_s=float(self.sent), usage=usage)
        return transcript(asked, self.text, usage)


def _named(pieces: list[Piece]) -> list[Piece]:
    """``pieces`` whose tokens are their places in the answer."""
    return [msgspec.structs.replace(piece, ids=[at]) for at, piece in enumerate(pieces)]


def _source(job: Job) -> str:
    if isinstance(job.input, ChatInput):
        return _said(job.input)
    if isinstance(job.input, TokenizeInput):
        return _said(job.input.chat) if job.input.chat is not None else ""
    if isinstance(job.input, EmbedInput):
        return job.input.texts[0] if job.input.texts else ""
    if isinstance(job.input, RerankInput):
        return job.input.query
    if isinstance(job.input, SpeakInput):
        return job.input.text
    return job.input.prompt or ""


def _said(asked: ChatInput) -> str:
    if asked.prompts:
        return prompt_text(asked.prompts[0])
    return next((m.text for m in reversed(asked.messages) if m.role == "user"), "")


def _parse(text: str) -> tuple[str, str, str]:
    match = _DIRECTIVE.match(text)
    if match is None:
        return "", "", text
    return match[1] or match[3], match[2] or "", text[match.end() :]


def _follow_script(options: EchoOptions, stage: Stage) -> None:
    """What happens while it loads. Raises `LoadError` if it is told to."""
    if options.orders is not None:
        faults.obey_orders(Path(options.orders))
    if options.load_until is not None:
        wait_for(Path(options.load_until))
    for number in range(options.load_stages):
        time.sleep(options.load_s / options.load_stages)
        stage(f"stage {number + 1} of {options.load_stages}")
    if options.load_exits is not None:
        os._exit(options.load_exits)
    if options.load_fails == "always" or (options.load_fails == "once" and not _marked(options)):
        permanent = options.load_fails == "always"
        raise LoadError("told to fail at load", permanent=permanent)


def _marked(options: EchoOptions) -> bool:
    """Whether this load has failed before; marks that it now does."""
    assert options.load_marker is not None
    marker = Path(options.load_marker)
    found = marker.exists()
    marker.touch()
    return found
