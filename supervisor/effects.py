"""What the supervision loop does to the world and asks of it.

`supervisor.daemon` does it on this machine; tests write down what was asked for.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from ipc.messages.admin import AdminAct
from ipc.messages.control import ToChild
from ipc.messages.spec import Spec
from ipc.runtime.recent_lines import Lines
from supervisor.children.process import Exit, Vitals
from supervisor.plan import Plan, Reading
from supervisor.state.footprints import Footprint
from supervisor.state.pull_book import Book


class Child(Protocol):
    """A running child process."""

    @property
    def pid(self) -> int: ...

    def send_signal(self, number: signal.Signals) -> None:
        """SIGKILL takes the whole group along; other signals are for the process to handle."""

    def be_nice(self, nice: int) -> None:
        """Leave more of the processors to others, see `supervisor.children.cpu_share`."""

    def let_others_first(self) -> None:
        """Have the least of the processors while others want them, until `be_nice_again`."""

    def be_nice_again(self, nice: int) -> None:
        """Take that back."""

    def resume(self) -> None:
        """Forget since when it has been stopped: nobody was there to see."""

    def sample(self) -> Vitals | None:
        """Its vitals now, or None when it is gone."""

    def rss_mb(self) -> float | None:
        """Its resident memory, or None when it is gone."""

    def work_done(self) -> float:
        """How much the system accounts to the process: CPU seconds plus MiB read."""

    def suspended_s(self, now: float) -> float:
        """How long it has been found stopped by a signal; 0 while it runs."""


class Effects(Protocol):
    """Processes, the control socket, the run folder, systemd, clock and chance."""

    @property
    def control(self) -> str:
        """The endpoint where children find the control socket."""

    @property
    def listen_fd(self) -> int:
        """The listening socket, which the frontend inherits."""

    @property
    def ollama_fd(self) -> int | None:
        """The one for Ollama's API, if that has its own."""

    @property
    def wyoming_fd(self) -> int | None:
        """The one for voice assistants, if they are served."""

    @property
    def url(self) -> str:
        """Where clients find the server."""

    @property
    def ollama_url(self) -> str | None:
        """Where Ollama's clients find it, if that is another place."""

    @property
    def wyoming_url(self) -> str | None:
        """Where voice assistants find it, if they are served."""

    @property
    def port(self) -> int:
        """The port of it; one that was left open to choose has become a free one."""

    def now(self) -> float:
        """Monotonic seconds."""

    def wall_s(self) -> float:
        """Seconds since 1970."""

    def jitter(self, low: float, high: float) -> float:
        """A number between the two, by chance."""

    def start(
        self,
        name: str,
        argv: Sequence[str],
        env: Mapping[str, str],
        pass_fds: Sequence[int],
        on_exit: Callable[[Exit], None],
    ) -> Child:
        """Start a child; ``on_exit`` is called once, when it has ended. What it prints is kept
        under its ``name``. Raises `OSError`."""

    def run_command(
        self,
        name: str,
        argv: Sequence[str],
        changes: Mapping[str, str],
        on_line: Callable[[str], None],
        on_exit: Callable[[Exit], None],
    ) -> Child:
        """Start a child of this environment with ``changes``, whose lines are kept as those of
        ``name``; ``on_exit`` is called once, when it has ended and all were read. Raises
        `OSError`."""

    def kept_pulls(self) -> Book:
        """What an earlier server has left of its pulls."""

    def keep_pulls(self, book: Book) -> None:
        """Have them kept soon."""

    def send(self, child: str, message: ToChild) -> bool:
        """Send to the child of that `child_id`. False: it is not connected, nothing was sent."""

    def read(self) -> None:
        """Have every message handled that lies unread."""

    def sockets_are_there(self) -> bool:
        """Whether the run folder and the control socket in it can still be found."""

    def restore_sockets(self) -> None:
        """Make again what has gone of them. Raises `run_dir.InUseError` where another server has
        been faster, and `OSError` where it cannot be made."""

    def remove_socket(self, child: str) -> None:
        """Remove what a dead worker has left in the run folder."""

    def holds_vram(self, device: str, pid: int) -> bool:
        """Whether ``device`` lists the process among those that hold memory."""

    def weigh(self, spec: Spec, pid: int, load_s: float | None) -> None:
        """Have the memory of a worker measured soon, and kept for the next start with what its
        load took."""

    def know_weights(self, model: str, weights: str) -> None:
        """By these the files of a model are told from others from now on."""

    def footprint(self, spec: Spec) -> Footprint | None:
        """What a worker of ``spec`` was last measured to take."""

    def keep_prefixes(self, spec: Spec, data: bytes) -> None:
        """Keep what a worker of ``spec`` has told by `Prefixes`; nothing: forget it."""

    def prefixes(self, spec: Spec) -> bytes | None:
        """What its next worker is to know of them; None where nothing is to be remembered."""

    def free_mb(self, device: str) -> float:
        """The memory of ``device`` that models could take now."""

    def residents_before(self) -> list[str]:
        """The models that `keep_residents` had when the server last stopped."""

    def keep_residents(self, models: Sequence[str]) -> None:
        """Keep these for the next start."""

    def leave(self, plan: Plan) -> Path:
        """Have a file with ``plan`` in the run folder. Raises `OSError`."""

    def reading(self, path: Path) -> Reading | None:
        """What a process has left in that file, which is removed; None if that is nothing."""

    def read_keys(self, path: Path) -> str:
        """The text of the file of keys. Raises `OSError` and `UnicodeDecodeError`."""

    def why_not_written(self, path: Path) -> str:
        """What keeps the file of keys from being written, if anything is known of that."""

    def write_keys(self, path: Path, content: str) -> None:
        """Put another text into it, all or none, for this user alone. Raises `OSError`."""

    def measure(self) -> dict[str, Any]:
        """The box and the supervisor itself, as /health prints them."""

    def box(self) -> dict[str, Any]:
        """The box, and what takes too long to be asked for all the time."""

    def log(self, process: str, tail: int, after: int) -> Lines:
        """The last ``tail`` lines of what the process has said, of those behind line ``after``.
        Raises `NotFound`."""

    def write_down(self, act: AdminAct) -> None:
        """Add a line to what is kept of who has managed the server."""

    def notify(self, *lines: str) -> None:
        """Send assignments such as ``READY=1`` to systemd."""

    def ping(self) -> None:
        """Tell systemd's watchdog that the loop turns."""

    def end(self) -> None:
        """Every child has ended, and none is to be started any more."""
