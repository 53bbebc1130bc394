"""The children of one supervisor: who they are, how each is started, what the frontend may use."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

import msgspec

from ipc.engines import ENGINES
from ipc.messages.control import child_id
from ipc.messages.spec import Spec
from ipc.messages.state import ModelPhase, ModelState, ReplicaState, Route
from ipc.transport.sockets import ipc_endpoint
from supervisor.children.cgroup import Cell
from supervisor.children.cpu_share import nice_of
from supervisor.children.process import python
from supervisor.children.vram import Vram
from supervisor.effects import Child, Effects
from supervisor.plan import Plan
from supervisor.recycle import Limits
from supervisor.replica import Patience, Replica
from supervisor.state.footprints import Footprint

FRONTEND = "frontend"
# The frontend has no engine that could stall; only silence tells that it hangs.
FRONTEND_STALL_S = 60.0
# Nothing is gained by an end of the server: the models are loaded, and whatever kills the frontend,
# perhaps what a client sends, would kill the next server's.
FRONTEND_PATIENCE = Patience(backoff_max_s=30.0, healthy_s=60.0, endless=True)

# How often a thread of GNU's OpenMP looks for the others before it sleeps. By itself 300,000, or
# 100 where it knows of more threads than cores; it knows of its own process only. Fewer than these
# cost a model that is alone half of its speed.
OPENMP_SPINS = "10000"

# Of several replicas the one that can do most speaks for the model.
_BEST_FIRST: tuple[ReplicaState, ...] = (
    "ready",
    "starting",
    "backoff",
    "draining",
    "failed",
    "stopped",
)


@dataclass(slots=True)
class Member:
    """One child: its state machine, its process while there is one, its model if it is a worker.

    One that is ``held`` is given no requests: it is on its way in beside others, whom it leaves the
    processors, or kept for a while after others have taken its place.
    """

    replica: Replica
    spec: Spec | None = None
    process: Child | None = field(default=None, repr=False)
    work_done: float | None = 0.0  # when it was last looked at, see Child.work_done
    rss_mb: float | None = None  # its memory when it was last measured, in the last second or so
    vram: Vram | None = field(default=None, repr=False)
    cell: Cell | None = field(default=None, repr=False)
    held: bool = False


def frontend(effects: Effects) -> Member:
    """The one child that serves clients."""
    replica = Replica(
        FRONTEND,
        FRONTEND_STALL_S,
        FRONTEND_STALL_S,
        patience=FRONTEND_PATIENCE,
        jitter=effects.jitter,
    )
    return Member(replica)


def worker(name: str, spec: Spec, drain_s: float, effects: Effects) -> Member:
    """One replica of a model. ``drain_s``: how long jobs in hand may take if it is recycled."""
    limits = Limits(spec.memory_limit_mb, spec.recycle_jobs, drain_s)
    replica = Replica(name, spec.stall_s, spec.load_stall_s, limits, jitter=effects.jitter)
    vram = Vram(spec.device, effects.holds_vram) if spec.device.startswith("cuda") else None
    return Member(replica, spec, vram=vram)


def argv(member: Member, plan: Plan, effects: Effects) -> list[str]:
    """The command that starts ``member``'s next generation."""
    module = FRONTEND if member.spec is None else "worker"
    command = [
        *python(module),
        *("--control", effects.control),
        *("--name", member.replica.name),
        *("--generation", str(member.replica.generation)),
        *("--log-level", plan.log_level),
        *("--log-format", plan.log_format),
    ]
    if member.spec is None:
        sockets = _sockets(effects)
        return [*command, *(part for flag, fd in sockets.items() for part in (flag, str(fd)))]
    command += ["--run-dir", plan.run_dir]
    if plan.read_only:
        command += ["--read-only", plan.read_only]
        # An engine that reads files of its own has nobody to ask.
        asks_others = member.spec.cluster is not None
        needs_none = ENGINES[member.spec.engine].files == "needed" and not asks_others
        command += ["--offline"] if needs_none else []
    return command


def nice(spec: Spec, served: Iterable[Spec]) -> int:
    """How much a worker leaves of the processors to others. On a GPU it computes elsewhere."""
    if spec.device.startswith("cuda"):
        return 0
    return nice_of(spec.priority, [one.priority for one in served])


def listening(effects: Effects) -> list[int]:
    """The sockets that the frontend inherits."""
    return [*_sockets(effects).values()]


def _sockets(effects: Effects) -> dict[str, int]:
    """The same, by how the frontend is told of each."""
    found = {
        "--listen-fd": effects.listen_fd,
        "--ollama-fd": effects.ollama_fd,
        "--wyoming-fd": effects.wyoming_fd,
    }
    return {flag: fd for flag, fd in found.items() if fd is not None}


