"""The run folder and the control socket, without which the next child would be the last."""

from __future__ import annotations

import logging
from collections.abc import Callable

from supervisor.effects import Effects
from supervisor.run_dir import InUseError

logger = logging.getLogger(__name__)

# How long a run folder that was removed may fail to be made again.
RUN_DIR_S = 5.0


class SocketWatch:
    """Makes them again where they have gone; ``give_up`` is called where that cannot be."""

    def __init__(self, run_dir: str, effects: Effects, give_up: Callable[[], None]) -> None:
        self._run_dir = run_dir
        self._effects = effects
        self._give_up = give_up
        self._lost_at: float | None = None

    def look(self) -> None:
        if self._effects.sockets_are_there():
            self._lost_at = None
            return
        now = self._effects.now()
        try:
            self._effects.restore_sockets()
        except (InUseError, OSError) as error:
            self._lost_at = self._lost_at or now
            if isinstance(error, InUseError) or now - self._lost_at >= RUN_DIR_S:
                logger.error(
                    "the run folder was removed and cannot be made again (%s); stopping, as nobody "
                    "who dies could be replaced: start again, with another EDGE_SERVE_RUN_DIR if "
                    "this one does not last",
                    error,
                )
                self._give_up()
            return
        logger.warning("run_dir_restored", extra={"path": self._run_dir})
