"""What models take, as it was measured on real ones: memory, seconds of a load and of a request.

The figures and where each was measured are in ``recorded.json``.
"""

from __future__ import annotations

import math
from pathlib import Path

import msgspec

from ipc.messages.jobs import Task


class Kind(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A model that was measured. ``share`` is how many of all models are taken to be like it.
    ``read_s`` is from a request's beginning to its first token, or to its end where its answer is
    not written token by token. ``tokens_per_s`` are those of all answers together, by how many are
    written at once."""

    kind: str
    task: Task
    share: float
    memory_mb: int
    load_s: float
    read_s: float
    tokens_per_s: dict[int, float]
    source: str

    def write_s(self, tokens: int, beside: int) -> float:
        """The seconds in which an answer of so many is written, where ``beside`` are at once."""
        if not self.tokens_per_s:
            return 0.0
        nearest = min(self.tokens_per_s, key=lambda at: abs(math.log(at / beside)))
        # Of each answer alone: beyond what was measured all together are no faster.
        return tokens * max(nearest, beside) / self.tokens_per_s[nearest]


KINDS = msgspec.json.decode(
    Path(__file__).with_name("recorded.json").read_bytes(), type=list[Kind], strict=False
)