def may_be_away(member: Member, group: list[Member]) -> bool:
    """Whether the model can do without ``member`` for a while as well as it ever will: replicas
    are recycled in turns."""
    return all(one is member or one.replica.state == "ready" for one in group)


def environment(spec: Spec | None) -> dict[str, str]:
    """What must be set before a child imports anything: its devices and its threads."""
    env = dict(os.environ)
    env["PYTHONUNBUFFERED"] = "1"
    env["HF_HUB_OFFLINE"] = "1"
    env["TOKENIZERS_PARALLELISM"] = "false"
    env["CUDA_VISIBLE_DEVICES"] = ""
    if spec is None:
        return env
    kind, _, index = spec.device.partition(":")
    if kind == "cuda":
        env["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"
        env["CUDA_VISIBLE_DEVICES"] = index or os.environ.get("CUDA_VISIBLE_DEVICES", "0")
    if spec.threads:
        for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
            env[name] = str(spec.threads)
        if "OMP_WAIT_POLICY" not in env:
            env.setdefault("GOMP_SPINCOUNT", OPENMP_SPINS)
    return env


def pinned(spec: Spec) -> Spec:
    """``spec`` as its worker sees it: pinned to one GPU, it knows that GPU as the first."""
    if spec.device.startswith("cuda:"):
        return msgspec.structs.replace(spec, device="cuda:0")
    return spec


def by_model(everyone: Iterable[Member]) -> dict[str, list[Member]]:
    """The workers, grouped by the model they serve."""
    groups: dict[str, list[Member]] = {}
    for member in everyone:
        if member.spec is not None:
            groups.setdefault(member.spec.name, []).append(member)
    return groups


def best(group: Iterable[Member]) -> Replica:
    """The replica that speaks for its model."""
    first = min(group, key=lambda one: (_BEST_FIRST.index(one.replica.state), one.held))
    return first.replica


def phase(group: Iterable[Member], *, resting: bool) -> ModelPhase:
    """How a model stands by its workers: one that rests is unloaded once they have all ended."""
    state = best(group).state
    return "unloaded" if resting and state == "stopped" else state


def states(
    everyone: Iterable[Member],
    unavailable: dict[str, str],
    run_dir: Path,
    now: float,
    resting: Collection[str] = (),
    refused: Mapping[str, str] = MappingProxyType({}),
    measured: Callable[[Spec], Footprint | None] = lambda _: None,
    drained: Collection[str] = (),
) -> list[ModelState]:
    """What the frontend may use: each model's routes, or why it has none. ``resting`` are those
    that are loaded when somebody asks, ``refused`` those for which there is no room, with why,
    ``drained`` those that take no new work; ``measured`` is what earlier runs found out."""
    found = [
        _state(
            name,
            group,
            run_dir,
            now,
            phase=phase(group, resting=name in resting),
            refused=refused.get(name),
            load_s=_load_s(group, measured),
            drained=name in drained,
        )
        for name, group in by_model(everyone).items()
    ]
    missing = [
        ModelState(name=name, routes=[], state="failed", reason=reason)
        for name, reason in unavailable.items()
    ]
    return found + missing


def _state(
    name: str,
    group: list[Member],
    run_dir: Path,
    now: float,
    *,
    phase: ModelPhase,
    refused: str | None,
    load_s: float | None,
    drained: bool,
) -> ModelState:
    speaker = best(group)
    next_start_at = speaker.next_start_at
    loads = speaker.state == "starting"
    return ModelState(
        name=name,
        routes=[_route(member, run_dir) for member in group if member.replica.serving],
        state=phase,
        faulty=[
            child_id(member.replica.name, member.replica.faulty)
            for member in group
            if member.replica.faulty
        ],
        was_ready=any(member.replica.was_ready for member in group),
        reason=None if phase == "unloaded" else speaker.explained,
        retry_after_s=max(1.0, round(next_start_at - now)) if next_start_at else None,
        loaded=speaker.loaded,
        refused=refused,
        drained=drained,
        load_s=load_s,
        load_began_at=speaker.started_at if loads else None,
        stage=speaker.stage if loads else None,
    )


def _load_s(group: list[Member], measured: Callable[[Spec], Footprint | None]) -> float | None:
    """What the last load of a model took, in this run or before."""
    known = best(group).load_s
    spec = group[0].spec
    if known is not None or spec is None:
        return known
    before = measured(spec)
    return before.load_s if before is not None else None


def _route(member: Member, run_dir: Path) -> Route:
    assert member.spec is not None
    replica = member.replica
    return Route(
        replica=replica.name,
        generation=replica.generation,
        endpoint=ipc_endpoint(run_dir / child_id(replica.name, replica.generation)),
        credit=member.spec.credit,
        open=replica.state == "ready" and not member.held,
        pid=member.process.pid if member.process is not None else 0,
    )
