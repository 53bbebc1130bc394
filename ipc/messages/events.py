"""What comes back: written by a worker, read by the frontend."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

from ipc.messages.blob import Blob
from ipc.messages.errors import ErrorInfo

# `content_filter`: a server elsewhere held the rest back; no engine of ours does.
Finish = Literal["stop", "length", "tool_calls", "content_filter"]


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens of a request. ``cached_tokens`` are part of the prompt's, None where the engine is not
    told how many they are, ``reasoning_tokens`` of the
    completion's; with several choices the completion is that of all together. Of the tokens that
    were ``guessed_tokens`` before the model was asked, ``accepted_tokens`` were right."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int | None = None
    reasoning_tokens: int = 0
    guessed_tokens: int = 0
    accepted_tokens: int = 0

    @classmethod
    def of_choices(cls, counted: Sequence[Usage], n: int) -> Usage:
        """All of ``counted``, one for each choice, a prompt's ``n`` together. A prompt counts once,
        however many choices it has; what was written counts each time."""
        firsts = counted[::n]
        cached = [one.cached_tokens for one in firsts if one.cached_tokens is not None]
        return cls(
            prompt_tokens=sum(one.prompt_tokens for one in firsts),
            completion_tokens=sum(one.completion_tokens for one in counted),
            cached_tokens=sum(cached) if cached else None,
            reasoning_tokens=sum(one.reasoning_tokens for one in counted),
            guessed_tokens=sum(one.guessed_tokens for one in counted),
            accepted_tokens=sum(one.accepted_tokens for one in counted),
        )


class ChatResult(msgspec.Struct, frozen=True, kw_only=True, tag="chat"):
    """The end of a chat; all that it says has gone out before. ``finish`` is how its first choice
    ended, ``others`` how the further ones did, in order. ``stop_text`` is which stop text ended the
    first: None where none did, or the engine is not told."""

    finish: Finish
    usage: Usage
    others: list[Finish] = []
    stop_text: str | None = None


class EmbedResult(msgspec.Struct, frozen=True, kw_only=True, tag="embed"):
    """``vectors`` holds ``count * dimensions`` little-endian float32, row by row."""

    vectors: Blob
    count: int
    dimensions: int
    usage: Usage


class RerankResult(msgspec.Struct, frozen=True, kw_only=True, tag="rerank"):
    """``scores`` holds one little-endian float32 for each document, in the order of the request;
    the higher, the more relevant."""

    scores: Blob
    count: int
    usage: Usage


class Word(msgspec.Struct, frozen=True):
    word: str
    start: float
    end: float
    probability: float = 0.0


class Segment(msgspec.Struct, frozen=True, kw_only=True):
    """One stretch of speech; times in seconds, log probabilities natural."""

    id: int
    seek: int
    start: float
    end: float
    text: str
    tokens: list[int]
    temperature: float
    avg_logprob: float
    compression_ratio: float
    no_speech_prob: float


class SpeechResult(msgspec.Struct, frozen=True, kw_only=True, tag="speech"):
    """The whole transcript. Its text went out as deltas too, for clients that stream. ``dropped``
    counts the pieces whose words were left out, by the rule that says that nobody spoke them."""

    text: str
    language: str
    duration_s: float
    segments: list[Segment]
    words: list[Word] | None
    usage: Usage
    dropped: dict[str, int] = {}


class SpeakResult(msgspec.Struct, frozen=True, kw_only=True, tag="speak"):
    """The end of what was said; its sound has gone out before. ``left_out`` counts the characters
    of words that the voice has no sounds for. ``usage`` counts what the model read and made, in
    units of its own."""

    duration_s: float
    left_out: int = 0
    usage: Usage


class Token(msgspec.Struct, frozen=True, array_like=True):
    """``data`` is what it is as a text, in bytes: of a ``control`` token its name."""

    id: int
    data: bytes
    control: bool = False


class TokenizeResult(msgspec.Struct, frozen=True, kw_only=True, tag="tokenize"):
    """The tokens of each text, of the chat, or of the ids that were asked for; of the latter two
    also the whole ``text``. Nothing is counted, since no model ran."""

    rows: list[list[Token]]
    text: str = ""
    usage: Usage = Usage()


Result = ChatResult | EmbedResult | RerankResult | SpeechResult | SpeakResult | TokenizeResult


class TokenLogprob(msgspec.Struct, frozen=True, omit_defaults=True):
    """How likely a token was: ``logprob`` is natural, ``data`` the token's own bytes, ``top`` the
    likeliest tokens in its place, none of which has a ``top`` of its own."""

    id: int
    data: bytes
    logprob: float
    top: list[TokenLogprob] = []


class _Piece(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What every piece of an answer tells of itself: the ``choice`` that it belongs to, the
    ``ids`` of its tokens where the engine knows them, their ``logprobs`` where they were asked for.

    ``ids`` name every token since the last piece of the same choice, those of markup too. The first
    piece of a choice tells how many ``prompt_tokens`` it follows, and how many of these were
    cached; others tell neither, and no piece does where the engine does not know so early.
    """

    choice: int = 0
    ids: list[int] = []
    logprobs: list[TokenLogprob] | None = None
    prompt_tokens: int = 0
    cached_tokens: int | None = None


