"""Starts the next generation of a child."""

from __future__ import annotations

import logging
from collections.abc import Callable

from ipc.messages.control import child_id
from supervisor.children.environment import environment
from supervisor.children.process import Exit
from supervisor.cleanup import Cleanup
from supervisor.effects import Effects
from supervisor.fleet import command
from supervisor.fleet.member import Member
from supervisor.fleet.model_set import ModelSet
from supervisor.plan import Plan

logger = logging.getLogger(__name__)

OnExit = Callable[[Member, int, Exit], None]


class Starter:
    """``on_exit`` is called once for each generation, with its number and how it has ended."""

    def __init__(
        self, models: ModelSet, effects: Effects, cleanup: Cleanup, on_exit: OnExit
    ) -> None:
        self._models = models
        self._effects = effects
        self._cleanup = cleanup
        self._on_exit = on_exit

    def start(self, member: Member, plan: Plan) -> None:
        """Start it as ``plan`` says. One that cannot be started has ended at once."""
        generation = member.replica.generation
        member.work_done = 0.0
        member.rss_mb = None
        try:
            member.process = self._effects.start(
                member.replica.name,
                command.argv(member, plan, self._effects),
                environment(member.spec),
                command.listening(self._effects) if member.spec is None else [],
                lambda end: self._on_exit(member, generation, end),
            )
        except OSError as error:
            # Out of processes, descriptors or memory: a failed start like any other, tried again.
            self._on_exit(member, generation, Exit(f"could not be started: {error.strerror}"))
            return
        self._place(member)
        facts = {"child": member.replica.name, "generation": generation}
        model = member.spec.name if member.spec else None
        logger.info("started", extra={**facts, "pid": member.process.pid, "model": model})

    def _place(self, member: Member) -> None:
        """Give a worker its cgroup, and its share of the processors."""
        if member.spec is None or member.process is None:
            return
        self._cleanup.enclose(member, child_id(member.replica.name, member.replica.generation))
        nice = command.nice(member.spec, self._models.specs)
        if member.held:
            member.process.let_others_first()
        elif nice > 0:
            member.process.be_nice(nice)
