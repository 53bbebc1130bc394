"""What operators ask of a running server, as the frontend passes it on, and what they are told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ipc.messages.admin import (
    Ask,
    GetBox,
    GetHealth,
    LoadModel,
    PinModel,
    ReadLog,
    RestartModel,
    StopServer,
    Told,
    UnloadModel,
    Wish,
)
from ipc.messages.errors import ServeError
from supervisor.effects import Effects
from supervisor.residency.loader import Loader

Report = dict[str, Any]


class Wishes:
    """Passes them on to whoever decides. ``report`` samples everything; ``settle`` has done what
    was decided, and tells how that model stands then; ``stop`` has the server end soon."""

    def __init__(
        self,
        report: Callable[[], Report],
        loader: Loader,
        effects: Effects,
        settle: Callable[[str], Report],
        stop: Callable[[], Report],
    ) -> None:
        self._report = report
        self._loader = loader
        self._effects = effects
        self._stop = stop
        self._settle = settle

    def answer(self, ask: Ask) -> Told:
        """The one answer to ``ask``."""
        try:
            return Told(id=ask.id, report=self._grant(ask.wish))
        except ServeError as error:
            return Told(id=ask.id, error=error.info())

    def _grant(self, wish: Wish) -> Report:
        match wish:
            case GetHealth():
                return self._report()
            case GetBox():
                return self._effects.box()
            case ReadLog():
                return self._effects.log(wish.process, wish.tail, wish.after)._asdict()
            case StopServer():
                return self._stop()
            case LoadModel():
                self._loader.load(wish.model, wish.keep_s)
            case UnloadModel():
                self._loader.unload(wish.model, force=wish.force)
            case PinModel():
                self._loader.pin(wish.model, pinned=wish.pinned)
            case RestartModel():
                self._loader.restart(wish.model)
        return self._settle(wish.model)
