"""What a server's answer to a chat means, event by event. No sockets in here.

The table of cases is tests/unit/worker/engines/upstream/test_answer.py: what comes, and what it is
taken for. An answer counts only if the server said that it is whole, by a reason to finish for
every choice, by its mark of the end, or by sending one object in place of a stream. What a server
says is passed on, but not that it did nothing about what it was asked: a forced call, a form, log
probabilities, several choices.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ipc.messages.errors import UnsupportedParameter, WorkerCrashed
from ipc.messages.events import ChatResult, Piece, Usage
from ipc.messages.jobs import ChatInput
from worker.engines.common.server_json import not_understood, usage_of
from worker.engines.upstream.choice import ChoiceAnswer
from worker.engines.upstream.chunks import chunk_of
from worker.engines.upstream.events import StreamEvent
from worker.engines.upstream.servers import ANY, Server

_DONE = b"[DONE]"
_NOTHING = b"null"  # llama.cpp, before completions of several prompts


class ChatAnswer:
    """The answer of ``server`` to the job ``job_id``, in parts. ``ended``: the server has said that
    nothing follows. ``written`` is what others have written of each choice, where tokens are named;
    None where they are not."""

    def __init__(
        self,
        job_id: str,
        asked: ChatInput,
        server: Server = ANY,
        written: Mapping[int, Sequence[int]] | None = None,
    ) -> None:
        self.ended = False
        self._asked = asked
        names, begun = written is not None, written or {}
        self._choices = [
            ChoiceAnswer(job_id, asked, at, names_tokens=names, begun=at in begun)
            for at in range(asked.choices)
        ]
        self._seen: set[int] = set()
        # llama.cpp counts every choice for itself, after it.
        self._counts_apart = server.kind == "llama.cpp" and asked.choices > 1
        self._last = 0  # the choice that was spoken of last
        self._usages: dict[int, Any] = {}

    @property
    def whole(self) -> bool:
        """Whether all that is said has come, though counts may follow."""
        return self.ended or all(choice.finish is not None for choice in self._choices)

    def feed(self, event: StreamEvent) -> list[Piece]:
        """What one event brings, often nothing. Raises the `ServeError` in it."""
        data = event.data.strip()
        if not data or data == _NOTHING:
            return []
        if data == _DONE:
            self.ended = True
            return []
        chunk = chunk_of(event.name, data)
        if event.name == "whole":
            if not chunk.choices:
                not_understood()
            self.ended = True
        is_whole = chunk.object == "chat.completion"
        pieces: list[Piece] = []
        for said in chunk.choices or ():
            at = said.index or 0
            if at < len(self._choices):  # no more were asked for
                self._last = at
                self._seen.add(at)
                pieces += self._choices[at].feed(said, is_whole=is_whole)
        if chunk.usage:
            self._usages[self._last if self._counts_apart else 0] = chunk.usage
        return pieces

    def close(self) -> list[Piece]:
        """The last of what was said."""
        return [piece for choice in self._choices for piece in choice.close()]

    def result(self) -> ChatResult:
        """The end. Raises `WorkerCrashed` where the answer stopped without one, and what
        `ChoiceAnswer.end` does."""
        if not self.whole:
            raise WorkerCrashed("the upstream stopped in the middle of its answer", retry_after_s=1)
        if self._seen and len(self._seen) < len(self._choices):
            raise UnsupportedParameter(
                f"`n` is not supported by the server behind this model, which sent "
                f"{len(self._seen)} of {len(self._choices)} choices; leave it out",
                param="n",
            )
        sampling = self._asked.sampling
        may_be_empty = bool(sampling.stop or sampling.stop_token_ids or self._asked.prompts)
        finish, *others = [choice.end(may_be_empty=may_be_empty) for choice in self._choices]
        return ChatResult(
            finish=finish,
            usage=self._usage(),
            others=others,
            stop_text=self._choices[0].stop_text,
        )

    def _usage(self) -> Usage:
        """The counts. Where the server gives none, the prompt is left uncounted, and each piece of
        the answer taken for a token."""
        if self._counts_apart:
            return self._sum()
        pieces = sum(choice.pieces for choice in self._choices)
        thoughts = sum(choice.thoughts for choice in self._choices)
        return usage_of(self._usages.get(0), pieces, thoughts)

    def _sum(self) -> Usage:
        counted = [
            usage_of(self._usages.get(at), choice.pieces, choice.thoughts)
            for at, choice in enumerate(self._choices)
        ]
        return Usage.of_choices(counted, self._asked.sampling.n)
