"""The frontend's end of one worker generation: jobs out, events in, and an eye on what breaks.

A link is open from the end of ZeroMQ's handshake, which only the worker's own process can finish,
to the first break: what is sent before or after that may wait for ever in a queue of ZeroMQ's.

What cannot be read, a connection that breaks while its worker lives, and one that does not come
about mean that events are lost, terminal ones among them: jobs would wait for their deadlines. So
the link says that it is broken, once, and hears no more; whoever holds it has the worker replaced.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from functools import partial

import zmq
from zmq.utils.monitor import parse_monitor_message

from ipc.messages.events import Event, Events
from ipc.transport.sockets import Port, dealer
from ipc.transport.wire import Decoder, WireError

logger = logging.getLogger(__name__)

# A ready worker's socket is there, and takes a connection in a millisecond. The time is counted in
# turns of the loop: one that was stopped meanwhile has not waited.
CONNECT_S = 5.0
CONNECT_TURNS = 10
# A worker that exits closes its socket just before: this long may lie between the two.
GRACE_S = 2.0
# All that a process has sent comes before the end of its connection, and that comes with its death
# unless another process holds the socket, too. Jobs of a dead worker wait no longer than this.
LAST_EVENTS_S = 0.2

OnOpen = Callable[[bool], None]
OnEvents = Callable[[Sequence[Event]], None]
OnBroken = Callable[[str], None]
OnEnd = Callable[[], None]


class Link:
    """A socket to one worker. Owns it, and closes it.

    ``on_open`` is told when jobs may be sent, and when they may no longer be; ``on_end`` ends what
    `drain_events` began.
    """

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        endpoint: str,
        identity: str,
        on_open: OnOpen,
        on_events: OnEvents,
        on_broken: OnBroken,
        on_end: OnEnd,
    ) -> None:
        self._socket = dealer(context, identity, hwm=0)
        self._on_open = on_open
        self._on_events = on_events
        self._on_broken = on_broken
        self._decoder = Decoder[Events](Events)
        self._heard = True
        self._opened = self._lost = False
        self._on_end = on_end
        self._draining = False
        self._alarm: asyncio.TimerHandle | None = None
        # From before it connects: that is another thread's work, and may be done at once.
        # ZeroMQ drops a peer that sends more than it may, and connects again without a word.
        monitor = self._socket.get_monitor_socket(
            zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_DISCONNECTED
        )
        self._socket.connect(endpoint)
        self._monitor = Port(monitor, self._on_connection)
        self._port = Port(self._socket, self._on_frames)
        self._expect_connection(CONNECT_TURNS)

    def send(self, frames: list[bytes]) -> bool:
        """As `Port.send`."""
        return self._port.send(frames)

    def drain_events(self) -> None:
        """The worker is dead. The news of that took another way than its last events, which may
        still be unread: they are passed on first, and then ``on_end`` is called, once."""
        self._draining = True
        if self._heard and self._opened and not self._lost:
            self._set_alarm(LAST_EVENTS_S, self._end)
        else:
            self._end()

    def close(self) -> None:
        self._heard = False
        self._clear_alarm()
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

    def _on_connection(self, frames: list[bytes]) -> None:
        """Something has happened to the connection. A second one does not open a link again."""
        if parse_monitor_message(frames)["event"] == zmq.EVENT_DISCONNECTED:
            self._on_disconnected()
        elif not self._opened:
            self._opened = True
            self._clear_alarm()
            self._on_open(True)

    def _on_disconnected(self) -> None:
        if not self._opened or self._lost:
            return
        self._lost = True
        self._on_open(False)
        if self._draining:
            self._end()
        elif self._heard:
            self._set_alarm(GRACE_S, lambda: self._break("its connection broke"))

    def _expect_connection(self, turns: int) -> None:
        if turns == 0:
            self._break(f"its socket takes no connection within {CONNECT_S:g} s")
        else:
            pause_s = CONNECT_S / CONNECT_TURNS
            self._set_alarm(pause_s, partial(self._expect_connection, turns - 1))

    def _set_alarm(self, seconds: float, act: Callable[[], None]) -> None:
        self._clear_alarm()
        self._alarm = asyncio.get_running_loop().call_later(seconds, act)

    def _clear_alarm(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None

    def _break(self, why: str) -> None:
        if self._heard:
            self._heard = False
            self._on_open(False)
            self._on_broken(why)

    def _end(self) -> None:
        if self._draining:
            self._draining = False
            self._port.read()
            self._on_end()
