"""What people are told of how things stand: the log, a start's terminal, systemd's status."""

from __future__ import annotations

import logging

from ipc.messages.spec import Spec
from ipc.messages.state import ModelState
from supervisor import example
from supervisor.effects import Effects
from supervisor.greeting import Greeting
from supervisor.lifecycle.replica import Replica
from supervisor.plan import Plan

logger = logging.getLogger(__name__)


class Announcer:
    """Tells each thing once, and the status whenever it has changed."""

    def __init__(self, plan: Plan, effects: Effects) -> None:
        self._plan = plan
        self._effects = effects
        self._greeting = Greeting(plan, clock=effects.now)
        self._stopping = False
        self._told_status = ""
        self.all_were_ready = False

    def on_stop(self, drain_s: float) -> None:
        self._greeting.on_stop(again=self._stopping)
        self._stopping = True
        self._effects.notify("STOPPING=1", "STATUS=draining")
        logger.info("stopping", extra={"drain_s": drain_s})

    def on_listening(self) -> None:
        ollama = self._effects.ollama_url
        wyoming = self._effects.wyoming_url
        more = {"ollama_url": ollama, "wyoming_url": wyoming}
        facts = {name: where for name, where in more.items() if where}
        logger.info("listening", extra={"url": self._effects.url, **facts})
        self._greeting.on_listening(self._effects.url, ollama, wyoming)
        self._effects.notify("READY=1")

    def on_worker_ready(self, spec: Spec, replica: Replica) -> None:
        device = replica.loaded.device if replica.loaded else None
        facts = {"model": spec.name, "replica": replica.name, "device": device}
        facts |= {"warm": " ".join(f"{what}={how}" for what, how in replica.warm.items())}
        logger.info("ready", extra={**facts, "generation": replica.generation})
        self._greeting.on_ready(spec.name)

    def on_status(self, states: list[ModelState], frontend: Replica) -> None:
        """A model's state is another one, or the frontend's."""
        status = _status(states, frontend)
        if status != self._told_status and not self._stopping:
            self._told_status = status
            self._effects.notify(f"STATUS={status}")

    def on_somebody_ready(self, states: list[ModelState], frontend: Replica) -> None:
        """A process can serve, of which the log tells already; the start ends with the last one."""
        all_ready = all(state.state in ("ready", "unloaded") for state in states)
        if frontend.state == "ready" and all_ready and not self.all_were_ready:
            self.all_were_ready = True
            logger.info("all models are ready; try:\n%s", self._example())
            self._greeting.on_all_ready(self._effects.url, self._effects.port)

    def _example(self) -> str:
        serve = self._plan.serve
        return example.curl(self._effects.url, serve.specs, serve.gate)


def _status(states: list[ModelState], frontend: Replica) -> str:
    if frontend.state == "backoff" and frontend.was_ready:
        return (
            f"nobody answers clients, the frontend keeps failing ({frontend.last_exit}); "
            f"tried again without end, {len(states)} models stay loaded"
        )
    found = [state.state for state in states]
    unloaded = found.count("unloaded")
    rest = f", {unloaded} to be loaded when asked for" if unloaded else ""
    return f"{found.count('ready')} of {len(states)} models ready{rest}"
