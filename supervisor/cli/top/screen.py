"""A terminal that is drawn on, and is afterwards as it was before, however that ends."""

from __future__ import annotations

import os
import select
import signal
import sys
import termios
import time
import tty
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

from rich.console import Console
from rich.text import Text

from supervisor.cli.top.frame import Size

_HOME, _END_OF_LINE, _END_OF_SCREEN = "\x1b[H", "\x1b[K", "\x1b[J"
_QUIT = b"qQ\x03\x04"  # q, Ctrl-C and Ctrl-D, where the terminal makes no signal of the latter


class Screen:
    """What is drawn is all there is to see. Keys are read without being shown."""

    def __init__(self, console: Console, keys: int, woken: int) -> None:
        self._console = console
        self._keys = keys
        self._woken = woken

    @property
    def size(self) -> Size:
        width, height = os.get_terminal_size(sys.stdout.fileno())
        return Size(max(width, 1), max(height, 1))

    def draw(self, lines: Sequence[Text]) -> None:
        """In place of what was drawn before. The lines fit the screen's `size`."""
        with self._console.capture() as drawn:
            for line in lines:
                self._console.print(line, no_wrap=True, crop=False, overflow="ignore")
        # Each is cleared before it is written: behind a full one that would take its last cell.
        text = "\n".join(_END_OF_LINE + line for line in drawn.get().splitlines())
        ends = "\n" + _END_OF_SCREEN if len(lines) < (self.size.height or 0) else ""
        sys.stdout.write(_HOME + text + ends)
        sys.stdout.flush()

    def wait(self, seconds: float) -> bool:
        """Until they have passed or the size has changed. Whether somebody wants to go on."""
        end_at = time.monotonic() + seconds
        while (left_s := end_at - time.monotonic()) > 0:
            ready, _, _ = select.select([self._keys, self._woken], [], [], left_s)
            if self._keys in ready:
                pressed = os.read(self._keys, 64)
                if not pressed or any(key in _QUIT for key in pressed):
                    return False
            if self._woken in ready:
                os.read(self._woken, 64)
                return True
        return True


@contextmanager
def screen() -> Iterator[Screen]:
    """The terminal of this process, drawn on until the block ends. SIGTERM and SIGHUP end it by
    `SystemExit`, so that the terminal is left in order."""
    console, keys = Console(), sys.stdin.fileno()
    before = termios.tcgetattr(keys)
    woken, wakes = os.pipe()
    os.set_blocking(wakes, False)
    kept = {number: signal.getsignal(number) for number in _HANDLED}
    wake_fd = signal.set_wakeup_fd(wakes, warn_on_full_buffer=False)
    try:
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, _end)
        signal.signal(signal.SIGWINCH, _ignore)  # it wakes, which is enough
        signal.signal(signal.SIGTSTP, signal.SIG_IGN)  # a shell would find this screen
        tty.setcbreak(keys)
        with console.screen(hide_cursor=True):
            yield Screen(console, keys, woken)
    finally:
        termios.tcsetattr(keys, termios.TCSADRAIN, before)
        signal.set_wakeup_fd(wake_fd)
        for number, handler in kept.items():
            signal.signal(number, handler)
        os.close(woken)
        os.close(wakes)


_HANDLED = (signal.SIGTERM, signal.SIGHUP, signal.SIGWINCH, signal.SIGTSTP)


def _end(number: int, _frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


def _ignore(_number: int, _frame: FrameType | None) -> None:
    """Nothing is to be done."""
