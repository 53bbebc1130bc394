"""The frontend's end of one worker generation: jobs out, events in, and an eye on what breaks.

What cannot be read, or a connection that breaks while its worker lives, means that events are
lost, terminal ones among them: jobs would wait for their deadlines. So the link says that it is
broken, once, and hears no more; whoever holds it has the worker replaced.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

import zmq

from ipc.sockets import Port, connect_dealer
from ipc.types import Event, Events
from ipc.wire import Decoder, WireError

logger = logging.getLogger(__name__)

# A worker that exits closes its socket just before: this long may lie between the two.
GRACE_S = 2.0
# All that a process has sent comes before the end of its connection, and that comes with its death
# unless another process holds the socket, too. Jobs of a dead worker wait no longer than this.
LAST_WORDS_S = 0.2

OnEvents = Callable[[list[Event]], None]
OnBroken = Callable[[str], None]
OnEnd = Callable[[], None]


class Link:
    """A socket to one worker. Owns it, and closes it."""

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        endpoint: str,
        identity: str,
        on_events: OnEvents,
        on_broken: OnBroken,
    ) -> None:
        self._socket = connect_dealer(context, endpoint, identity, hwm=0)
        self._on_events = on_events
        self._on_broken = on_broken
        self._decoder = Decoder[Events](Events)
        self._heard = True
        self._connected = True
        self._on_end: OnEnd | None = None
        self._alarm: asyncio.TimerHandle | None = None
        # ZeroMQ drops a peer that sends more than it may, and connects again without a word.
        monitor = self._socket.get_monitor_socket(zmq.EVENT_DISCONNECTED)
        self._monitor = Port(monitor, lambda _: self._on_disconnected())
        self._port = Port(self._socket, self._on_frames)

    def send(self, frames: list[bytes]) -> bool:
        """As `Port.send`."""
        return self._port.send(frames)

    def hear_out(self, on_end: OnEnd) -> None:
        """The worker is dead. The news of that took another way than its last words, which may
        still be unread: they are passed on first, and then ``on_end`` is called, once."""
        self._on_end = on_end
        if self._heard and self._connected:
            self._set_alarm(LAST_WORDS_S, self._end)
        else:
            self._end()

    def close(self) -> None:
        self._heard = False
        if self._alarm is not None:
            self._alarm.cancel()
        self._socket.disable_monitor()
        self._monitor.close()
        self._port.close()

    def _on_frames(self, frames: list[bytes]) -> None:
        if not self._heard:
            return
        try:
            events = self._decoder.decode(frames).events
        except WireError as error:
            self._break(f"it sends what cannot be read: {error}")
            return
        self._on_events(events)

    def _on_disconnected(self) -> None:
        self._connected = False
        if self._on_end is not None:
            self._end()
        elif self._heard and self._alarm is None:
            self._set_alarm(GRACE_S, lambda: self._break("its connection broke"))

    def _set_alarm(self, seconds: float, act: Callable[[], None]) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm = asyncio.get_running_loop().call_later(seconds, act)

    def _break(self, why: str) -> None:
        if self._heard:
            self._heard = False
            self._on_broken(why)

    def _end(self) -> None:
        on_end, self._on_end = self._on_end, None
        if on_end is not None:
            for frames in self._port.rest():
                self._on_frames(frames)
            on_end()
