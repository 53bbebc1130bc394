"""What a box runs for a model whose replicas are anywhere."""

from __future__ import annotations

from pathlib import Path

from ipc.messages.spec import Scaling, Spec
from supervisor.cluster.forwarding import MEMORY_MB, forwarding
from supervisor.state.footprints import Subject

SPEC = Spec(
    name="m",
    task="chat",
    engine="torch",
    path="/models/m",
    device="cuda",
    memory_mb=9000,
    replicas=2,
    scaling=Scaling(most=3),
    slots=4,
    golden="/models/m/golden.jsonl",
    queue_limit=7,
)
HERE = forwarding(SPEC, 8000, Path("/state/cluster"), Path("/models"))


def test_one_worker_stands_for_all_replicas_and_takes_little() -> None:
    assert (HERE.replicas, HERE.most_replicas, HERE.slots) == (1, 1, 12)
    assert (HERE.device, HERE.memory_mb) == ("cpu", MEMORY_MB)


def test_it_neither_warms_up_nor_proves_what_replicas_do() -> None:
    assert (HERE.warmup.steps, HERE.golden) == (0, "")


def test_the_queue_is_the_model_s_own() -> None:
    assert (HERE.queue_limit, HERE.engine, HERE.task) == (7, "torch", "chat")


def test_replicas_are_what_the_entry_says() -> None:
    assert HERE.cluster is not None
    assert HERE.cluster.served == SPEC
    assert HERE.cluster.memory_mb == 8000


def test_its_memory_is_not_taken_for_the_model_s() -> None:
    assert Subject.of(HERE, "w") != Subject.of(SPEC, "w")
    assert Subject.of(HERE, "w").device == "cluster"