class Delta(_Piece, frozen=True, tag="delta"):
    """A piece of text, and how many tokens it took."""

    job: str
    text: str
    tokens: int = 1


class Reasoning(_Piece, frozen=True, tag="reasoning"):
    """A piece of what a model thinks before it answers, and how many tokens it took."""

    job: str
    text: str
    tokens: int = 1


class CallOpened(_Piece, frozen=True, tag="call_opened"):
    """The ``index``-th call of its choice, from 0 on: the tool's ``name`` is known, its arguments
    follow. A call is complete before the next one opens."""

    job: str
    index: int
    id: str
    name: str
    tokens: int = 1


class CallArguments(_Piece, frozen=True, tag="call_arguments"):
    """A piece of the arguments of an opened call, and how many tokens it took; the pieces of one
    call together are the JSON text of an object."""

    job: str
    index: int
    text: str
    tokens: int = 1


class Audio(_Piece, frozen=True, tag="audio"):
    """A piece of sound, encoded: the pieces of a job, one after the other, are one file. ``tokens``
    count what the model made for it, in units of its own."""

    job: str
    data: Blob
    tokens: int = 0


class Turn(_Piece, frozen=True, tag="turn"):
    """What comes of live speech, by the number of its ``turn``, from 0 on.

    ``started`` and ``stopped`` tell when somebody speaks, at ``at_ms`` of the job's sound; a turn
    that is ``committed`` gets no more sound. Its ``words`` never change: together they are the
    ``text`` of its end. ``unstable`` is all that is heard behind them for now. A turn has ``ended``
    once its ``at_ms`` of sound are heard; ``revised``: the last look at them would have put
    something else for words that had been told. ``cleared``: it is forgotten, without an end.
    Words of one turn may come when the next has started.
    """

    job: str
    turn: int
    what: Literal["started", "stopped", "committed", "words", "unstable", "ended", "cleared"]
    text: str = ""
    at_ms: int = 0
    revised: bool = False
    tokens: int = 0


# What may come of a job's answer before its end.
Piece = Delta | Reasoning | CallOpened | CallArguments | Audio | Turn


class Consumed(msgspec.Struct, frozen=True, tag="consumed"):
    """So many pieces of a job's input, `More`, have been used: as much of its credit is free."""

    job: str
    pieces: int


class Prefilled(msgspec.Struct, frozen=True, tag="prefilled"):
    """A job's prompt is still being read: how many of its tokens have been, the cached ones among
    them, and in how many seconds the others should be at this pace. Of several prompts it is the
    first. No part of an answer, and nothing comes of it where it is lost."""

    job: str
    read_tokens: int
    prompt_tokens: int
    left_s: float


class Listened(msgspec.Struct, frozen=True, tag="listened"):
    """A job's recording is still being heard: how many of its seconds have been, of how many where
    that is known, and in how many seconds the others should be at this pace. No part of an answer,
    and nothing comes of it where it is lost."""

    job: str
    heard_s: float
    audio_s: float | None = None
    left_s: float | None = None


class Marks(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """What a worker knows of a job's time there, in seconds since the job arrived in it: when the
    engine first worked on it, when the first piece of its answer was there, when it ended; None for
    what did not come to be. ``steps`` counts the engine's while it worked on it.

    They are durations, since two processes need not have one clock."""

    began_s: float | None = None
    first_s: float | None = None
    ended_s: float = 0.0
    steps: int = 0

    @property
    def reading_s(self) -> float | None:
        """How long it took from the first work on it to the first piece of its answer."""
        if self.began_s is None or self.first_s is None:
            return None
        return self.first_s - self.began_s

    @property
    def work_s(self) -> float | None:
        """How long it was worked on."""
        return None if self.began_s is None else self.ended_s - self.began_s


class Done(msgspec.Struct, frozen=True, tag="done"):
    """The end of a job that went well.

    ``marks`` are set by the loop, no engine's business. The two counts are of a
    job's items (texts, pairs) whose outputs were found in the worker's cache or not; both are 0
    where nothing is cached. ``padding_tokens`` were computed only to make items of a batch equally
    long.
    """

    job: str
    result: Result
    cache_hits: int = 0
    cache_misses: int = 0
    padding_tokens: int = 0
    marks: Marks | None = None


class Failed(msgspec.Struct, frozen=True, kw_only=True, tag="failed"):
    """A job that ended without a result. One that never ``began`` may be queued again. One that
    ``broke_off`` amid its answer, through no doing of the worker that tells it, may be gone on with
    as if that worker had died."""

    job: str
    error: ErrorInfo
    began: bool = True
    broke_off: bool = False
    marks: Marks | None = None


Terminal = Done | Failed


Event = Piece | Prefilled | Listened | Consumed | Terminal


class Events(msgspec.Struct, frozen=True, tag="events"):
    """What one engine step brought, for one frontend: a single message on the wire."""

    events: list[Event]
