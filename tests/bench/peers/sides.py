"""edge-serve and its peers as the measurements see them: something that is asked."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from tests.bench.box import Box
from tests.bench.peers.known import Files
from tests.bench.peers.servers import Running

OURS = "edge-serve"


@dataclass(frozen=True)
class Side:
    """One that answers ``path`` on ``port`` for ``model``."""

    name: str
    port: int
    path: str
    model: str
    cpu_s: Callable[[], float]
    rss_mb: Callable[[], Awaitable[float]]
    pid: int  # of the first of its processes


def ours(box: Box, path: str, model: str) -> Side:
    async def rss_mb() -> float:
        report = await box.health()
        workers = [replica for entry in report["models"] for replica in entry["replicas"]]
        processes = [report["supervisor"], report["frontend"], *workers]
        return float(sum(process["rss_mb"] for process in processes))

    return Side(OURS, box.port, path, model, box.cpu_s, rss_mb, box.pid)


def theirs(one: Running, files: Files) -> Side:
    async def rss_mb() -> float:
        return one.rss_mb()

    peer = one.peer
    return Side(peer.name, one.port, peer.path, peer.model(files), one.cpu_s, rss_mb, one.pid)
