"""Requests that were in hand when their worker crashed, remembered by fingerprint.

SDKs repeat a request that failed with 503. Where the request itself is what kills the worker, each
repeat kills the next one. So a request that was in a crash is suspected, and the next time runs
alone if that can be without keeping others waiting: then a second crash is its own doing and nobody
else's, and it is refused for ten minutes. In company with others it takes a third. Two suspects
never run together, so an innocent one is not in the third crash of another. One that completes is
cleared. Only crashes count that were the worker's own doing: a kill from outside proves nothing.

Pure: the table takes the time and decides. Every fingerprint leaves it ten minutes after its last
crash, and the oldest leave where there are too many.
"""

from __future__ import annotations

import hashlib
import math

import msgspec

from ipc.messages.blob import Blob
from ipc.messages.errors import PoisonRequest
from ipc.messages.jobs import Job, is_live

CRASHES = 2  # the last of them alone
CRASHES_IN_COMPANY = 3
HOLD_S = 600.0
LIMIT = 1024

Fingerprint = bytes


def fingerprint(job: Job) -> Fingerprint:
    """What ``job`` asks of which model, as 16 bytes: the same for each repeat of a request. Live
    sound is not known, so such a job is like no other; a recording that follows its job is known by
    its beginning and its length."""
    own = job.id if is_live(job.input) else ""
    return _digest(msgspec.msgpack.encode((job.model, job.input, own), enc_hook=_blob_digest))


def _blob_digest(blob: Blob) -> bytes:
    return _digest(blob.data)


def _digest(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=16).digest()


class Quarantine:
    """Who is suspected, and who is held."""

    def __init__(self) -> None:
        self._crashes: dict[Fingerprint, list[float]] = {}
        self._proven: set[Fingerprint] = set()

    def __len__(self) -> int:
        return len(self._crashes)

    def suspect(self, found: Fingerprint, now: float, *, alone: bool) -> bool:
        """It was in a worker's hands when that crashed, perhaps ``alone``. Whether that proves that
        it was the cause."""
        recent = [at for at in self._crashes.pop(found, []) if now - at < HOLD_S]
        self._crashes[found] = times = [*recent[-CRASHES_IN_COMPANY + 1 :], now]
        if len(times) >= (CRASHES if alone else CRASHES_IN_COMPANY):
            self._proven.add(found)
        if len(self._crashes) > LIMIT:
            self.clear(next(iter(self._crashes)))
        return found in self._proven

    def clear(self, found: Fingerprint) -> None:
        """It has completed, so it was not that."""
        self._crashes.pop(found, None)
        self._proven.discard(found)

    def suspects(self, found: Fingerprint) -> bool:
        """Whether it should run alone."""
        return found in self._crashes

    def held(self, found: Fingerprint, now: float) -> PoisonRequest | None:
        """What to answer to one that is refused; None where it is not."""
        if found not in self._proven:
            return None
        times = self._crashes[found]
        left_s = times[-1] + HOLD_S - now
        return PoisonRequest(
            f"this request was being worked on at each of the last {len(times)} crashes of its "
            f"worker, so it is refused for {math.ceil(left_s / 60)} more minutes; change it, and "
            "tell the operator: the log has the crashes"
        )

    def forget(self, now: float) -> None:
        """Release those whose time is over."""
        over = [found for found, times in self._crashes.items() if now - times[-1] >= HOLD_S]
        for found in over:
            self.clear(found)
