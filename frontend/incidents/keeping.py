"""The recorder of a running frontend, with all that it takes its parts from."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from frontend.dispatch.control import Control
from frontend.incidents.folder import Folder
from frontend.incidents.incident import Incident
from frontend.incidents.recorder import Recorder, Sources
from frontend.incidents.run_mark import RunMark
from ipc.messages.control import IncidentsConfig

logger = logging.getLogger(__name__)


class Keeping:
    """Where nothing is kept, it does nothing."""

    def __init__(
        self,
        config: IncidentsConfig,
        control: Control,
        sources: Sources,
        wall_s: Callable[[], float] = time.time,
    ) -> None:
        self._wall_s = wall_s
        self._mark = RunMark(Path(config.folder)) if config.folder else None
        folder = Folder.of(config)
        self._recorder: Recorder | None = None
        if folder is not None:

            def note(event: str, model: str | None, facts: dict[str, Any]) -> None:
                control.note(event, model, **facts)

            self._recorder = Recorder(folder, control.events, sources, note)

    async def run(self) -> None:
        """Until it is cancelled."""
        if self._recorder is not None:
            await self._recorder.run(await asyncio.to_thread(self._before))

    def end(self) -> None:
        """The server stops, as somebody wants it to."""
        if self._mark is not None:
            self._mark.remove()

    def _before(self) -> Incident | None:
        assert self._mark is not None
        try:
            return self._mark.set(self._wall_s())
        except OSError as error:
            logger.warning("incidents_not_kept", extra={"why": str(error)})
            return None
