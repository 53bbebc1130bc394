"""Measures workers and keeps what they take, in a thread of its own: a slow or full disk, or a
process whose memory takes long to add up, keeps nobody waiting."""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import psutil

from ipc.messages.spec import Spec
from ipc.runtime.document import InUse, NewerSchema, Writer
from supervisor.host import gpu_memory
from supervisor.state import background
from supervisor.state.footprints import SCHEMA, Footprint, Footprints, Subject, find, learned

logger = logging.getLogger(__name__)

END_S = 2.0  # how long the last measurements may take to be written
_MOST_WAITING = 64

# The private and the most resident bytes of a process and its children, and those of the device;
# None if it has gone.
Measure = Callable[[int, str], tuple[int, int | None, int | None] | None]


class Recorder:
    """Owns footprints.json in the state folder from `begin` to `end`.

    ``weights`` tells the models' files apart: `weights_digest` by the model's name. Without a
    folder, and if its file cannot be written, what is measured is known until the end.
    """

    def __init__(
        self, folder: Path | None, weights: Mapping[str, str], measure: Measure | None = None
    ) -> None:
        self._writer = Writer(folder, SCHEMA) if folder else None
        self._weights = dict(weights)
        self._measure = measure or memory
        self._known: Footprints = ()
        self._seen: set[Subject] = set()  # measured in this run
        self._warned = False
        self._todo: queue.Queue[tuple[Spec, int, float | None] | None] = queue.Queue(_MOST_WAITING)
        self._thread = threading.Thread(target=self._work, name="footprints", daemon=True)

    def begin(self) -> None:
        background.start(self._thread)

    def know(self, model: str, weights: str) -> None:
        """A model has come, or has other files."""
        self._weights[model] = weights

    def measure(self, spec: Spec, pid: int, load_s: float | None = None) -> None:
        """Measure the worker ``pid`` of ``spec`` soon, if it is still there then. Its load took
        ``load_s``."""
        with contextlib.suppress(queue.Full):
            self._todo.put_nowait((spec, pid, load_s))

    def footprint(self, spec: Spec) -> Footprint | None:
        """What a worker of ``spec`` was last measured to take."""
        return find(self._known, self._subject(spec))

    def end(self) -> None:
        """Write what has been measured, unless that takes too long."""
        with contextlib.suppress(queue.Full):
            self._todo.put_nowait(None)
        self._thread.join(END_S)

    def _work(self) -> None:
        self._open()
        while (todo := self._todo.get()) is not None:
            self._record(*todo)
        if self._writer is not None:
            self._writer.close()

    def _open(self) -> None:
        if self._writer is None:
            return
        try:
            self._writer.open()
        except (InUse, NewerSchema, OSError) as error:
            self._warn(error)
            self._writer = None
            return
        if aside := self._writer.moved_aside:
            logger.warning("state_damaged", extra={"moved_to": str(aside)})
        self._known = self._writer.content or ()

    def _record(self, spec: Spec, pid: int, load_s: float | None) -> None:
        if (found := self._measure(pid, spec.device)) is None:
            return
        subject = self._subject(spec)
        private_bytes, peak_bytes, device_bytes = found
        new = Footprint(
            subject=subject,
            private_bytes=private_bytes,
            peak_bytes=peak_bytes,
            measured_at=int(time.time()),
            device_bytes=device_bytes,
            load_s=load_s,
        )
        self._known = known = learned(self._known, new, first=subject not in self._seen)
        self._seen.add(subject)
        if self._writer is not None:
            try:
                self._writer.write(known)
            except OSError as error:
                self._warn(error)

    def _warn(self, error: Exception) -> None:
        """Say once that something is not kept; a disk that is full now may have room later."""
        if not self._warned:
            logger.warning("state_not_kept", extra={"why": str(error)})
        self._warned = True

    def _subject(self, spec: Spec) -> Subject:
        return Subject.of(spec, self._weights.get(spec.name, ""))


def memory(pid: int, device: str) -> tuple[int, int | None, int | None] | None:
    """Of the process and all that it has started: private bytes, the sum of the most that each had
    resident, and bytes of a GPU, where the system and the driver tell. None if it has gone."""
    try:
        worker = psutil.Process(pid)
        everyone = [worker, *worker.children(recursive=True)]
        private_bytes = sum(one.memory_full_info().uss for one in everyone)
    except psutil.Error:
        return None
    peaks = [peak for one in everyone if (peak := _peak_bytes(one.pid)) is not None]
    peak_bytes = sum(peaks) if len(peaks) == len(everyone) else None
    on_gpu = device.startswith("cuda")
    pids = {one.pid for one in everyone}
    return private_bytes, peak_bytes, gpu_memory.used_bytes(device, pids) if on_gpu else None


def _peak_bytes(pid: int) -> int | None:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return None
    for line in status.splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) << 10
    return None
