"""A chat's answer put together from its pieces, for faces that send it whole."""

from __future__ import annotations

import time
from collections import defaultdict
from dataclasses import dataclass, field
from typing import assert_never

from ipc.messages.errors import InternalError
from ipc.messages.events import (
    CallArguments,
    CallOpened,
    ChatResult,
    Delta,
    Finish,
    Piece,
    Reasoning,
    TokenLogprob,
)


@dataclass(slots=True)
class WholeCall:
    """``arguments`` joined are the JSON text of an object."""

    id: str
    name: str
    arguments: list[str] = field(default_factory=list)


@dataclass(slots=True)
class WholeChoice:
    """``logprobs`` are those of the text; None where nobody asked for them."""

    texts: list[str] = field(default_factory=list)
    reasoning: list[str] = field(default_factory=list)
    calls: list[WholeCall] = field(default_factory=list)
    logprobs: list[TokenLogprob] | None = None

    def add(self, piece: Piece) -> None:
        match piece:
            case Delta():
                self.texts.append(piece.text)
                self._add_logprobs(piece.logprobs)
            case Reasoning():
                self.reasoning.append(piece.text)
            case CallOpened():
                if piece.index != len(self.calls):
                    raise _out_of_order(piece)
                self.calls.append(WholeCall(piece.id, piece.name))
            case CallArguments():
                if piece.index != len(self.calls) - 1:
                    raise _out_of_order(piece)
                self.calls[-1].arguments.append(piece.text)
            case _:
                assert_never(piece)

    def _add_logprobs(self, more: list[TokenLogprob] | None) -> None:
        if more is not None:
            self.logprobs = self.logprobs or []
            self.logprobs += more


class WholeAnswer:
    """Takes pieces as they come; has the choices once all have. ``first_at`` is when the first one
    came, in seconds of `time.monotonic`."""

    def __init__(self) -> None:
        self.first_at: float | None = None
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
