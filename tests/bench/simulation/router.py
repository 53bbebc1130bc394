"""Which box each request is sent to: the real `Boxes` and `Attempts` of an engine `remote` that
has several servers, one for each model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from ipc.messages.errors import InternalError, ServeError, Unavailable
from tests.bench.simulation.catalog import Model
from tests.bench.simulation.clock import Clock
from tests.bench.simulation.day import Asked
from tests.bench.simulation.meter import Meter
from tests.bench.simulation.node import ConnectionLost, End, Node
from worker.engines.upstream.several.boxes import Boxes
from worker.engines.upstream.several.retrying import Attempts
from worker.engines.upstream.several.servers import BUSY_S, IDLE_S

# How it ended for the client.
OnAnswer = Callable[[End], None]


@dataclass(slots=True)
class _Watched:
    """The boxes of one model, each of which is asked how it is as `Servers` does."""

    boxes: Boxes
    busy_until: float = 0.0  # it has had requests in hand until then
    told_at: dict[int, float] = field(default_factory=dict)

    def looked_at(self, now: float) -> float:
        """When they were last asked: each second while there is work or one is away, and from the
        first second without on each ten seconds."""
        idle_s = now - self.busy_until - BUSY_S
        if self.boxes.in_hand or self.boxes.away or idle_s < 0:
            return now - now % BUSY_S
        return now - idle_s % IDLE_S


@dataclass(slots=True)
class Sent:
    """What was seen of requests as they were sent."""

    first: int = 0
    hits: int = 0  # of these, how many found their model loaded
    first_by_hour: Counter[int] = field(default_factory=Counter)
    hits_by_hour: Counter[int] = field(default_factory=Counter)
    passed_on: int = 0


class Router:
    """Sends requests to ``nodes``, and each that may be sent again to another."""

    def __init__(self, nodes: list[Node], clock: Clock, meter: Meter) -> None:
        self.sent = Sent()
        self._nodes = nodes
        self._clock = clock
        self._meter = meter
        self._watched: dict[str, _Watched] = {}

    def ask(self, asked: Asked, on_answer: OnAnswer) -> None:
        self._ask(asked, Attempts(), on_answer, None)

    def _ask(
        self, asked: Asked, attempts: Attempts, on_answer: OnAnswer, before: ServeError | None
    ) -> None:
        watched = self._of(asked.model)
        self._look(asked.model, watched)
        at = self._meter("route", watched.boxes.ask, self._clock.now, attempts.tried)
        if at is None:
            on_answer(End(before or Unavailable("no box has this model")))
            return
        node = self._nodes[asked.model.boxes[at]]
        self._count(asked, node, attempts)
        began_at = self._clock.now

        def on_end(end: End) -> None:
            error = end.error
            took_s = self._clock.now - began_at if error is None else None
            self._meter("route", watched.boxes.end, at, took_s)
            watched.busy_until = self._clock.now
            if error is None:
                on_answer(end)
                return
            if isinstance(error, ConnectionLost | InternalError):
                watched.boxes.leave(at, self._clock.now)
            known = Unavailable(error.message) if isinstance(error, ConnectionLost) else error
            if attempts.may_follow(at, known, begun=end.seen):
                self.sent.passed_on += 1
                self._ask(asked, attempts, on_answer, error)
            else:
                on_answer(end)

        if node.up:
            node.submit(asked, on_end)
        else:
            on_end(End(ConnectionLost()))

    def _count(self, asked: Asked, node: Node, attempts: Attempts) -> None:
        if attempts.tried:
            return
        hour, hits = int(self._clock.now // 3600), node.up and node.has_loaded(asked.model)
        self.sent.first += 1
        self.sent.hits += hits
        self.sent.first_by_hour[hour] += 1
        self.sent.hits_by_hour[hour] += hits

    def _of(self, model: Model) -> _Watched:
        watched = self._watched.get(model.spec.name)
        if watched is None:
            watched = self._watched[model.spec.name] = _Watched(Boxes(len(model.boxes)))
        return watched

    def _look(self, model: Model, watched: _Watched) -> None:
        """Tell how the boxes are, as they were when they were last asked before now."""
        looked_at = watched.looked_at(self._clock.now)
        for at, number in enumerate(model.boxes):
            if watched.told_at.get(at, -1.0) >= looked_at:
                continue
            watched.told_at[at] = looked_at
            if self._nodes[number].up:
                eta_s = self._nodes[number].eta_s(model)
                self._meter("route", watched.boxes.tell, at, looked_at, eta_s)
            else:
                self._meter("route", watched.boxes.leave, at, looked_at)
