"""Measures how fast engines are with a model that was pulled, and keeps it beside the manifest.

`worker.pace` does the work in a process of its own for each engine; what follows from it is decided
by `supervisor.host.timings`.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import msgspec
import psutil

from ipc.engines import ENGINES
from ipc.facts.pace import Pace
from ipc.messages.spec import Spec
from ipc.runtime import durable, lifeline
from supervisor.children.environment import environment
from supervisor.config.settings import child_env
from supervisor.host.timings import Subject, Timing
from supervisor.models.archive import FetchError
from supervisor.models.store import MANIFEST

FILE = "engines.json"
# Beyond loading: `worker.pace` takes about 10 s where nothing else runs.
MEASURE_S = 60.0
# A box is idle that uses no more of its processors than this, in percent, over so long.
IDLE_PERCENT, IDLE_S = 25.0, 1.0


def is_idle() -> bool:
    """Whether a measurement would be of the engine alone."""
    return psutil.cpu_percent(IDLE_S) <= IDLE_PERCENT


def subjects(engines: Iterable[str], threads: int) -> Mapping[str, Subject]:
    """What a measurement made here and now would be true of, by engine."""
    cpu = f"{_cpu()}, {threads} threads"
    return {
        name: Subject(engine=name, cpu=cpu, libraries=_versions(ENGINES[name].libraries))
        for name in engines
    }


def read(folder: Path) -> tuple[Timing, ...]:
    """What was measured of the model in ``folder``; nothing where that cannot be read."""
    return durable.read_json(folder / FILE, tuple[Timing, ...]) or ()


def may_keep(folder: Path) -> bool:
    """Whether what is measured can be kept for the model in ``folder``."""
    return not durable.why_not_written(folder / MANIFEST)


def write(folder: Path, timings: Iterable[Timing]) -> None:
    """Raises `OSError`."""
    durable.write_file(folder / FILE, msgspec.json.format(msgspec.json.encode(tuple(timings))))


def measure(spec: Spec, subject: Subject, prepare: Callable[[], Spec]) -> Timing:
    """How fast ``subject.engine`` is with the model of ``spec``, which ``prepare`` gives converted:
    raises nothing, since a model can be served by another engine."""
    try:
        pace = _run(prepare())
    except (
        *(FetchError, OSError, RuntimeError),
        *(subprocess.SubprocessError, msgspec.MsgspecError),
    ) as error:
        fault = f"cannot be used: {' '.join(str(error).split())}"
        return Timing(subject=subject, slots=spec.slots, fault=fault)
    return Timing(subject=subject, slots=spec.slots, pace=pace)


def _run(spec: Spec) -> Pace:
    with tempfile.NamedTemporaryFile(suffix=".json") as file:
        file.write(msgspec.json.encode(spec))
        file.flush()
        argv = [sys.executable, "-P", "-m", "worker.pace", file.name]
        env = child_env(**environment(spec))
        child = lifeline.run(argv, spec.load_stall_s + MEASURE_S, env=env)
    if child.returncode:
        why = lifeline.last_words(child.stderr)
        raise RuntimeError(why or f"ended with status {child.returncode}")
    return msgspec.json.decode(child.stdout.splitlines()[-1], type=Pace)


def _versions(libraries: Iterable[str]) -> dict[str, str]:
    found = {}
    for name in libraries:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def _cpu() -> str:
    """The processor's name and a digest of what it can do; empty where /proc does not say."""
    try:
        lines = Path("/proc/cpuinfo").read_text().split("\n\n")[0].splitlines()
    except OSError:
        return ""
    facts = {
        key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)
    }
    abilities = facts.get("flags") or facts.get("Features", "")
    digest = hashlib.sha256(" ".join(sorted(abilities.split())).encode()).hexdigest()[:8]
    return f"{facts.get('model name', '')} {digest}".strip()
