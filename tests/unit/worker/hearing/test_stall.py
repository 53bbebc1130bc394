"""A piece that stands still ends its worker; one that had no processor does not."""

from __future__ import annotations

import threading

from worker.hearing.stall import StallClock
from worker.schedstat import waited_s, waits_s


class Machine:
    """Where two threads have waited for long before."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.waits = {"1": 50.0, "2": 7.0}
        self.looks = 0
        self.clock = StallClock(self.now, self.look)

    def look(self) -> dict[str, float]:
        self.looks += 1
        return dict(self.waits)

    def passes(self, seconds: int, *, waiting: str = "") -> bool:
        """Whether it has stood still by then, asked once a second."""
        found = False
        for _ in range(seconds):
            self.now += 1.0
            if waiting:
                self.waits[waiting] += 1.0
            found = found or self.clock.exceeds(60.0, self.now)
        return found


def test_what_takes_longer_than_its_limit_stands_still() -> None:
    machine = Machine()
    assert not machine.passes(60)
    assert machine.passes(1)


def test_the_time_without_a_processor_is_not_counted() -> None:
    machine = Machine()
    assert not machine.passes(16)
    assert not machine.passes(600, waiting="2")
    assert not machine.passes(44)
    assert machine.passes(1)


def test_a_thread_that_has_begun_since_excuses_nothing() -> None:
    machine = Machine()
    machine.passes(20)
    machine.waits["3"] = 500.0
    assert machine.passes(41)


def test_it_is_not_looked_at_what_takes_no_time() -> None:
    machine = Machine()
    machine.passes(15)
    assert machine.looks == 0
    machine.passes(45)
    assert machine.looks == 1


def test_what_threads_have_waited_for_only_grows() -> None:
    numbers = {str(thread.native_id) for thread in threading.enumerate()}
    before = waits_s()
    assert numbers <= before.keys()
    after = waits_s()
    assert all(after[number] >= before[number] >= 0.0 for number in numbers)
    assert waited_s() >= 0.0
