"""One choice of an answer: what a server says of it in, pieces out. No sockets in here."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import msgspec

from ipc.messages.errors import InternalError, UnsupportedParameter
from ipc.messages.events import (
    CallArguments,
    CallOpened,
    Delta,
    Finish,
    Piece,
    Reasoning,
    TokenLogprob,
)
from ipc.messages.jobs import ChatInput, Choice, Json
from worker.engines.common.server_errors import one_line
from worker.engines.common.server_json import SurrogateJoiner, not_understood
from worker.engines.upstream import chunks
from worker.engines.upstream.calls import Calls, CallsInOrder, Opened, Told
from worker.engines.upstream.ends import MAX_REASON_CHARS, end_of
from worker.engines.upstream.logprobs import logprobs_of

# Parts of a content that tell how it was found.
_THOUGHTS = frozenset({"thinking", "reasoning"})
# And where.
_ASIDE = "reference"


class ChoiceAnswer:
    """The ``at``-th choice of the answer to the job ``job_id``. One that ``names_tokens`` is told
    as far as the names have come, all at once: so whoever has both can go on. Where it is ``begun``
    another server has told its beginning."""

    def __init__(
        self,
        job_id: str,
        asked: ChatInput,
        at: int,
        *,
        names_tokens: bool = False,
        begun: bool = False,
    ) -> None:
        self.finish: Finish | None = None
        self.stop_text: str | None = None  # which one has ended it, where the server says so
        self.pieces = 0  # that were told
        self.thoughts = 0  # among them
        self._job_id = job_id
        self._asked = asked
        self._at = at
        self._said: list[str] = []
        self._content, self._reasoning = SurrogateJoiner(), SurrogateJoiner()
        self._calls: Calls | CallsInOrder = CallsInOrder() if names_tokens else Calls()
        self._names_tokens = names_tokens
        self._begun = begun
        self._ids: list[int] = []  # that no piece has carried yet
        self._unnamed: list[Piece] = []  # that wait for theirs
        self._logprobs: list[TokenLogprob] = []  # that no piece has carried yet
        self._has_logprobs = False
        self._has_called = False

    def feed(self, said: chunks.Choice, *, is_whole: bool) -> list[Piece]:
        """What ``said`` adds; where it ``is_whole``, it says again what may have come before.

        Raises the `ServeError` in it.
        """
        self._keep_logprobs(said.logprobs)
        turn = said.delta or said.message or chunks.Turn(content=said.text)
        thought, text = _texts(turn)
        calls = turn.calls
        if said.delta is None and is_whole and self.pieces:
            thought, text = ("" if self.thoughts else thought), self._unsaid(text)
            calls = [] if len(self._calls) else calls
        pieces = self._thought(self._reasoning.feed(thought))
        pieces += self._text(self._content.feed(text))
        pieces += self._called(self._calls.feed(calls))
        if said.finish_reason:
            self.finish = end_of(said.finish_reason)
            self._has_called = said.finish_reason == "tool_calls"
            self.stop_text = self._stop_text(said)
        return self._named(said, pieces) if self._names_tokens else self._told(pieces)

    def close(self) -> list[Piece]:
        """What is held back: half a character, a call after another one."""
        pieces = self._thought(self._reasoning.end()) + self._text(self._content.end())
        pieces += self._called(self._calls.end(is_cut=self.finish not in (None, "stop")))
        pieces = self._unnamed + pieces
        if (self._logprobs or self._ids) and not pieces:
            pieces = [Delta(self._job_id, "", 0, choice=self._at)]
        return self._with_ids(self._told(pieces))

    def end(self, *, may_be_empty: bool) -> Finish:
        """How it ended. Raises `InternalError` where there is nothing in it that can be passed on,
        `UnsupportedParameter` where the server did nothing about what it was asked."""
        finish = self.finish or "stop"
        if self._begun:  # the server that goes on has looked at all of it
            return "tool_calls" if self._has_called else finish
        if len(self._calls) and not self._asked.tools:
            raise InternalError("the upstream called a tool, though it was offered none")
        if finish == "stop":
            if not self.pieces and not may_be_empty:
                raise InternalError("the upstream's answer is empty")
            self._check_kept()
        if self._asked.sampling.logprobs is not None and self._said and not self._has_logprobs:
            raise _skipped("logprobs", "told no log probabilities")
        return "tool_calls" if len(self._calls) and finish == "stop" else finish

    def _stop_text(self, said: chunks.Choice) -> str | None:
        """Servers have tokens in the same places, and the model's own ends."""
        told = (said.stop_reason, said.matched_stop)
        return next((text for text in self._asked.sampling.stop if text in told), None)

    def _check_kept(self) -> None:
        if len(self._calls):
            return
        if self._asked.must_call:
            raise _skipped("tool_choice", "called no tool, though it had to")
        text = "".join(self._said)
        match self._asked.form:
            case Json() if not _is_json(text):
                raise _skipped("response_format", "answered with what is no JSON")
            case Choice() as form if text not in form.texts:
                raise _skipped("structured_outputs.choice", "answered with none of the choices")

    def _named(self, said: chunks.Choice, pieces: list[Piece]) -> list[Piece]:
        """What can be told, now that ``said`` has come with these ``pieces``."""
        self._unnamed += pieces
        self._ids += said.token_ids or []
        if not said.token_ids or not self._unnamed:
            return []
        told, self._unnamed = self._told(self._unnamed), []
        return self._with_ids(told)

    def _with_ids(self, pieces: list[Piece]) -> list[Piece]:
        """``pieces``, of which the first has all names and counts as so many tokens."""
        ids, self._ids = self._ids, []
        named = [msgspec.structs.replace(one, tokens=len(ids), ids=ids) for one in pieces[:1]]
        return named + [msgspec.structs.replace(one, tokens=0) for one in pieces[1:]]

    def _text(self, text: str) -> list[Piece]:
        if text:
            self._said.append(text)
        return [Delta(self._job_id, text, choice=self._at)] if text else []

    def _thought(self, text: str) -> list[Piece]:
        self.thoughts += bool(text)
        return [Reasoning(self._job_id, text, choice=self._at)] if text else []

    def _called(self, told: Sequence[Told]) -> list[Piece]:
        return [self._call(one) for one in told]

    def _call(self, told: Told) -> Piece:
        if isinstance(told, Opened):
            return CallOpened(self._job_id, told.at, told.id, told.name, choice=self._at)
        return CallArguments(self._job_id, told.at, told.text, choice=self._at)

    def _keep_logprobs(self, said: Any) -> None:
        wanted = self._asked.sampling.logprobs
        if wanted is not None:
            self._logprobs += logprobs_of(said, wanted)
            self._has_logprobs = self._has_logprobs or bool(self._logprobs)

    def _told(self, pieces: list[Piece]) -> list[Piece]:
        """``pieces``, of which the text has the log probabilities, or else the first."""
        self.pieces += len(pieces)
        if self._logprobs and pieces:
            texts = [at for at, piece in enumerate(pieces) if isinstance(piece, Delta)]
            at = (texts or [0])[0]
            pieces[at] = msgspec.structs.replace(pieces[at], logprobs=self._logprobs)
            self._logprobs = []
        return pieces

    def _unsaid(self, text: str) -> str:
        """What a stream's last event, the whole answer again, says beyond what came before."""
        said = "".join(self._said)
        if not text.startswith(said):
            not_understood()
        return text[len(said) :]


