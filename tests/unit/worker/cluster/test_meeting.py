"""What a box says of a model to the others, and what it hears, by a control service that is made
up here."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import msgspec
import pytest

from ipc.cluster import Member
from ipc.messages.control import Shared, Wanted
from ipc.messages.spec import Scaling, Spec
from worker.cluster.control import Control, Standing
from worker.cluster.meeting import NO_ROOM_S, Meeting, forget
from worker.cluster.placement import app_of
from worker.cluster.sharing import SAID_AGAIN_S, Said

SPEC = Spec(
    name="m", task="chat", engine="echo", path="", slots=8, prefetch=0, scaling=Scaling(most=3)
)
FIRST, SECOND = "127.0.0.2", "127.0.0.3"


class Kept(Control):
    """Keeps it here; ``puts`` counts how often. ``target`` replicas should run, of which so many
    are ``ready``."""

    def __init__(self) -> None:
        self.all: dict[str, bytes] = {}
        self.puts = 0
        self.target = self.ready = 1
        self.away = False

    def keep(self, key: str, value: bytes) -> None:
        self.puts += 1
        self.all[key] = value

    def kept(self, prefix: str) -> dict[str, bytes]:
        found = {key: value for key, value in self.all.items() if key.startswith(prefix)}
        return {key.removeprefix(prefix): value for key, value in found.items()}

    def forget(self, prefix: str) -> None:
        self.all = {key: value for key, value in self.all.items() if not key.startswith(prefix)}

    def standing(self, model: str) -> Standing:
        assert model == SPEC.name
        return Standing(self.target, self.ready, "")

    def scale(self, model: str, replicas: int) -> None:
        assert model == SPEC.name
        if self.away:
            raise ConnectionError("away")
        self.target = replicas


@pytest.fixture
def control() -> Kept:
    return Kept()


def until(what: Callable[[], bool]) -> None:
    give_up_at = time.monotonic() + 60
    while not what():
        assert time.monotonic() < give_up_at
        time.sleep(0.005)


class Box:
    """One box at the meeting, and what its supervisor was told."""

    def __init__(self, address: str, control: Kept) -> None:
        self.told: list[Shared] = []
        self.unheard_s = 0.0
        member = Member(address=address, head=FIRST, port=1, memory_mb=1, models_dir="/models")
        self.meeting = Meeting(SPEC, member, self.told.append, lambda: self.unheard_s, control)

    def turn(self, now: float) -> Shared:
        self.meeting._turn(now)
        return self.told[-1]


def test_all_boxes_hear_what_all_want_and_how_replicas_stand(control: Kept) -> None:
    first, second = Box(FIRST, control), Box(SECOND, control)
    control.target, control.ready = 3, 2
    first.meeting.on_wanted(Wanted(in_hand=4))
    second.meeting.on_wanted(Wanted(waiting=2, in_hand=6, wait_s=7.0))
    first.turn(0.0)
    heard = second.turn(0.0)
    assert (heard.count, heard.ready, heard.decides) == (3, 2, False)
    assert (heard.waiting, heard.in_hand, heard.room) == (2, 10, 12)
    decided = first.turn(1.0)
    assert decided.decides
    assert (decided.in_hand, decided.wait_s, decided.room) == (10, 7.0, 10)


def test_nothing_is_written_while_nothing_is_wanted(control: Kept) -> None:
    box = Box(SECOND, control)
    box.meeting.on_wanted(Wanted(jobs=5))
    for now in range(100):
        box.meeting._turn(float(now))
    assert control.puts == 1


def test_one_that_wants_the_same_says_so_now_and_then(control: Kept) -> None:
    box = Box(SECOND, control)
    box.meeting.on_wanted(Wanted(in_hand=1))
    for now in range(1, 22):
        box.meeting._turn(now * 1.0)
    assert control.puts == 1 + int(20 / SAID_AGAIN_S)


def test_a_call_that_waits_for_its_first_word_counts_as_a_wait(control: Kept) -> None:
    box = Box(FIRST, control)
    box.unheard_s = 9.0
    assert box.turn(0.0).wait_s == 9.0


def test_there_are_as_many_replicas_as_were_decided(control: Kept) -> None:
    box = Box(FIRST, control)
    box.meeting.on_scale(3)
    assert box.turn(0.0).count == 3
    control.target = 2  # by whoever: what was decided once is not repeated
    assert box.turn(1.0).count == 2


def test_what_could_not_be_told_is_told_again(control: Kept) -> None:
    box = Box(FIRST, control)
    box.meeting.on_scale(3)
    control.away = True
    with pytest.raises(ConnectionError):
        box.meeting._turn(0.0)
    control.away = False
    assert box.turn(1.0).count == 3


def test_a_control_service_is_silent_while_it_does_not_answer(control: Kept) -> None:
    box = Box(FIRST, control)
    control.away = True
    box.meeting.on_scale(3)
    running = threading.Thread(target=box.meeting.run)
    began_at = time.monotonic()
    running.start()
    until(lambda: box.meeting.is_silent(0.05))
    control.away = False
    box.meeting.on_scale(3)
    until(lambda: not box.meeting.is_silent(time.monotonic() - began_at))
    box.meeting.end()
    running.join()


def test_a_replica_without_room_is_not_waited_for_for_ever(control: Kept) -> None:
    box = Box(FIRST, control)
    control.target = 2
    assert box.turn(1.0).failed == ""
    assert box.turn(2.0 + NO_ROOM_S).failed == "no box has had room for it"
    control.ready = 2
    assert box.turn(3.0 + NO_ROOM_S).failed == ""


def test_of_a_model_that_is_removed_nothing_stays(control: Kept) -> None:
    other = f"{app_of('another')}/127.0.0.2"
    control.keep(other, msgspec.json.encode(Said(wanted=Wanted())))
    Box(FIRST, control).turn(0.0)
    forget("m", control)
    assert list(control.all) == [other]
