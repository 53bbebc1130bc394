"""Where the boxes of a cluster meet over one model: each says there what it wants of its replicas,
and the first box how they stand. It is in the control service, by which all are let in anyway."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

import msgspec
from msgspec.structs import replace

from ipc.cluster import Member
from ipc.messages.control import Shared, Wanted
from ipc.messages.spec import Spec
from worker.cluster.control import Control
from worker.cluster.placement import app_of
from worker.cluster.sharing import SAID_AGAIN_S, Heard, Replicas, Said, shared

logger = logging.getLogger(__name__)

TURN_S = 1.0
# A replica for which no box has had room for so long will not come.
NO_ROOM_S = 60.0


class Meeting:
    """Owns what this box says of ``served``. ``tell`` is called with how the model stands, each
    time that is news; ``unheard_s`` says for how long the oldest call waits for its first word."""

    def __init__(
        self,
        served: Spec,
        member: Member,
        tell: Callable[[Shared], None],
        unheard_s: Callable[[], float],
        control: Control | None = None,
    ) -> None:
        self._served = served
        self._member = member
        self._tell = tell
        self._unheard_s = unheard_s
        self._control = control or Control()
        self._heard = Heard()
        self._said = Said(wanted=Wanted())
        self._said_at = 0.0
        self._told: Shared | None = None
        self._lacking_since: float | None = None
        self._lock = threading.Lock()
        self._wanted = Wanted()
        self._scale: int | None = None
        self._news = threading.Event()
        self._ended = False
        self._answered_at = time.monotonic()

    # --- from any thread ---

    def on_wanted(self, wanted: Wanted) -> None:
        """This box's clients want so much."""
        with self._lock:
            self._wanted = wanted

    def on_scale(self, replicas: int) -> None:
        """There are to be so many."""
        with self._lock:
            self._scale = replicas
        self._news.set()

    def is_silent(self, for_s: float) -> bool:
        """Whether the control service has not answered for so long."""
        return time.monotonic() - self._answered_at >= for_s

    def end(self) -> None:
        self._ended = True
        self._news.set()

    # --- a thread of its own, since the control service may be away for long ---

    def run(self) -> None:
        """Until the end; while nobody answers, all is as it was."""
        answered = True
        while not self._ended:
            try:
                self._turn(time.monotonic())
                self._answered_at, answered = time.monotonic(), True
            except Exception as error:  # of many kinds, as many as there are parts to be away
                if answered:
                    logger.warning("cluster_silent", extra={"why": str(error)})
                answered = False
            self._news.wait(TURN_S)
            self._news.clear()

    def _turn(self, now: float) -> None:
        with self._lock:
            wanted, scale = self._wanted, self._scale
        wanted = replace(wanted, wait_s=max(wanted.wait_s, self._unheard_s()))
        replicas = self._as_first_box(scale, now) if self._member.is_head else None
        self._say(wanted, replicas, now)
        self._heard.note(self._of_others(), now)
        stands = replicas or self._heard.replicas
        if stands is not None:
            found = shared(
                wanted,
                self._heard.wanted(now),
                stands,
                self._served.credit,
                decides=self._member.is_head,
            )
            if found != self._told:
                self._told = found
                self._tell(found)

    def _as_first_box(self, scale: int | None, now: float) -> Replicas:
        if scale is not None:
            self._control.scale(self._served.name, scale)
            with self._lock:
                self._scale = None if self._scale == scale else self._scale
        count, ready, message = self._control.standing(self._served.name)
        self._lacking_since = (self._lacking_since or now) if ready < count else None
        lacks = self._lacking_since is not None and now - self._lacking_since > NO_ROOM_S
        why = (message or "no box has had room for it") if lacks else ""
        return Replicas(count=count, ready=ready, failed=why)

    def _say(self, wanted: Wanted, replicas: Replicas | None, now: float) -> None:
        """It is written to a disk: only what is news, or proves that this box is there."""
        said = Said(wanted=wanted, turn=self._said.turn, replicas=replicas)
        wants = wanted.waiting or wanted.in_hand
        if wants and now - self._said_at >= SAID_AGAIN_S:
            said = replace(said, turn=said.turn + 1)
        if said == self._said:
            return
        key = _prefix(self._served.name) + self._member.address
        self._control.keep(key, msgspec.json.encode(said))
        self._said, self._said_at = said, now

    def _of_others(self) -> dict[str, Said]:
        return {
            address: msgspec.json.decode(value, type=Said)
            for address, value in self._control.kept(_prefix(self._served.name)).items()
            if address != self._member.address
        }


def forget(model: str, control: Control | None = None) -> None:
    """The model has no replicas any more: nothing is left of what was said of it."""
    (control or Control()).forget(_prefix(model))


def _prefix(model: str) -> str:
    return f"{app_of(model)}/"
