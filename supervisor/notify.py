"""systemd's notification protocol, sd_notify(3): one datagram to the socket that it names."""

from __future__ import annotations

import contextlib
import os
import socket

_KIND = socket.SOCK_DGRAM | socket.SOCK_NONBLOCK


class Notifier:
    """Tells systemd READY, STATUS and WATCHDOG; does nothing where nobody listens."""

    def __init__(self, environ: dict[str, str] | None = None) -> None:
        environ = dict(os.environ) if environ is None else environ
        address = environ.get("NOTIFY_SOCKET", "")
        # "@name" is an abstract socket, which the kernel writes with a leading NUL.
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._watchdog_s = int(environ.get("WATCHDOG_USEC", 0)) / 1e6
        self._pinged_at = 0.0

    def send(self, *lines: str) -> None:
        """Send assignments such as ``READY=1``. A slow or absent listener is never waited for."""
        if not self._address:
            return
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, _KIND) as out:
            out.sendto("\n".join(lines).encode(), self._address)

    def ping(self, now: float) -> None:
        """Say that the caller's loop turns, at a third of the interval that systemd allows."""
        if self._watchdog_s and now - self._pinged_at >= self._watchdog_s / 3:
            self._pinged_at = now
            self.send("WATCHDOG=1")
