"""How a child is started: its command, what it inherits, its priority."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from ipc.engines import ENGINES
from ipc.messages.spec import Spec
from supervisor.children.cpu_share import nice_of
from supervisor.children.process import python
from supervisor.effects import Effects
from supervisor.fleet.member import FRONTEND, Member
from supervisor.plan import Plan


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


def pinned(spec: Spec) -> Spec:
    """``spec`` as its worker sees it: pinned to one GPU, it knows that GPU as the first."""
    if spec.device.startswith("cuda:"):
        return msgspec.structs.replace(spec, device="cuda:0")
    return spec
