"""A library that is silent is broken, but not where it had no processor to speak by."""

from __future__ import annotations

from worker.engines.common.silence import Silence


class Thread:
    """Of a machine where it is the only one that knows the time."""

    def __init__(self) -> None:
        self.at = 100.0
        self.waited_s = 30.0  # long before
        self.silence = Silence(lambda: self.at, lambda: self.waited_s)

    def passes(self, seconds: float, *, waiting_s: float = 0.0) -> float:
        self.at += seconds
        self.waited_s += waiting_s
        return self.silence.seconds()


def test_silence_lasts_until_something_is_heard() -> None:
    thread = Thread()
    assert thread.passes(5.0) == 5.0
    thread.silence.hear()
    assert thread.passes(0.0) == 0.0
    assert thread.passes(2.0) == 2.0


def test_the_time_that_it_waited_for_a_processor_is_not_counted() -> None:
    thread = Thread()
    assert thread.passes(0.0) == 0.0
    assert thread.passes(60.0, waiting_s=59.5) == 0.5
    thread.silence.hear()
    assert thread.passes(0.0) == 0.0
    assert thread.passes(60.0) == 60.0
