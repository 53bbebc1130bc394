"""What a measurement is made with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tests.bench.models import Models, Say
from tests.bench.peers.known import Files, Peer
from tests.bench.peers.results import Results


@dataclass(frozen=True)
class Run:
    """``streams`` is how many chats at once, None for those that each measurement has; ``rows``,
    what the names of other rows must contain."""

    peers: list[Peer]
    models: Models
    files: Files
    rounds: int
    streams: Sequence[int] | None
    rows: str
    results: Results
    say: Say