def _texts(turn: chunks.Turn) -> tuple[str, str]:
    """What ``turn`` thinks, and what it says."""
    thought = turn.reasoning_content or turn.reasoning
    thoughts = [thought] if isinstance(thought, str) else []
    if not isinstance(turn.content, list):
        return "".join(thoughts), turn.content or turn.refusal or ""
    texts: list[str] = []
    for part in turn.content:
        if isinstance(part, str):
            texts.append(part)
        elif part.type in _THOUGHTS:
            thoughts.append(_thought_of(part))
        elif part.type != _ASIDE:
            texts.append(_text_of(part))
    return "".join(thoughts), "".join(texts)


def _thought_of(part: chunks.Part) -> str:
    """Mistral has parts of text in it again."""
    if not isinstance(part.thinking, list):
        return part.thinking if isinstance(part.thinking, str) else part.text or ""
    texts = (each.get("text") for each in part.thinking if isinstance(each, dict))
    return "".join(text for text in texts if isinstance(text, str))


def _text_of(part: chunks.Part) -> str:
    if part.text is None:
        kind = one_line(part.type, MAX_REASON_CHARS)
        raise InternalError(f"the upstream's answer has a part of type {kind!r}, not text")
    return part.text


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def _skipped(param: str, what: str) -> UnsupportedParameter:
    return UnsupportedParameter(
        f"`{param}` is not supported by the server behind this model, which {what}; leave it out",
        param=param,
    )
