"""What a measurement is made with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ipc.messages.spec import Spec
from tests.bench.models import Models, Say
from tests.bench.peers.known import Files, Peer
from tests.bench.peers.results import Results


@dataclass(frozen=True)
class Run:
    """``streams`` is how many chats at once, None for those that each measurement has; ``rows``,
    what the names of other rows must contain; ``engine``, that of edge-serve's chat model, None for
    its own; ``most_tokens_per_s``, what one chat can have if reading memory is all that takes time,
    None where that is not known."""

    peers: list[Peer]
    models: Models
    files: Files
    rounds: int
    streams: Sequence[int] | None
    rows: str
    results: Results
    say: Say
    engine: str | None = None
    most_tokens_per_s: float | None = None

    def chat_spec(self) -> Spec:
        """edge-serve's chat model; says by which engine. Raises `ConfigError` and `FetchError`."""
        spec = self.models.spec("chat", self.engine)
        self.say(f"edge-serve: {spec.name} by engine {spec.engine}")
        return spec
