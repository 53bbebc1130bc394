"""What the children take, measured once a second."""

from __future__ import annotations

from supervisor.effects import Effects
from supervisor.fleet.member import Happen, Member, by_model, may_be_away
from supervisor.fleet.model_set import ModelSet
from supervisor.lifecycle.happenings import Sampled


class Sampler:
    """Measures what workers have limits for, and tells it by ``happen``."""

    def __init__(self, models: ModelSet, effects: Effects, happen: Happen) -> None:
        self._models = models
        self._effects = effects
        self._happen = happen

    def sample_workers(self) -> None:
        """Those of a model that is served without them, too: replicas are recycled in turns."""
        for group in by_model(self._models.workers).values():
            for member in group:
                if may_be_away(member, group):
                    self.sample(member)

    def sample(self, member: Member) -> None:
        """Measure one now."""
        if member.process is None:
            return
        if member.vram is not None:
            member.vram.note(member.process.pid)
        measured = member.replica.limited or member.replica.state == "starting"
        rss_mb = member.process.rss_mb() if measured else None
        if rss_mb is not None:
            member.rss_mb = rss_mb
            self._happen(member, Sampled(rss_mb))

    def weigh(self, member: Member) -> None:
        """Have the memory of a worker measured for the next start."""
        if member.spec is not None and member.process is not None:
            self._effects.weigh(member.spec, member.process.pid, member.replica.load_s)
