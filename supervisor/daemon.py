"""The supervision loop on this machine: its timers, signals, processes and sockets.

What is done, and when, `supervisor.supervisor` decides; nothing is decided here.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import random
import signal
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import psutil
import zmq

from ipc.messages.admin import AdminAct
from ipc.messages.control import FromChild, ToChild
from ipc.messages.spec import Spec
from ipc.runtime import durable, heap, log
from ipc.runtime.recent_lines import Lines
from ipc.transport.sockets import Port, SocketFile, bind_router, ipc_endpoint
from ipc.transport.wire import Decoder, encode
from supervisor import health, interrupt
from supervisor import plan as plans
from supervisor.admin.process_logs import ProcessLogs
from supervisor.children import cgroup, vram
from supervisor.children.oom import OomWatch
from supervisor.children.orphans import Orphans
from supervisor.children.output import Output
from supervisor.children.process import Exit, Percent, Process, sample
from supervisor.cleanup import Cleanup
from supervisor.effects import Child
from supervisor.fleet.member import FRONTEND
from supervisor.host import gpu_memory, hardware, sensors
from supervisor.host.power import Power
from supervisor.listener import Listeners, tcp_url, url
from supervisor.notify import Notifier
from supervisor.plan import Plan, Reading
from supervisor.reload.watch import Watch
from supervisor.run_dir import RunDir
from supervisor.state.audit import AuditLog
from supervisor.state.footprints import Footprint
from supervisor.state.prefix_store import PrefixStore
from supervisor.state.pull_book import Book
from supervisor.state.pull_writer import PullWriter
from supervisor.state.recorder import Recorder
from supervisor.state.residents import Residents
from supervisor.supervisor import TICK_S, Supervisor

logger = logging.getLogger(__name__)

SAMPLE_S = 1.0
GIVE_BACK_S = 30.0


class Daemon:
    """The `Effects` of one `Supervisor`. Owns the control socket; `run` returns when every child
    has ended."""

    def __init__(self, plan: Plan, run_dir: RunDir, listeners: Listeners) -> None:
        self._run_dir = run_dir
        self._listeners = listeners
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._decoder = Decoder[FromChild](FromChild)
        self._socket = Port(bind_router(self._context, run_dir.control, hwm=0), self._on_message)
        self._socket_file = SocketFile(run_dir.control)
        self._notifier = Notifier()
        self._self = psutil.Process()
        self._cpu = Percent(self._self.cpu_percent)
        self._box_cpu = Percent(psutil.cpu_percent)
        self._power = Power()
        state_dir = Path(plan.state_dir) if plan.state_dir else None
        self._recorder = Recorder(state_dir, plan.weights)
        self._prefixes = PrefixStore(state_dir, plan.keep_prefixes)
        self._audit = AuditLog(state_dir)
        self._logs = ProcessLogs("supervisor", log.recent)
        self._folders = dict.fromkeys(filter(None, _folders(plan)))
        self._pulls = PullWriter(state_dir)
        self._residents = Residents(state_dir)
        self._ended = asyncio.Event()
        self._plan = plan
        tree = cgroup.Tree.claim(cgroup.own_folder())
        self._cleanup = Cleanup(Orphans(), OomWatch(), tree)
        self.supervisor = Supervisor(plan, self, self._cleanup)
        self._watch: Watch | None = None
        if plan.origin is not None and plan.origin.watched:
            self._watch = Watch(self.supervisor.files, self._on_files_changed)

    async def run(self) -> bool:
        """Start everyone, keep them alive, and stop them on SIGTERM or SIGINT. SIGHUP stops them
        too where it may mean that a terminal has closed, else it has the files read again. Returns
        whether it has stopped by itself, since it could not go on."""
        loop = self._loop = asyncio.get_running_loop()
        for number in interrupt.STOPS:
            hangs_up = number is signal.SIGHUP
            if hangs_up and not interrupt.has_terminal():
                loop.add_signal_handler(number, self.supervisor.reload)
            elif not (hangs_up and signal.getsignal(number) is signal.SIG_IGN):  # as nohup has it
                loop.add_signal_handler(number, self.supervisor.stop)
        interrupt.let(*interrupt.STOPS)
        self._recorder.begin()
        self._prefixes.begin()
        self._audit.begin()
        self.supervisor.begin()
        if self._watch is not None:
            self._watch.begin()
        every = [_every(TICK_S, self.supervisor.tick), _every(SAMPLE_S, self.supervisor.sample)]
        every.append(_every(GIVE_BACK_S, heap.give_back))
        tasks = [asyncio.create_task(one) for one in every]
        await self._ended.wait()
        interrupt.hold(*interrupt.STOPS)  # all is done, and the loop takes none after its end
        for task in tasks:
            task.cancel()
        if self._watch is not None:
            self._watch.end()
        await self._cleanup.end()
        self._recorder.end()
        self._prefixes.end()
        self._audit.end()
        self._pulls.end()
        self._residents.close()
        self._socket.close()
        self._context.term()
        return self.supervisor.failed

    def _on_files_changed(self) -> None:
        self._loop.call_soon_threadsafe(self.supervisor.reload)

    def _on_message(self, frames: list[bytes]) -> None:
        sender, *rest = frames
        self.supervisor.on_message(sender.decode(errors="replace"), self._decoder.decode(rest))

    # --- what the loop asks for, see supervisor.effects ---

    @property
    def control(self) -> str:
        return ipc_endpoint(self._run_dir.control)

    @property
    def listen_fd(self) -> int:
        return self._listeners.main.fileno()

    @property
    def ollama_fd(self) -> int | None:
        ollama = self._listeners.ollama
        return ollama.fileno() if ollama else None

    @property
    def wyoming_fd(self) -> int | None:
        wyoming = self._listeners.wyoming
        return wyoming.fileno() if wyoming else None

    @property
    def url(self) -> str:
        return self._url(self._listeners.main)

    @property
    def ollama_url(self) -> str | None:
        ollama = self._listeners.ollama
        return self._url(ollama) if ollama else None

    @property
    def wyoming_url(self) -> str | None:
        wyoming = self._listeners.wyoming
        return tcp_url(wyoming, self._plan.wyoming_host) if wyoming else None

    def _url(self, listener: socket.socket) -> str:
        tls = self._plan.serve.gate.ssl_certfile is not None
        return url(listener, self._plan.host, tls=tls)

    @property
    def port(self) -> int:
        port: int = self._listeners.main.getsockname()[1]
        return port

    def now(self) -> float:
        return time.monotonic()

    def wall_s(self) -> float:
        return time.time()

    def jitter(self, low: float, high: float) -> float:
        return random.uniform(low, high)

    def start(
        self,
        name: str,
        argv: Sequence[str],
        env: Mapping[str, str],
        pass_fds: Sequence[int],
        on_exit: Callable[[Exit], None],
    ) -> Child:
        output = Output(self._logs.of(name), log.pass_on)
        try:
            if name == FRONTEND:
                # It says a line for each request, and keeps them itself: but for its last words.
                argv, pass_fds = [*argv, "--faults-fd", str(output.fd)], [*pass_fds, output.fd]
            return Process(argv, env, pass_fds, on_exit, output, prints=name != FRONTEND)
        finally:
            output.on_started()

    def run_command(
        self,
        name: str,
        argv: Sequence[str],
        changes: Mapping[str, str],
        on_line: Callable[[str], None],
        on_exit: Callable[[Exit], None],
    ) -> Child:
        output = Output(self._logs.of(name), on_line)
        try:
            return Process(argv, {**os.environ, **changes}, [], on_exit, output)
        finally:
            output.on_started()

    def kept_pulls(self) -> Book:
        return self._pulls.kept

    def keep_pulls(self, book: Book) -> None:
        self._pulls.keep(book)

    def know_weights(self, model: str, weights: str) -> None:
        self._recorder.know(model, weights)

    def send(self, child: str, message: ToChild) -> bool:
        return self._socket.send([child.encode(), *encode(message)])

    def read(self) -> None:
        self._socket.read()

    def sockets_are_there(self) -> bool:
        return self._run_dir.whole() and self._socket_file.is_there()

    def restore_sockets(self) -> None:
        if not self._run_dir.whole():
            self._run_dir.restore()
        if not self._socket_file.is_there():
            self._socket.bind_again(self._run_dir.control)
            self._socket_file = SocketFile(self._run_dir.control)

    def remove_socket(self, child: str) -> None:
        with contextlib.suppress(OSError):  # it has no file, or the whole folder has gone
            (self._run_dir.path / child).unlink()

    def holds_vram(self, device: str, pid: int) -> bool:
        return vram.nvml(device, pid)

    def weigh(self, spec: Spec, pid: int, load_s: float | None) -> None:
        self._recorder.measure(spec, pid, load_s)

    def keep_prefixes(self, spec: Spec, data: bytes) -> None:
        self._prefixes.tell(spec, data)

    def prefixes(self, spec: Spec) -> bytes | None:
        return self._prefixes.get(spec)

    def free_mb(self, device: str) -> float:
        return hardware.available_mb() if device == "cpu" else gpu_memory.free_mb(device)

    def residents_before(self) -> list[str]:
        return self._residents.before

    def keep_residents(self, models: Sequence[str]) -> None:
        self._residents.keep(models)

    def leave(self, plan: Plan) -> Path:
        return plans.write(plan)

    def reading(self, path: Path) -> Reading | None:
        try:
            return plans.read_reading(path)
        except plans.PlanError as error:
            logger.error("nothing_read", extra={"why": str(error)})
            return None
        finally:
            path.unlink(missing_ok=True)

    def read_keys(self, path: Path) -> str:
        return path.read_bytes().decode()

    def why_not_written(self, path: Path) -> str:
        return durable.why_not_written(path.resolve())

    def write_keys(self, path: Path, content: str) -> None:
        # Where it is a link, what that leads to is written anew.
        durable.write_file(path.resolve(), content.encode(), 0o600)

    def footprint(self, spec: Spec) -> Footprint | None:
        return self._recorder.footprint(spec)

    def measure(self) -> dict[str, Any]:
        own = health.process(os.getpid(), sample(self._self, self._cpu))
        return {"box": health.box(self._box_cpu()), "supervisor": own}

    def box(self) -> dict[str, Any]:
        told = health.box(self._box_cpu())
        disks, temperatures = sensors.disks(self._folders), sensors.temperatures()
        power = self._power.report()
        return {**told, "disks": disks, "temperatures": temperatures, "power": power}

    def log(self, process: str, tail: int, after: int) -> Lines:
        return self._logs.tail(process, tail, after)

    def write_down(self, act: AdminAct) -> None:
        self._audit.write({"time": round(time.time(), 3), **msgspec.to_builtins(act)})

    def notify(self, *lines: str) -> None:
        self._notifier.send(*lines)

    def ping(self) -> None:
        self._notifier.ping(time.monotonic())

    def end(self) -> None:
        self._ended.set()


def _folders(plan: Plan) -> Iterator[str]:
    """Those that a server reads and writes."""
    yield from (spec.path for spec in plan.serve.specs)
    yield from (plan.state_dir, plan.run_dir)


async def _every(seconds: float, do: Callable[[], None]) -> None:
    while True:
        await asyncio.sleep(seconds)
        try:
            do()
        except Exception:  # of one turn: without the next ones nobody would be looked after
            logger.exception("turn_failed", extra={"turn": do.__name__})
