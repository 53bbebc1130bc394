"""What operators ask of a running server, as the frontend passes it on, and what they are told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ipc.messages.admin import Ask, GetHealth, Told, Wish
from ipc.messages.errors import InvalidRequest, ServeError

Report = dict[str, Any]


class Wishes:
    """Grants them. ``report`` samples everything."""

    def __init__(self, report: Callable[[], Report]) -> None:
        self._report = report

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
            case _:
                raise InvalidRequest(f"this server cannot do that: {type(wish).__name__}")
