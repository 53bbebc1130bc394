"""A world for the supervision loop without a process, a socket or a clock of its own.

A history is a list of rows: when, what happens, what the loop does about it. Between two rows the
loop's own timers run, and who is ready sends heartbeats; the loop must do nothing then.
"""

from __future__ import annotations

import copy
import itertools
import json
import signal
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ipc.messages.admin import AdminAct, Ask, BoxEvent, Happened, Told, Wish
from ipc.messages.control import (
    Abandon,
    Counters,
    Demand,
    Drain,
    FromChild,
    Heartbeat,
    Hello,
    Left,
    ModelDemand,
    Models,
    Noted,
    Ready,
    Reconfigure,
    Scale,
    Serve,
    Start,
    States,
    ToChild,
    Wanted,
)
from ipc.messages.errors import ServeError, from_info
from ipc.messages.spec import Spec
from ipc.messages.state import ModelState
from ipc.runtime.recent_lines import Lines
from supervisor.children.cgroup import Tree
from supervisor.children.oom import OomWatch
from supervisor.children.orphans import Orphans
from supervisor.children.process import Exit, Vitals
from supervisor.cleanup import Cleanup
from supervisor.plan import Plan, Reading
from supervisor.state.footprints import Footprint
from supervisor.state.pull_book import Book
from supervisor.supervisor import TICK_S, Supervisor

CHAT = Spec(name="chat", task="chat", engine="echo", path="", device="cuda:1")
EMBED = Spec(name="embed", task="embed", engine="echo", path="", stall_s=10.0, load_stall_s=20.0)

ENDED = Exit("exited with status 0")
FAULT = Exit("killed by SIGSEGV")
KILLED = Exit("killed by SIGKILL", by=signal.SIGKILL)


@dataclass
class FakeChild:
    """What the loop sees of a process, and what it does to it."""

    name: str
    pid: int
    on_exit: Callable[[Exit], None]
    note: Callable[[str], None]
    argv: Sequence[str] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    pass_fds: Sequence[int] = ()
    rss: float = 50.0
    work: float = 0.0
    stopped_at: float | None = None
    nice: int = 0
    yields: bool = False

    def send_signal(self, number: signal.Signals) -> None:
        self.note(f"{number.name} to {self.name}")

    def be_nice(self, nice: int) -> None:
        self.nice = nice

    def let_others_first(self) -> None:
        self.yields = True

    def be_nice_again(self, nice: int) -> None:
        self.yields, self.nice = False, nice

    def resume(self) -> None:
        self.stopped_at = None

    def sample(self) -> Vitals | None:
        return None

    def rss_mb(self) -> float | None:
        return self.rss

    def work_done(self) -> float:
        return self.work

    def suspended_s(self, now: float) -> float:
        return 0.0 if self.stopped_at is None else now - self.stopped_at


class FakeOrphans(Orphans):
    """The processes that somebody has left behind."""

    def __init__(self, note: Callable[[str], None]) -> None:
        super().__init__()
        self._note = note
        self.pids: set[int] = set()
        self.own: set[int] = set()  # who was spared when they were last looked for

    def sweep(self, own: Collection[int]) -> None:
        self.own = set(own)
        for pid in sorted(self.pids - self.own):
            self._note(f"kill orphan {pid}")
        self.pids &= self.own

    def tick(self, own: Collection[int]) -> None:
        self.own = set(own)


