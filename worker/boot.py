"""An engine from nothing to where it is known to answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from ipc.messages.spec import Loaded, Spec
from worker.engine import Engine, Stage, check_device
from worker.engines import make
from worker.golden import prove
from worker.warmup import warm


class Booted(NamedTuple):
    """An engine with its model in it, what that is, and how each of its capabilities did."""

    engine: Engine
    loaded: Loaded
    warm: dict[str, str]


def boot(spec: Spec, stage: Stage, make_engine: Callable[[Spec], Engine] = make) -> Booted:
    """Load the model of ``spec`` and have it answer; call ``stage`` with each stage come to. Raises
    `LoadError`."""
    stage("importing")
    engine = make_engine(spec)
    stage("loading")
    loaded = engine.load(spec, stage)
    check_device(spec, loaded)
    stage("warming up")
    results = warm(engine, spec, loaded.context_tokens)
    stage("answering its golden file")
    prove(engine, spec)
    return Booted(engine, loaded, results)
