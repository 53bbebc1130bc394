"""What is seen of a process without a word from it, and what that is taken for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

from ipc.messages.spec import Spec
from supervisor.children.process import Process
from supervisor.fleet.member import Member
from supervisor.lifecycle.happenings import (
    BecameReady,
    Begin,
    Progressed,
    Suspended,
    Worked,
)
from supervisor.lifecycle.liveness import LIFE_STEP, SILENT_S, WORK_STEP, signs
from supervisor.lifecycle.replica import Replica

SPEC = Spec(name="acme/chat", task="chat", engine="echo", path="")
AWAKE = Suspended(0.0)


@dataclass
class Accounts:
    """What the system accounts to a process."""

    work: float = 0.0
    suspended: float = 0.0

    def work_done(self) -> float:
        return self.work

    def suspended_s(self, _now: float) -> float:
        return self.suspended


def started(spec: Spec | None = SPEC) -> tuple[Member, Accounts]:
    """A process that loads from second 0 on, and what it does."""
    accounts: Any = Accounts()
    replica = Replica("child", 60.0, 300.0)
    replica.on(Begin(), 0.0)
    return Member(replica, spec, cast(Process, accounts)), accounts


def serving() -> tuple[Member, Accounts]:
    """A worker that has been heard last at second 0."""
    member, accounts = started()
    member.replica.on(BecameReady(), 0.0)
    return member, accounts


def test_work_done_in_loading_is_progress_each_time_that_there_is_enough_of_it() -> None:
    member, accounts = started()
    assert signs(member, 1.0) == [AWAKE]
    accounts.work = WORK_STEP
    assert signs(member, 2.0) == [AWAKE, Progressed()]
    assert signs(member, 3.0) == [AWAKE]
    accounts.work += WORK_STEP / 2
    assert signs(member, 4.0) == [AWAKE]
    accounts.work += WORK_STEP / 2
    assert signs(member, 5.0) == [AWAKE, Progressed()]


def test_who_is_stopped_while_it_loads_is_seen_to_be() -> None:
    member, accounts = started()
    accounts.suspended = 4.0
    assert signs(member, 5.0) == [Suspended(4.0)]


def test_the_frontend_loads_nothing_that_would_be_work() -> None:
    member, accounts = started(spec=None)
    accounts.work = 10 * WORK_STEP
    assert signs(member, 1.0) == [AWAKE]


def test_who_speaks_is_not_asked_for_by_other_means() -> None:
    member, accounts = serving()
    accounts.work = 10.0
    assert signs(member, SILENT_S / 2) == []


def test_work_since_it_fell_silent_shows_that_it_is_not_stopped() -> None:
    member, accounts = serving()
    signs(member, SILENT_S / 2)
    accounts.work = 10.0  # before it was silent, and so no sign
    assert signs(member, SILENT_S) == [AWAKE]
    assert signs(member, SILENT_S + 1) == [AWAKE]
    accounts.work += 2 * LIFE_STEP
    assert signs(member, SILENT_S + 2) == [AWAKE, Worked()]


def test_one_that_has_missed_one_heartbeat_is_looked_at() -> None:
    member, _ = serving()
    assert signs(member, 1.0) == []
    assert signs(member, 2.0) == [AWAKE]


def test_of_who_is_silent_it_is_seen_that_a_signal_has_stopped_it() -> None:
    member, accounts = serving()
    accounts.suspended = 1.0
    assert signs(member, SILENT_S) == [Suspended(1.0)]


def test_there_is_nothing_to_see_of_a_process_that_has_ended() -> None:
    member, _ = started()
    member.process = None
    assert signs(member, 1.0) == []
