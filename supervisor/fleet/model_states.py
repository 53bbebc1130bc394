"""How each model stands by its workers: what the frontend may use, or why there is nothing."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from types import MappingProxyType

from ipc.messages.control import child_id
from ipc.messages.spec import Spec
from ipc.messages.state import ModelPhase, ModelState, ReplicaState, Route
from ipc.transport.sockets import ipc_endpoint
from supervisor.fleet.member import Member, by_model
from supervisor.lifecycle.replica import Replica
from supervisor.state.footprints import Footprint

# Of several replicas the one that can do most speaks for the model.
_BEST_FIRST: tuple[ReplicaState, ...] = (
    "ready",
    "starting",
    "backoff",
    "draining",
    "failed",
    "stopped",
)


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
        credit=member.spec.credit if member.room is None else member.room,
        open=replica.state == "ready" and not member.held,
        pid=member.process.pid if member.process is not None else 0,
    )
