"""What operators ask of a running server, as the frontend passes it on, and what they are told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ipc.messages.admin import (
    Ask,
    GetHealth,
    LoadModel,
    PinModel,
    RestartModel,
    Told,
    UnloadModel,
    Wish,
)
from ipc.messages.errors import ServeError
from supervisor.residency.loader import Loader

Report = dict[str, Any]


class Wishes:
    """Passes them on to whoever decides. ``report`` samples everything; ``settle`` has done what
    was decided, and tells how that model stands then."""

    def __init__(
        self, report: Callable[[], Report], loader: Loader, settle: Callable[[str], Report]
    ) -> None:
        self._report = report
        self._loader = loader
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
            case LoadModel():
                self._loader.load(wish.model, wish.keep_s)
            case UnloadModel():
                self._loader.unload(wish.model, force=wish.force)
            case PinModel():
                self._loader.pin(wish.model, pinned=wish.pinned)
            case RestartModel():
                self._loader.restart(wish.model)
        return self._settle(wish.model)
