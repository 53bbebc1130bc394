"""Watches what happens to the server, and writes a file of each incident.

Off the way of every request: it wakes with an event, what takes time is done in threads, and a
slow disk or a supervisor that does not answer costs a part of a file and nothing else.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeVar

from frontend.dispatch.event_feed import EventFeed
from frontend.incidents import machine
from frontend.incidents.detection import SETTLE_S, Detection
from frontend.incidents.document import WINDOW_S, Evidence, document, processes_of
from frontend.incidents.folder import Folder
from frontend.incidents.incident import Incident
from frontend.incidents.words import in_words
from frontend.store.database import Unavailable
from ipc.messages.admin import BoxEvent
from ipc.messages.errors import ServeError

logger = logging.getLogger(__name__)

T = TypeVar("T")
PART_S = 10.0  # for each part of a file
LOG_LINES = 300


class Sources(Protocol):
    """Where the parts of a file come from. Any may raise `ServeError`, `Unavailable` or `OSError`,
    or take too long."""

    async def requests(self, since_s: float) -> list[dict[str, Any]]: ...

    async def events(self, since_s: float) -> list[BoxEvent]: ...

    async def samples(self, since_s: float) -> list[dict[str, Any]]: ...

    async def report(self) -> dict[str, Any]: ...

    async def log(self, process: str, tail: int) -> list[str]: ...

    def settings(self) -> dict[str, Any]: ...

    def specs(self) -> list[dict[str, Any]]: ...


class Recorder:
    """``note`` tells that a file was written."""

    def __init__(
        self,
        folder: Folder,
        feed: EventFeed,
        sources: Sources,
        note: Callable[[str, str | None, dict[str, Any]], None],
        wall_s: Callable[[], float] = time.time,
    ) -> None:
        self._folder = folder
        self._feed = feed
        self._sources = sources
        self._note = note
        self._wall_s = wall_s
        self._writing: set[asyncio.Task[None]] = set()

    async def run(self, before: Incident | None = None) -> None:
        """Until it is cancelled. ``before`` is what has become of the server before this one."""
        files = await asyncio.to_thread(self._folder.files)
        detection = Detection(one.known for one in files)
        if before is not None and detection.tell(before):
            self._begin(detection)
        async for event in self._feed.follow(0):
            if detection.on(event, self._wall_s()):
                self._begin(detection)

    def _begin(self, detection: Detection) -> None:
        task = asyncio.create_task(self._write_due(detection))
        self._writing.add(task)
        task.add_done_callback(self._writing.discard)

    async def _write_due(self, detection: Detection) -> None:
        await asyncio.sleep(SETTLE_S)
        for incident in detection.due():
            try:
                await self._write(incident)
            except OSError as error:  # a full disk, say: nothing that a stack would explain
                facts = {"incident": incident.id, "why": str(error)}
                logger.warning("incident_not_written", extra=facts)
            except Exception:  # of one file: the next incident has another
                logger.exception("incident_not_written", extra={"incident": incident.id})

    async def _write(self, incident: Incident) -> None:
        found = await self._gather(incident)
        told, size_bytes = await asyncio.to_thread(self._file, incident, found)
        facts = {"id": incident.id, "what": incident.what, "told": told, "bytes": size_bytes}
        logger.warning("incident", extra={"incident": incident.id, "told": told})
        self._note("incident", incident.model, facts)

    def _file(self, incident: Incident, found: Evidence) -> tuple[str, int]:
        """In a thread of its own: reads what the machine tells, writes the file."""
        found.machine = {
            "processor": machine.processor(),
            "memory": machine.memory(),
            "kernel_log": machine.kernel_log(WINDOW_S + self._wall_s() - incident.time_s),
        }
        found.versions = machine.versions()
        told = document(incident, found)
        told["told"] = in_words(incident, told["in_hand"], told["went_on"], told["refused"])
        data = gzip.compress(json.dumps(told).encode())
        self._folder.write(incident.id, data)
        return told["told"], len(data)

    async def _gather(self, incident: Incident) -> Evidence:
        its, since_s = self._sources, incident.time_s - WINDOW_S
        found = Evidence(settings=its.settings(), specs=its.specs())

        async def part(name: str, coming: Awaitable[T], otherwise: T) -> T:
            try:
                async with asyncio.timeout(PART_S):
                    return await coming
            except (ServeError, Unavailable, OSError) as error:  # `TimeoutError` is one
                found.missing[name] = str(error) or type(error).__name__
                return otherwise

        found.report = await part("processes", its.report(), {})
        found.requests = await part("requests", its.requests(since_s), [])
        found.events = await part("events", its.events(since_s), [])
        found.samples = await part("samples", its.samples(since_s), [])
        for process in processes_of(incident, found.report):
            found.logs[process] = await part(f"log of {process}", its.log(process, LOG_LINES), [])
        return found
