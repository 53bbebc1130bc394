"""Threads that leave signals alone."""

from __future__ import annotations

import signal
import threading


def start(thread: threading.Thread) -> None:
    """Start ``thread``. What stops the server is for the main thread, also while that holds it
    back."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    thread.start()
    signal.pthread_sigmask(signal.SIG_SETMASK, before)
