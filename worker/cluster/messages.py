"""What a box's worker and a replica say to each other, as frames of `ipc.transport.wire`."""

from __future__ import annotations

import msgspec

from ipc.messages.events import Events
from ipc.messages.jobs import Job
from ipc.messages.spec import Loaded
from ipc.transport.wire import Decoder

# A replica says this often that it lives while it says nothing else of a job.
BEAT_S = 0.5
# And is given up without a word for a multiple of how far words were apart lately, between these.
SILENT_LEAST_S = 2.0
SILENT_S = 5.0
# Before its first word a call may wait for a replica with room, or for one that stands still, and
# nobody knows which. So it is made anew after so long, and twice as long each time: a cluster that
# is slow is to be heard out.
FIRST_S = 5.0

# For how long a replica waits to be let go by a caller that has all of its answer: one that is not
# heard of by then is cut off, or has died.
LET_GO_S = 5.0

BEAT: list[bytes] = []

jobs = Decoder[Job](Job)
events = Decoder[Events](Events)


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What a replica runs, by the digest that its box has for it, and what it found out."""

    digest: str
    loaded: Loaded
