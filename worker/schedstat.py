"""For how long threads of this process have waited for a processor, as the kernel counts it."""

from __future__ import annotations

from pathlib import Path

# Of a thread: on a processor, waiting for one (both nanoseconds), time slices; see "sched-stats" in
# the kernel's documentation.
_NAME = "schedstat"
_THREADS = Path("/proc/self/task")
_THIS = Path("/proc/thread-self")


def waited_s() -> float:
    """The seconds that this thread has waited in its life; 0 where nobody counts them."""
    return _waited_s(_THIS)


def waits_s() -> dict[str, float]:
    """The same of each thread of this process, by its number."""
    try:
        return {thread.name: _waited_s(thread) for thread in _THREADS.iterdir()}
    except OSError:
        return {}


def _waited_s(thread: Path) -> float:
    try:
        return int((thread / _NAME).read_text().split()[1]) / 1e9
    except (OSError, IndexError, ValueError):
        return 0.0
