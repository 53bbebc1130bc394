"""Models of a cluster: what a box tells the others, how much room they leave it, and how many
replicas the first box decides on."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from msgspec.structs import replace

from ipc.messages.control import Counters, Demand, ModelDemand, Scale, Shared, ToChild, Wanted
from ipc.messages.spec import Scaling, Spec
from supervisor.admin.event_log import EventLog
from supervisor.cluster.forwarding import forwarding
from supervisor.effects import Effects
from supervisor.fleet.member import Member
from supervisor.lifecycle.replica import Replica
from supervisor.residency.cluster_scaler import CARRIED_OUT_S, ClusterScaler
from supervisor.residency.replicas import LATE_UNMEASURED_S

SERVED = Spec(
    name="m",
    task="chat",
    engine="echo",
    path="",
    slots=4,
    scaling=Scaling(most=3, wait_s=2.0, idle_s=60.0),
)
LATE = Shared(count=1, ready=1, room=4, waiting=9, in_hand=4, wait_s=3.0, decides=True)
CALM = Shared(count=2, ready=2, room=8, decides=True)


class Box:
    """A box with one model of a cluster, and what its worker is told."""

    def __init__(self, served: Spec = SERVED) -> None:
        self.told: list[ToChild] = []
        self.events = EventLog(lambda: 0.0, print)
        self.scaler = ClusterScaler(self.events, cast(Effects, SimpleNamespace(send=self._send)))
        spec = forwarding(served, 100, Path("/state"), Path("/models"))
        replica = Replica("chat-1", 60, 60, jitter=min)
        replica.state, replica.generation = "ready", 1
        self.worker = Member(replica, spec)

    def _send(self, child: str, message: ToChild) -> bool:
        assert child.startswith("chat-1.")
        self.told.append(message)
        return True

    def seconds(self, since: float, until: float, stands: Shared) -> list[int]:
        """How many replicas are decided on while the model stands so."""
        self.told.clear()
        now = since
        while now < until:
            self.scaler.on_shared(self.worker, stands)
            self.scaler.second([self.worker], now)
            now += 1
        return [one.replicas for one in self.told if isinstance(one, Scale)]

    def terms(self) -> dict[str, Any]:
        found: dict[str, Any] = self.scaler.terms("m").get("scaling", {})
        return found


def test_what_clients_want_is_told_once() -> None:
    box = Box()
    box.worker.replica.counters = Counters(jobs=7, prompt_tokens=10)
    one = ModelDemand(name="m", waiting=2, in_hand=3, jobs=12, wait_s=1)
    box.scaler.on_demand(Demand([one, replace(one, name="another", waiting=9)]))
    for now in range(3):
        box.scaler.second([box.worker], now)
    assert box.told == [Wanted(waiting=2, in_hand=3, wait_s=1.0, jobs=7, work=17.0)]


def test_the_next_worker_is_told_anew() -> None:
    box = Box()
    box.scaler.second([box.worker], 0.0)
    box.worker.replica.generation = 2
    box.scaler.second([box.worker], 1.0)
    assert box.told == [Wanted(), Wanted()]


def test_requests_are_handed_over_as_far_as_others_leave_room() -> None:
    box = Box()
    box.scaler.on_shared(box.worker, replace(CALM, room=5))
    assert box.worker.room == 5


def test_requests_that_wait_too_long_anywhere_bring_another_replica() -> None:
    box = Box()
    assert box.seconds(0, LATE_UNMEASURED_S, LATE) == []
    assert box.seconds(LATE_UNMEASURED_S, LATE_UNMEASURED_S + 9, LATE) == [2]
    assert box.terms() == {"min": 1, "max": 3, "wanted": 2, "why": "a request would wait 3 s"}
    assert box.events.kept[-1].type == "replicas.more"


def test_one_that_is_on_its_way_is_waited_for() -> None:
    box = Box()
    box.seconds(0, LATE_UNMEASURED_S + 1, LATE)
    assert box.seconds(21, 200, replace(LATE, count=2)) == []


def test_what_was_not_carried_out_is_decided_anew() -> None:
    """The worker may have died before it could say it to the cluster."""
    box = Box()
    box.seconds(0, LATE_UNMEASURED_S + 1, LATE)
    until = LATE_UNMEASURED_S + CARRIED_OUT_S
    assert box.seconds(21, until, LATE) == []
    assert box.seconds(until, until + LATE_UNMEASURED_S + 2, LATE) == [2]


def test_it_goes_once_one_fewer_has_been_enough_for_long() -> None:
    box = Box()
    assert box.seconds(0, 60, CALM) == []
    assert box.seconds(60, 70, CALM) == [1]
    assert box.events.kept[-1].type == "replicas.fewer"


def test_one_for_which_there_is_no_place_is_given_up_and_not_tried_again_at_once() -> None:
    box = Box()
    lacking = replace(LATE, count=2, failed="no box has had room for it")
    assert box.seconds(0, 9, lacking) == [1]
    assert "did not come" in box.terms()["why"]
    assert box.seconds(40, 200, LATE) == []


@pytest.mark.parametrize(
    ("served", "stands"),
    [
        (SERVED, replace(LATE, decides=False)),  # another box is the first one
        (replace(SERVED, replicas=3), replace(LATE, count=3, ready=3)),
    ],
)
def test_who_does_not_decide_tells_nobody(served: Spec, stands: Shared) -> None:
    box = Box(served)
    assert box.seconds(0, 200, stands) == []


def test_a_fixed_number_has_no_terms() -> None:
    box = Box(replace(SERVED, scaling=Scaling()))
    box.scaler.on_shared(box.worker, CALM)
    assert box.scaler.terms("m") == {}