class World:
    """The `Effects` of a loop for ``specs``: what it asks for is written down in `done`."""

    control = "ipc:///run/control"
    listen_fd = 9
    ollama_fd: int | None = None
    wyoming_fd: int | None = None
    url = "http://127.0.0.1:8000"
    ollama_url: str | None = None
    wyoming_url: str | None = None
    port = 8000

    def __init__(
        self, *specs: Spec, tree: Tree | None = None, vmstat: Path = Path("/none"), **plan: Any
    ) -> None:
        self.at = 0.0
        self.done: list[str] = []
        self.children: dict[str, FakeChild] = {}  # by child_id, those that live
        self.connected: set[str] = set()
        self.ready: dict[str, Counters] = {}  # who sends heartbeats, and what is in them
        self.unread: list[tuple[str, FromChild]] = []
        self.sent: list[ToChild] = []
        self.vram: set[tuple[str, int]] = set()
        self.weighed: list[tuple[str, int]] = []
        self.footprints: dict[str, Footprint] = {}
        self.kept: dict[str, bytes] = {}  # prefixes by model
        self.cannot_start: OSError | None = None
        self.removed: list[str] = []  # sockets of dead workers
        self.pings = 0
        self.statuses: list[str] = []  # what systemd shows, each time that it is told
        self.lines: dict[str, Callable[[str], None]] = {}  # what is called with those of a command
        self.pulls = Book()
        self.weights: dict[str, str] = {}
        self.memory_mb = self.vram_mb = 4000.0
        self.before: list[str] = []  # the models that were ready when the server last stopped
        self.kept_residents: list[str] | None = None
        self.events: list[BoxEvent] = []  # what the frontend has been told of
        self.acts: list[AdminAct] = []  # what was to be written down
        self.readings: dict[str, Reading] = {}  # by the process that has left it
        self.sockets_lost = False
        self.cannot_restore: Exception | None = None
        self.keys_file: str | OSError = ""
        self.cannot_write_keys: OSError | None = None
        self._pids = itertools.count(100)
        self.orphans = FakeOrphans(self.done.append)
        serve = Serve(specs=list(specs))
        self.plan = Plan(host="127.0.0.1", port=8000, run_dir="/run", serve=serve, **plan)
        cleanup = Cleanup(self.orphans, OomWatch(vmstat), tree)
        self.supervisor = Supervisor(self.plan, self, cleanup)

    # --- a history ---

    def play(self, *rows: tuple[float, Callable[[World], None], list[str]]) -> World:
        """Have it all happen; fails at the first row after which something else was done."""
        for at, happens, expected in rows:
            self._pass_to(at)
            happens(self)
            done = self._take()
            assert done == expected, f"at {at:g} s it has done {done}"
        return self

    def _pass_to(self, at: float) -> None:
        assert at % TICK_S == 0.0, "the timers' turns come each quarter of a second"
        while self.at + TICK_S < at:
            self.at += TICK_S
            self.turn()
            done = self._take()
            assert done == [], f"at {self.at:g} s, before {at:g} s, it has done {done}"
        self.at = at

    def turn(self) -> None:
        """One turn of the timers; at each half second everyone who is ready sends a heartbeat, and
        memory is measured."""
        if self.at % 1.0 == 0.5:
            for child, counters in list(self.ready.items()):
                self.supervisor.on_message(child, Heartbeat(counters=counters))
            self.supervisor.sample()
        self.supervisor.tick()

    def published(self) -> list[ModelState]:
        """What the frontend was told last of the models."""
        return [one for one in self.sent if isinstance(one, States)][-1].models

    def _take(self) -> list[str]:
        done, self.done[:] = list(self.done), []
        return done

    # --- what the loop asks for ---

    def now(self) -> float:
        return self.at

    def wall_s(self) -> float:
        return 1e9 + self.at

    def jitter(self, low: float, high: float) -> float:
        return (low + high) / 2

    def start(
        self,
        name: str,
        argv: Sequence[str],
        env: Mapping[str, str],
        pass_fds: Sequence[int],
        on_exit: Callable[[Exit], None],
    ) -> FakeChild:
        if self.cannot_start is not None:
            raise self.cannot_start
        if "--out" in argv:
            return self._start_reader(argv, on_exit)
        child_id = f"{name}.{argv[argv.index('--generation') + 1]}"
        self.done.append(f"start {child_id}")
        child = FakeChild(
            child_id, next(self._pids), on_exit, self.done.append, argv, env, pass_fds
        )
        self.children[child_id] = child
        return child

    def run_command(
        self,
        name: str,
        argv: Sequence[str],
        changes: Mapping[str, str],
        on_line: Callable[[str], None],
        on_exit: Callable[[Exit], None],
    ) -> FakeChild:
        if self.cannot_start is not None:
            raise self.cannot_start
        command = " ".join(json.loads(argv[argv.index("--command") + 1]))
        self.done.append(f"run {command}")
        child = FakeChild(name, next(self._pids), on_exit, self.done.append, argv, changes)
        self.children[command] = child
        self.lines[command] = on_line
        return child

    def kept_pulls(self) -> Book:
        return self.pulls

    def keep_pulls(self, book: Book) -> None:
        self.pulls = copy.deepcopy(book)

    def know_weights(self, model: str, weights: str) -> None:
        self.weights[model] = weights

    def _start_reader(self, argv: Sequence[str], on_exit: Callable[[Exit], None]) -> FakeChild:
        fetched = [argv[at + 1] for at, part in enumerate(argv) if part == "--fetch"]
        name = Path(argv[argv.index("--out") + 1]).stem
        self.done.append(" ".join([f"start {name}", *fetched]))
        child = FakeChild(name, next(self._pids), on_exit, self.done.append, argv)
        self.children[name] = child
        return child

    def leave(self, plan: Plan) -> Path:
        self.left = plan
        return Path("/run/plan.json")

    def reading(self, path: Path) -> Reading | None:
        return self.readings.pop(path.stem, None)

    def send(self, child: str, message: ToChild) -> bool:
        if child not in self.connected:
            return False
        if isinstance(message, Happened):
            self.events.extend(message.events)  # asked for by tests of them alone
            return True
        self.sent.append(message)
        self.done.append(f"{child} <- {_words(message)}")
        return True

    def read(self) -> None:
        for child, message in self.unread:
            self.supervisor.on_message(child, message)
        self.unread.clear()

    def sockets_are_there(self) -> bool:
        return not self.sockets_lost

    def restore_sockets(self) -> None:
        self.done.append("restore sockets")
        if self.cannot_restore is not None:
            raise self.cannot_restore
        self.sockets_lost = False

    def remove_socket(self, child: str) -> None:
        self.removed.append(child)

    def holds_vram(self, device: str, pid: int) -> bool:
        return (device, pid) in self.vram

    def weigh(self, spec: Spec, pid: int, _load_s: float | None) -> None:
        self.weighed.append((spec.name, pid))

    def footprint(self, spec: Spec) -> Footprint | None:
        return self.footprints.get(spec.name)

    def keep_prefixes(self, spec: Spec, data: bytes) -> None:
        self.kept[spec.name] = data

    def prefixes(self, spec: Spec) -> bytes | None:
        return self.kept.get(spec.name, b"")

    def free_mb(self, device: str) -> float:
        return self.memory_mb if device == "cpu" else self.vram_mb

    def residents_before(self) -> list[str]:
        return self.before

    def keep_residents(self, models: Sequence[str]) -> None:
        self.kept_residents = list(models)

    def read_keys(self, _path: Path) -> str:
        if isinstance(self.keys_file, OSError):
            raise self.keys_file
        return self.keys_file

    def why_not_written(self, _path: Path) -> str:
        return "" if self.cannot_write_keys is None else str(self.cannot_write_keys.strerror)

    def write_keys(self, _path: Path, content: str) -> None:
        if self.cannot_write_keys is not None:
            raise self.cannot_write_keys
        self.keys_file = content

    def measure(self) -> dict[str, Any]:
        return {"box": {}, "supervisor": {}}

    def box(self) -> dict[str, Any]:
        return {"cpus": 2}

    def log(self, process: str, tail: int, after: int) -> Lines:
        return Lines([f"{process} {tail} {after}"], 7)

    def write_down(self, act: AdminAct) -> None:
        self.acts.append(act)

    def notify(self, *lines: str) -> None:
        if lines[0].startswith("STATUS="):
            self.statuses.append(lines[0].removeprefix("STATUS="))
        else:
            self.done.append(f"systemd: {', '.join(lines)}")

    def ping(self) -> None:
        self.pings += 1

    def end(self) -> None:
        self.done.append("end")


