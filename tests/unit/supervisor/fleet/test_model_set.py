"""What is kept of a model that has gone: nothing. The rest is in `histories`."""

from __future__ import annotations

from ipc.messages.spec import Spec
from supervisor.fleet.member import Member
from supervisor.fleet.model_set import ModelSet
from supervisor.lifecycle.happenings import Begin, Exited, Stop
from supervisor.lifecycle.replica import Replica

SPEC = Spec(name="acme/chat", task="chat", engine="echo", path="")


def test_a_model_that_has_gone_is_forgotten() -> None:
    models = ModelSet(lambda name, spec: Member(Replica(name, 60.0, 300.0), spec))
    models.add(SPEC)
    (worker,) = models.due(0.0).start
    worker.replica.on(Begin(), 0.0)
    models.remove(SPEC.name, 1.0)
    assert models.leaving == {SPEC.name}
    models.on_left(SPEC.name)
    assert models.due(2.0).retire == [worker]
    worker.replica.on(Stop(30.0), 2.0)
    models.forget()
    assert models.workers == [worker]
    worker.replica.on(Exited("exited with status 0"), 3.0)
    models.forget()
    assert (models.workers, models.leaving, models.specs) == ([], set(), [])
