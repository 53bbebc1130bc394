"""An answer as it is written: tokens or text in, pieces out, until it has ended."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import assert_never

import msgspec

from ipc.messages.events import (
    CallArguments,
    CallOpened,
    Delta,
    Finish,
    Piece,
    Reasoning,
    TokenLogprob,
    Usage,
)
from ipc.messages.jobs import Sampling
from worker.chat.parser import Arguments, Content, Opened, Parser, Said, Thought
from worker.chat.text import StopFilter, TextStream
from worker.chat.vocabulary import Vocabulary


class Generation:
    """One answer to the job ``job_id``, its ``choice``-th: counts, text, stop texts, what
    ``parser`` makes of the text, and its end.

    Where the library does not end it, it ends with one of the tokens ``ends``, or one that the
    request names, after ``min_tokens``; with a stop text; once the parser has all that belongs to
    it; or with its ``limit``-th token. Before the first that is written comes ``repeated``, of its
    prompt. Control tokens are no text, but for those whose texts the parser needs or are
    ``spelled``.
    """

    def __init__(
        self,
        job_id: str,
        sampling: Sampling,
        *,
        prompt_tokens: int,
        limit: int,
        vocabulary: Vocabulary,
        parser: Parser,
        ends: Collection[int] = (),
        choice: int = 0,
        repeated: str = "",
        spelled: Collection[str] = (),
    ) -> None:
        self.job_id = job_id
        self.choice = choice
        self.prompt_tokens = prompt_tokens
        self.cached_tokens: int | None = None  # until the library has told
        self.guessed = self.accepted = 0  # tokens, by prompt lookup
        self.written = 0
        self.ended = False
        self.is_continued = False  # by another request than it began with
        self.finish: Finish = "stop"  # once it has ended
        self.stop_text: str | None = None  # which one has ended it
        self._limit = limit
        self._min_tokens = sampling.min_tokens
        self._ends = frozenset(sampling.stop_token_ids) | (
            frozenset() if sampling.ignore_eos else frozenset(ends)
        )
        self._text = TextStream(vocabulary, {*parser.preserved, *spelled})
        self._stop = StopFilter(sampling.stop)
        self._parser = parser
        self._repeated = repeated
        self._is_begun = False  # a piece has gone out
        self._calls = 0
        self._reasoning_tokens = 0
        self._vocabulary = vocabulary
        self._tokens: list[int] = []  # all, where the library tells them
        self._written_text = ""  # all, where it makes the text
        self._unsent = 0  # tokens whose text is still held back
        self._ids: list[int] = []  # of those, where the library tells them
        self._logprobs: list[TokenLogprob] | None = None  # of those, where they were asked for

    def push(
        self,
        tokens: Sequence[int],
        finish: Finish | None = None,
        logprobs: Sequence[TokenLogprob] | None = None,
    ) -> list[Piece]:
        """Take the next ``tokens``, and how the answer has ended where the library says so.
        Returns what can be sent now."""
        text = ""
        for at, token in enumerate(tokens):
            self.written += 1
            if token in self._ends and self.written > self._min_tokens:
                return self._end("stop", text)
            self._unsent += 1
            self._ids.append(token)
            self._tokens.append(token)
            if logprobs is not None:
                self._keep(logprobs[at : at + 1])
            text += self._passed(self._text.push(token))
            if self._stop.found is not None:
                return self._end("stop", text)
            if self.written >= self._limit:
                finish = finish or "length"
                break
        return self._pieces(text) if finish is None else self._end(finish, text)

    def push_text(
        self,
        text: str,
        tokens: int,
        logprobs: Sequence[TokenLogprob] | None = None,
        last: Sequence[int] = (),
    ) -> list[Piece]:
        """The same where the library makes the text: ``tokens`` are those that it took, the
        ``last`` of which it may name."""
        if logprobs is not None:
            self._keep(logprobs)
        self.written += tokens
        self._unsent += tokens
        self._ids += self._named(text, tokens, last)
        self._written_text += text
        passed = self._passed(self._text.push_text(text))
        return self._pieces(passed) if self._stop.found is None else self._end("stop", passed)

    def write(self, text: str, tokens: Sequence[int]) -> list[Piece]:
        """Take ``text``, of these ``tokens``, which the model has not written itself. It is part of
        the answer, and no stop text is looked for in it."""
        before = self._text.finish() + self._stop.finish()
        self.is_continued = True
        self.written += len(tokens)
        self._unsent += len(tokens)
        self._ids += tokens
        self._tokens = [*self.tokens, *tokens]
        self._written_text = ""
        pieces = self._pieces(before + text)
        if self.written >= self._limit and not self.ended:
            pieces += self._end("length", "")
        return pieces

    def go_on_behind(self, tokens: Sequence[int]) -> None:
        """Be as if it had written ``tokens``, and all that they say had been sent."""
        for token in tokens:  # as they came, so that as much is held back as was
            if not self.ended:
                self.push([token])
        # Of what came in one step the first piece has named all, what was held back included.
        self._reasoning_tokens = self.thought_tokens
        self._unsent, self._ids = 0, []
        self._is_begun = self.is_continued = True
        self._repeated = ""

    @property
    def thinking(self) -> bool:
        """Whether what comes next is reasoning."""
        return self._parser.thinking

    @property
    def thought_tokens(self) -> int:
        """How many tokens its reasoning has had so far."""
        return self._reasoning_tokens + (self._unsent if self.thinking else 0)

    @property
    def tokens(self) -> list[int]:
        """All that was written. Of a text that the library has made they are what its tokenizer
        makes of it."""
        if not self._written_text:
            return self._tokens
        return [*self._tokens, *self._vocabulary.encode([self._written_text])[0]]

    def end(self, finish: Finish) -> list[Piece]:
        """The library has ended it."""
        return self._end(finish, "")

    def end_by_form(self) -> list[Piece]:
        """Nothing may follow but the model's end, which counts as a token as it does elsewhere."""
        self.written += 1
        return self._end("stop", "")

    def repeat(self) -> list[Piece]:
        """What it begins with, once."""
        text, self._repeated = self._repeated, ""
        return [Delta(self.job_id, text, 0, choice=self.choice)] if text else []

    def begun(self, pieces: list[Piece]) -> list[Piece]:
        """``pieces``, of which the first that the answer has tells what its prompt took."""
        if self._is_begun or not pieces:
            return pieces
        self._is_begun = True
        first = msgspec.structs.replace(
            pieces[0], prompt_tokens=self.prompt_tokens, cached_tokens=self.cached_tokens
        )
        return [first, *pieces[1:]]

    @property
    def usage(self) -> Usage:
        """What it has come to."""
        return Usage(
            prompt_tokens=self.prompt_tokens,
            completion_tokens=self.written,
            cached_tokens=self.cached_tokens,
            reasoning_tokens=self._reasoning_tokens,
            guessed_tokens=self.guessed,
            accepted_tokens=self.accepted,
        )

    def _named(self, text: str, tokens: int, last: Sequence[int]) -> Sequence[int]:
        """The ids of as many ``tokens``, of which the ``last`` is told; fewer where not all of them
        are sure. Characters of several tokens are told by the tokenizer; a grammar may have had
        them written byte by byte."""
        if len(last) == tokens:
            return last
        ways = [self._vocabulary.encode([text])[0], self._vocabulary.by_bytes(text)] if last else []
        fitting = (way for way in ways if len(way) == tokens and way[-1:] == [*last])
        return next(fitting, ())

    def _keep(self, logprobs: Sequence[TokenLogprob]) -> None:
        self._logprobs = [*(self._logprobs or []), *logprobs]

    def _passed(self, text: str) -> str:
        """``text`` less what may be a stop text. As tokens that end it, none counts before
        ``min_tokens``."""
        return text if self.written <= self._min_tokens else self._stop.push(text)

    def _pieces(self, text: str) -> list[Piece]:
        """What ``text`` says. Where nothing that follows is part of the answer, it has ended."""
        pieces = [self._piece(said) for said in self._parser.push(text)] if text else []
        if self._parser.over and not self.ended:
            self._finished("stop")
        return pieces

    def _piece(self, said: Said) -> Piece:
        """What was said as an event. The first one takes all tokens since the last."""
        job_id, tokens = self.job_id, self._unsent
        choice, ids, logprobs = self.choice, self._ids, self._logprobs
        self._unsent, self._ids, self._logprobs = 0, [], None
        match said:
            case Content():
                return Delta(job_id, said.text, tokens, choice=choice, ids=ids, logprobs=logprobs)
            case Thought():
                self._reasoning_tokens += tokens
                return Reasoning(
                    job_id, said.text, tokens, choice=choice, ids=ids, logprobs=logprobs
                )
            case Opened():
                self._calls += 1
                index = self._calls - 1
                return CallOpened(
                    job_id,
                    index,
                    said.id,
                    said.name,
                    tokens,
                    choice=choice,
                    ids=ids,
                    logprobs=logprobs,
                )
            case Arguments():
                index = self._calls - 1
                return CallArguments(
                    job_id, index, said.text, tokens, choice=choice, ids=ids, logprobs=logprobs
                )
            case _:
                assert_never(said)

    def _end(self, finish: Finish, text: str) -> list[Piece]:
        self.ended = True
        text += self._stop.push(self._text.finish()) + self._stop.finish()
        if self._stop.found is not None:
            finish = "stop"
        pieces = self._pieces(text)
        was_over = self._parser.over
        pieces += map(self._piece, self._parser.finish(cut=finish == "length"))
        self._finished("stop" if was_over else finish)
        self.stop_text = None if was_over else self._stop.found
        return pieces

    def _finished(self, finish: Finish) -> None:
        self.ended = True
        self.finish = "tool_calls" if self._calls and finish == "stop" else finish