def told(world: World) -> dict[str, Any]:
    """The report that was asked for last."""
    report = _answer(world).report
    assert report is not None
    return report


def refused(world: World) -> ServeError:
    """Why there is none."""
    error = _answer(world).error
    assert error is not None
    return from_info(error)


def _answer(world: World) -> Told:
    return [one for one in world.sent if isinstance(one, Told)][-1]


def _words(message: ToChild) -> str:
    match message:
        case Serve(specs=specs):
            return f"serve {' '.join(spec.name for spec in specs)}"
        case Reconfigure():
            return "reconfigure"
        case Models(specs=specs):
            return f"models {' '.join(spec.name for spec in specs)}"
        case States(models=models):
            return ", ".join(_state(model) for model in models)
        case Told(id=number):
            return f"told {number}"
        case _:
            return _to_worker(message)


def _to_worker(message: ToChild) -> str:
    match message:
        case Start(spec=spec):
            return f"load {spec.name} on {spec.device}"
        case Drain(seconds=seconds):
            return f"drain within {seconds:g} s"
        case Abandon(owner=owner):
            return f"abandon the jobs of {owner}"
        case Noted():
            return "noted"
        case Wanted(waiting=waiting, in_hand=in_hand):
            return f"{waiting} wait, {in_hand} in hand"
        case Scale(replicas=replicas):
            return f"{replicas} replicas"
        case _:
            raise AssertionError(f"nobody is sent {message}")


