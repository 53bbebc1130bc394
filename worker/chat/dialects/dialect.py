"""What a dialect is: the way in which a family of models writes calls and reasoning."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from worker.chat.parser import Parser

# A message as chat templates take it.
Turn = dict[str, Any]


class Dialect(Protocol):
    """Into the prompt by `history`, out of the answer by `parser`."""

    def history(self, turns: Sequence[Turn]) -> list[Turn]:
        """``turns`` as the model's template can write all of them, calls and results too."""
        ...

    def parser(self) -> Parser:
        """What reads one answer."""
        ...
