"""What a running server says of itself now, by the same routes as its page."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from supervisor.cli import answers, fleet_table
from supervisor.cli.client import Unreached, ask, events

if TYPE_CHECKING:
    from httpx2 import Client

KEPT_EVENTS = 50
REFUSED_S = 30.0


class Looker:
    """Remembers what makes one look differ from the one before: counts, and the last events."""

    def __init__(self, client: Client, url: str) -> None:
        self._client = client
        self._url = url
        self._counted: tuple[float, dict[int, int]] = (0.0, {})
        self._server: int | None = None  # its supervisor's process
        self._refused_until = 0.0
        self._events: list[dict[str, Any]] = []

    def look(self) -> dict[str, Any]:
        """All of it: of GET /health, the requests that are worked on, and the last events, newest
        first; None for what is only for operators. ``rates`` has the tokens a second of each model,
        once it has been looked at twice. Raises `Unreached`."""
        report = ask(self._client, "/health", answers.Health)
        self._meet((report.get("supervisor") or {}).get("pid"))
        return {
            "url": self._url,
            "time": round(time.time(), 3),
            **report,
            "rates": self._rates(report),
            "requests": self._of_operators(self._requests),
            "events": self._of_operators(self._last_events),
        }

    def _meet(self, server: int | None) -> None:
        """Another server counts its events anew, and may have other operators."""
        if server != self._server:
            self._server = server
            self._refused_until = 0.0
            self._events = []

    def _rates(self, report: dict[str, Any]) -> dict[str, float]:
        now, counted = time.monotonic(), fleet_table.tokens(report)
        before_s, before = self._counted
        rates = fleet_table.rates(before, counted, now - before_s)
        self._counted = now, counted
        found: dict[str, float] = {}
        for model in report.get("models") or []:
            own = [
                rates[one["pid"]] for one in model.get("replicas") or [] if one.get("pid") in rates
            ]
            if own:
                found[str(model.get("name"))] = round(sum(own), 1)
        return found

    def _of_operators(
        self, asks: Callable[[], list[dict[str, Any]]]
    ) -> list[dict[str, Any]] | None:
        """None for a while from a refusal on: each is a line in the server's log."""
        if time.monotonic() < self._refused_until:
            return None
        try:
            return asks()
        except Unreached:
            self._refused_until = time.monotonic() + REFUSED_S
            return None

    def _requests(self) -> list[dict[str, Any]]:
        told = ask(self._client, "/admin/requests?limit=1", answers.Requests)
        return [one for one in told["requests"] if one.get("stage") != "ended"]

    def _last_events(self) -> list[dict[str, Any]]:
        known = self._events[0]["seq"] if self._events else 0
        query: dict[str, str | int] = {"after": known, "follow": "false"}
        fresh = events(self._client, "/admin/events", answers.Event, **query)
        self._events = [*reversed([*fresh]), *self._events][:KEPT_EVENTS]
        return self._events