def _state(model: ModelState) -> str:
    """The model's name and state, its routes, in brackets those that are closed."""
    routes = [
        f"{route.replica}.{route.generation}" if route.open else f"({route.replica})"
        for route in model.routes
    ]
    return " ".join([model.name, model.state, *routes])


# --- what happens ---

Happens = Callable[[World], None]


def begin(world: World) -> None:
    world.supervisor.begin()


def stop(world: World) -> None:
    world.supervisor.stop()


def turn(world: World) -> None:
    """The timers' turn."""
    world.turn()


def late(world: World) -> None:
    """The loop's turn, with what was said meanwhile still unread."""
    world.supervisor.tick()


def adds(spec: Spec) -> Happens:
    def happens(world: World) -> None:
        world.supervisor.add(spec)

    return happens


def removes(name: str) -> Happens:
    def happens(world: World) -> None:
        world.supervisor.remove(name)

    return happens


def left(name: str) -> Happens:
    """The frontend holds no request of the model any more."""

    def happens(world: World) -> None:
        (frontend,) = (child for child in world.connected if child.startswith("frontend."))
        world.supervisor.on_message(frontend, Left(name))

    return happens


def wishes(wish: Wish) -> Happens:
    """An operator wishes for it; its answer has the number 1."""
    return says("frontend.1", Ask(1, wish))


def says(child: str, message: FromChild) -> Happens:
    def happens(world: World) -> None:
        world.supervisor.on_message(child, message)

    return happens


def connects(child: str) -> Happens:
    """It has found the control socket and says hello."""

    def happens(world: World) -> None:
        world.connected.add(child)
        hello = Hello(child=child, generation=1, pid=world.children[child].pid)
        world.supervisor.on_message(child, hello)

    return happens


def becomes_ready(child: str) -> Happens:
    def happens(world: World) -> None:
        world.ready[child] = Counters()
        world.supervisor.on_message(child, Ready())

    return happens


def works(child: str, *, progress: int = 0, jobs: int = 0) -> Happens:
    """From now on its heartbeats tell of a job in hand and of so many done."""

    def happens(world: World) -> None:
        world.ready[child] = Counters(progress=progress, in_flight=1, jobs=jobs)
        world.supervisor.on_message(child, Heartbeat(counters=world.ready[child]))

    return happens


def is_sent(child: str, jobs: int = 1) -> Happens:
    """The frontend has sent so many jobs to it that have not ended."""
    worker = child.rpartition(".")[0]
    model = worker.rpartition("-")[0]
    held = {child: jobs} if jobs else {}
    demand = ModelDemand(name=model, waiting=0, in_hand=jobs, jobs=1, by_worker=held)
    return says("frontend.1", Demand([demand]))


def falls_silent(child: str) -> Happens:
    def happens(world: World) -> None:
        del world.ready[child]

    return happens


def grows(child: str, rss_mb: float) -> Happens:
    def happens(world: World) -> None:
        world.children[child].rss = rss_mb

    return happens


def exits(child: str, end: Exit = FAULT) -> Happens:
    def happens(world: World) -> None:
        gone = world.children.pop(child)
        world.connected.discard(child)
        world.ready.pop(child, None)
        gone.on_exit(end)

    return happens


def reads(reader: str, reading: Reading) -> Happens:
    """The process has written that, and has ended."""

    def happens(world: World) -> None:
        world.readings[reader] = reading
        exits(reader, ENDED)(world)

    return happens


def run(*specs: Spec, **how: Any) -> World:
    """A world in which the frontend and one worker for each replica are ready at second 1."""
    world = World(*specs, **how)
    begin(world)
    for child in list(world.children):
        connects(child)(world)
    world.at = 1.0
    for child in list(world.children):
        becomes_ready(child)(world)
    world.turn()
    world.done.clear()
    return world
