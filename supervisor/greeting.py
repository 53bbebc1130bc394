"""What a start says on a terminal in place of the log: where, what is ready, what to try."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

from ipc.messages.spec import Spec
from supervisor.example import curl
from supervisor.plan import Plan

_DEFAULT_PORT = 8000
_LAUNCHER = Path(__file__).parents[1] / "bin" / "edge-serve"


def _print(line: str) -> None:
    print(line, file=sys.stderr)


def command() -> str:
    """What to type for this edge-serve: a checkout is in nobody's PATH."""
    if not _LAUNCHER.exists():
        return "edge-serve"
    here = _LAUNCHER.parents[1] == Path.cwd()
    return "bin/edge-serve" if here else str(_LAUNCHER)


class Greeting:
    """A line for the address, one for each model with the time that it took, one to go on with.

    Silent unless ``plan`` asks for it.
    """

    def __init__(
        self,
        plan: Plan,
        say: Callable[[str], None] = _print,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._wanted = plan.greet
        self._specs = plan.serve.specs
        self._gate = plan.serve.gate
        self._drain_s = plan.drain_s
        self._say = say
        self._clock = clock
        self._began_at = clock()
        self._greeted: set[str] = set()
        self._listening = False
        self._early: list[str] = []  # of models that were quicker than the frontend

    def on_listening(
        self, url: str, ollama_url: str | None = None, wyoming_url: str | None = None
    ) -> None:
        if self._listening:  # a frontend that was replaced: it listens at the same place
            return
        self._listening = True
        more = [f"with Ollama's API on {ollama_url}"] if ollama_url else []
        more += [f"for voice assistants, by Wyoming, on {wyoming_url}"] if wyoming_url else []
        asleep = [
            self._line(spec, "loaded when asked for")
            for spec in self._specs
            if spec.load != "always"
        ]
        told = f"edge-serve listens on {url}; Ctrl-C stops it"
        for line in (told, *more, *self._early, *asleep):
            self._tell(line)

    def on_ready(self, model: str) -> None:
        """``model`` can serve. Told once, of those that the start was for: what happens later is a
        matter of the log."""
        found = next((spec for spec in self._specs if spec.name == model), None)
        if found is None or found.load != "always" or model in self._greeted:
            return
        self._greeted.add(model)
        took_s = self._clock() - self._began_at
        line = self._line(found, f"ready in {took_s:.1f} s")
        if self._listening:
            self._tell(line)
        else:
            self._early.append(line)

    def _line(self, spec: Spec, what: str) -> str:
        width = max(len(each.name) for each in self._specs)
        return f"  {spec.name:<{width}}  {spec.task:<6}  {what}"

    def on_all_ready(self, url: str, port: int) -> None:
        """What to try: a chat where there is a chat model, else a request."""
        if any(spec.task == "chat" for spec in self._specs):
            key = "EDGE_SERVE_API_KEY=... " if self._gate.api_keys else ""
            option = "" if port == _DEFAULT_PORT else f" --port {port}"
            self._tell(f"try in another terminal: {key}{command()} chat{option}")
        else:
            self._tell(f"try: {curl(url, self._specs, self._gate)}")

    def on_stop(self, *, again: bool) -> None:
        if again:
            self._tell("ending unfinished answers now")
        else:
            wait = f"within {self._drain_s:g} s; Ctrl-C again ends them now"
            self._tell(f"stopping: unfinished answers end {wait}")

    def _tell(self, line: str) -> None:
        if self._wanted:
            self._say(line)
