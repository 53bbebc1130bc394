"""One child process: started by argv, watched by its pidfd, measured by psutil.

A child leads a session of its own, so a terminal's Ctrl-C does not reach it and one signal reaches
it with everything it started. It never shares our sockets or pipes except those passed on purpose.
"""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

import psutil

from supervisor.children import cpu_share, orphans
from supervisor.children.output import Output

CPU_STRETCH_S = 1.0


@dataclass(frozen=True, slots=True)
class Vitals:
    """One sample of a process, from psutil."""

    rss_bytes: int
    cpu_percent: float
    threads: int
    fds: int
    status: str

    def report(self) -> dict[str, float | int | str]:
        """The sample as /health prints it."""
        return {
            "rss_mb": round(self.rss_bytes / 2**20, 1),
            "cpu_percent": round(self.cpu_percent, 1),
            "threads": self.threads,
            "fds": self.fds,
            "status": self.status,
        }


class Percent:
    """A CPU percentage, read over stretches of at least a second: a shorter one would mostly show
    the work of asking for it."""

    def __init__(
        self, read: Callable[[], float], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._read = read
        self._clock = clock
        self._value = read()
        self._at = clock()

    def __call__(self) -> float:
        now = self._clock()
        if now - self._at >= CPU_STRETCH_S:
            self._value, self._at = self._read(), now
        return self._value


def sample(process: psutil.Process, cpu: Percent) -> Vitals | None:
    """The process's vitals now, or None when it is gone."""
    try:
        with process.oneshot():
            return Vitals(
                rss_bytes=process.memory_info().rss,
                cpu_percent=cpu(),
                threads=process.num_threads(),
                fds=process.num_fds(),
                status=process.status(),
            )
    except psutil.Error:
        return None


# By these a process ends itself, through a fault in its code or abort(3). Any other that ends it
# was sent.
OWN_SIGNALS = frozenset(
    {
        signal.SIGSEGV,
        signal.SIGABRT,
        signal.SIGBUS,
        signal.SIGFPE,
        signal.SIGILL,
        signal.SIGTRAP,
        signal.SIGSYS,
        signal.SIGPIPE,
        signal.SIGXCPU,
        signal.SIGXFSZ,
    }
)


@dataclass(frozen=True, slots=True)
class Exit:
    """How a process ended. ``by``: the signal that did it, where somebody else than we sent it."""

    reason: str
    by: int | None = None


class Process:
    """A running child. ``on_exit`` is called once, on the loop, when it has ended."""

    def __init__(
        self,
        argv: Sequence[str],
        env: Mapping[str, str],
        pass_fds: Sequence[int],
        on_exit: Callable[[Exit], None],
        output: Output | None = None,
        *,
        prints: bool = True,
    ) -> None:
        """Start it; ``output`` takes what it ``prints``, else that goes where ours does. The
        supervisor's main thread must call this: the kernel's parent-death signal belongs to the
        thread that spawned, not to the process. Raises `OSError`."""
        read_end, self._lifeline = os.pipe()
        self._output = output
        prints_to = output.fd if output is not None and prints else None
        try:
            self._popen = subprocess.Popen(
                [
                    *(*orphans.armed(), *argv),
                    *("--parent", str(os.getpid()), "--lifeline-fd", str(read_end)),
                ],
                env=dict(env),
                stdin=subprocess.DEVNULL,
                stdout=prints_to,
                stderr=prints_to,
                pass_fds=[read_end, *pass_fds],
                start_new_session=True,
            )
        except OSError:
            os.close(self._lifeline)
            raise
        finally:
            os.close(read_end)
        self.pid = self._popen.pid
        try:
            self._psutil = psutil.Process(self.pid)
            self._cpu = Percent(self._psutil.cpu_percent)
            self._pidfd = os.pidfd_open(self.pid)
        except (OSError, psutil.Error) as error:
            # Out of descriptors, say: nobody could watch it, so it must not run.
            self._popen.kill()
            self._popen.wait()
            os.close(self._lifeline)
            raise OSError(getattr(error, "errno", None) or errno.EIO, str(error)) from error
        self._on_exit = on_exit
        self._sent: set[int] = set()
        self._suspended_at: float | None = None
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._pidfd, self._reap)

    def send_signal(self, number: signal.Signals) -> None:
        """SIGKILL takes the whole group along; other signals are for the process to handle."""
        self._sent.add(number)
        try:
            if number is signal.SIGKILL:
                os.killpg(self.pid, number)
            else:
                self._popen.send_signal(number)
        except ProcessLookupError:
            pass  # it has just gone by itself; its exit is on the way

    def be_nice(self, nice: int) -> None:
        """Leave more of the processors to others. To be called when it has just been started."""
        cpu_share.be_nice(self.pid, nice)

    def let_others_first(self) -> None:
        """Have the least of the processors. To be called when it has just been started."""
        cpu_share.let_others_first(self.pid)

    def be_nice_again(self, nice: int) -> None:
        """Take that back, for all its threads."""
        cpu_share.be_nice_again(self.pid, nice)

    def sample(self) -> Vitals | None:
        return sample(self._psutil, self._cpu)

    def rss_mb(self) -> float | None:
        """Its resident memory, or None when it is gone."""
        try:
            return float(self._psutil.memory_info().rss) / 2**20
        except psutil.Error:
            return None

    def work_done(self) -> float:
        """How much the system accounts to the process: CPU seconds plus MiB read."""
        try:
            times, io = self._psutil.cpu_times(), self._psutil.io_counters()
        except (psutil.Error, AttributeError):
            return 0.0
        return float(times.user + times.system + io.read_chars / 2**20)

    def suspended_s(self, now: float) -> float:
        """How long it has been found stopped, by a signal or a debugger; 0 while it runs."""
        try:
            stopped = self._psutil.status() in (psutil.STATUS_STOPPED, psutil.STATUS_TRACING_STOP)
        except psutil.Error:
            stopped = False
        if not stopped:
            self._suspended_at = None
            return 0.0
        self._suspended_at = self._suspended_at or now
        return now - self._suspended_at

    def resume(self) -> None:
        """Forget since when it has been stopped: nobody was there to see."""
        self._suspended_at = None

    def _reap(self) -> None:
        self._loop.remove_reader(self._pidfd)
        os.close(self._pidfd)
        os.close(self._lifeline)
        end = ended(self._popen.wait(), self._sent)
        if self._output is not None:
            self._output.read()  # its last words come before what is said of its end
        # Whatever it started and left behind must not outlive it.
        self.send_signal(signal.SIGKILL)
        self._on_exit(end)


def ended(status: int, sent: Collection[int]) -> Exit:
    """What ``status`` of `subprocess` says of one to whom we have ``sent`` these signals."""
    if status >= 0:
        return Exit(f"exited with status {status}")
    try:
        number = signal.Signals(-status)
    except ValueError:  # a real-time signal has no name
        return Exit(f"killed by signal {-status}", -status)
    sender = None if number in sent or number in OWN_SIGNALS else number
    return Exit(f"killed by {number.name}", sender)


def python(module: str) -> list[str]:
    """The start of an argv that runs ``module`` with this interpreter."""
    # -P: a folder called "worker" in the current directory must not be taken for ours.
    return [sys.executable, "-P", "-m", module]
