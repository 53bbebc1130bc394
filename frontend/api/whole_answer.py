"""A chat's answer put together from its pieces, for faces that send it whole."""

from __future__ import annotations

import time
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TypeVar, assert_never

from frontend.http.answer_stream import misplaced
from ipc.messages.errors import InternalError
from ipc.messages.events import (
    Audio,
    CallArguments,
    CallOpened,
    ChatResult,
    Delta,
    Finish,
    Marks,
    Piece,
    Reasoning,
    TokenLogprob,
    Turn,
)

B = TypeVar("B", "WholeText", "WholeReasoning")
K = TypeVar("K", "WholeText", "WholeReasoning", "WholeCall")


@dataclass(slots=True)
class WholeText:
    """A stretch of the answer's text. ``logprobs`` are None where nobody asked for them."""

    texts: list[str] = field(default_factory=list)
    logprobs: list[TokenLogprob] | None = None


@dataclass(slots=True)
class WholeReasoning:
    """A stretch of what was thought."""

    texts: list[str] = field(default_factory=list)


@dataclass(slots=True)
class WholeCall:
    """``arguments`` joined are the JSON text of an object."""

    id: str
    name: str
    arguments: list[str] = field(default_factory=list)


Block = WholeText | WholeReasoning | WholeCall


@dataclass(slots=True)
class WholeChoice:
    """``blocks`` are what was written, in its order; the rest is all that they have of one kind."""

    blocks: list[Block] = field(default_factory=list)

    @property
    def texts(self) -> list[str]:
        return [text for block in self._all(WholeText) for text in block.texts]

    @property
    def reasoning(self) -> list[str]:
        return [text for block in self._all(WholeReasoning) for text in block.texts]

    @property
    def calls(self) -> list[WholeCall]:
        return self._all(WholeCall)

    @property
    def logprobs(self) -> list[TokenLogprob] | None:
        """Those of the text; None where nobody asked for them."""
        told = [block.logprobs for block in self._all(WholeText) if block.logprobs is not None]
        return [one for logprobs in told for one in logprobs] if told else None

    def add(self, piece: Piece) -> None:
        """A piece without text begins no block, but for the log probabilities that it has."""
        match piece:
            case Delta():
                self._write(piece)
            case Reasoning():
                if piece.text:
                    self._last(WholeReasoning).texts.append(piece.text)
            case CallOpened():
                if piece.index != len(self.calls):
                    raise _out_of_order(piece)
                self.blocks.append(WholeCall(piece.id, piece.name))
            case CallArguments():
                calls = self.calls
                if piece.index != len(calls) - 1:
                    raise _out_of_order(piece)
                calls[-1].arguments.append(piece.text)
            case Audio() | Turn():
                raise misplaced(piece, "a chat")
            case _:
                assert_never(piece)

    def _write(self, piece: Delta) -> None:
        if piece.text:
            self._last(WholeText).texts.append(piece.text)
        if piece.logprobs is not None:
            block = self._last(WholeText)
            block.logprobs = block.logprobs or []
            block.logprobs += piece.logprobs

    def _last(self, kind: type[B]) -> B:
        """The last block, which is a new one where it was of another ``kind``."""
        if not self.blocks or not isinstance(self.blocks[-1], kind):
            self.blocks.append(kind())
        block = self.blocks[-1]
        assert isinstance(block, kind)
        return block

    def _all(self, kind: type[K]) -> list[K]:
        return [block for block in self.blocks if isinstance(block, kind)]


class WholeAnswer:
    """Takes pieces as they come; has the choices once all have. ``first_at`` is when the first one
    came, in seconds of `time.monotonic`; ``marks`` what the worker knew of the job's time."""

    def __init__(self) -> None:
        self.first_at: float | None = None
        self.marks: Marks | None = None
        self._choices: defaultdict[int, WholeChoice] = defaultdict(WholeChoice)

    def add(self, piece: Piece) -> None:
        """Raises `InternalError` where calls come out of order."""
        if self.first_at is None:
            self.first_at = time.monotonic()
        self._choices[piece.choice].add(piece)

    def choices(self, result: ChatResult) -> list[tuple[WholeChoice, Finish]]:
        """Every choice and how it ended. Raises `InternalError` for one that never did."""
        finishes = [result.finish, *result.others]
        if self._choices and max(self._choices) >= len(finishes):
            raise InternalError(f"choice {max(self._choices)} of the answer has no end")
        return [(self._choices[at], finish) for at, finish in enumerate(finishes)]


def _out_of_order(piece: CallOpened | CallArguments) -> InternalError:
    return InternalError(f"call {piece.index} of the answer came out of order")
