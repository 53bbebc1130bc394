"""Requests that were in hand when their worker crashed, remembered by fingerprint.

SDKs repeat a request that failed with 503. Where the request itself is what kills the worker, each
repeat kills the next one. So a request that was in a crash is suspected, and runs alone the next
time: then a second crash is its own doing and nobody else's. It is refused for ten minutes. One
that completes is cleared.

Pure: the table takes the time and decides. Every fingerprint leaves it ten minutes after its last
crash, and the oldest leave where there are too many.
"""

from __future__ import annotations

import hashlib
import math

import msgspec

from ipc.errors import PoisonRequest
from ipc.types import Blob, Job

CRASHES = 2
HOLD_S = 600.0
LIMIT = 1024

Fingerprint = bytes


def fingerprint(job: Job) -> Fingerprint:
    """What ``job`` asks of which model, as 16 bytes: the same for each repeat of a request."""
    return _digest(msgspec.msgpack.encode((job.model, job.input), enc_hook=_blob_digest))


def _blob_digest(blob: Blob) -> bytes:
    return _digest(blob.data)


def _digest(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=16).digest()


class Quarantine:
    """Who is suspected, and who is held."""

    def __init__(self) -> None:
        self._crashes: dict[Fingerprint, list[float]] = {}

    def __len__(self) -> int:
        return len(self._crashes)

    def suspect(self, found: Fingerprint, now: float) -> None:
        """It was in a worker's hands when that crashed."""
        recent = [at for at in self._crashes.pop(found, []) if now - at < HOLD_S]
        self._crashes[found] = [*recent[-CRASHES + 1 :], now]
        if len(self._crashes) > LIMIT:
            del self._crashes[next(iter(self._crashes))]

    def clear(self, found: Fingerprint) -> None:
        """It has completed, so it was not that."""
        self._crashes.pop(found, None)

    def suspects(self, found: Fingerprint) -> bool:
        """Whether it should run alone."""
        return found in self._crashes

    def held(self, found: Fingerprint, now: float) -> PoisonRequest | None:
        """What to answer to one that is refused; None where it is not."""
        times = self._crashes.get(found, [])
        if len(times) < CRASHES:
            return None
        left_s = times[-1] + HOLD_S - now
        return PoisonRequest(
            f"this request was being worked on at each of the last {CRASHES} crashes of its "
            f"worker, so it is refused for {math.ceil(left_s / 60)} more minutes; change it, and "
            "tell the operator: the log has the crashes"
        )

    def forget(self, now: float) -> None:
        """Release those whose time is over."""
        over = [found for found, times in self._crashes.items() if now - times[-1] >= HOLD_S]
        for found in over:
            del self._crashes[found]
