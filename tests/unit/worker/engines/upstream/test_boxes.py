"""Which of several servers is asked next, and whether another one follows: as histories."""

from __future__ import annotations

import math

import pytest

from ipc.messages.errors import (
    InvalidRequest,
    ModelLoading,
    QueueFull,
    ServeError,
    Unavailable,
    WorkerCrashed,
)
from worker.engines.upstream.several.boxes import FRESH_S, STILL_S, Boxes
from worker.engines.upstream.several.retrying import Attempts
from worker.engines.upstream.several.servers import UNMEASURED_LOAD_S, eta_of

# What happens at which second, and which server is asked then.
Step = tuple[str, str]


class History:
    """Plays steps: ``ask``, ``end 0 2.5``, ``leave 1``, ``tell 0 1.5``, ``wait 3``."""

    def __init__(self, count: int) -> None:
        self.boxes = Boxes(count)
        self.now = 100.0

    def play(self, *steps: Step) -> None:
        for step, asked in steps:
            found = self._do(*step.split())
            assert (step, found) == (step, asked)

    def _do(self, what: str, *words: str) -> str:
        match what:
            case "ask":
                at = self.boxes.ask(self.now, [int(word) for word in words])
                return "none" if at is None else str(at)
            case "end":
                self.boxes.end(int(words[0]), float(words[1]) if words[1:] else None)
            case "leave":
                self.boxes.leave(int(words[0]), self.now)
            case "tell":
                eta_s = float(words[1]) if words[1:] else None
                self.boxes.tell(int(words[0]), self.now, eta_s)
            case "wait":
                self.now += float(words[0])
        return ""


def test_servers_that_say_nothing_get_the_next_by_what_they_have_in_hand() -> None:
    History(3).play(
        ("ask", "0"), ("ask", "1"), ("ask", "2"), ("end 1", ""), ("ask", "1"), ("ask", "0")
    )  # fmt: skip


def test_of_equals_the_one_that_was_left_alone_for_longest_is_asked() -> None:
    History(2).play(
        ("ask", "0"), ("end 0", ""), ("ask", "1"), ("end 1", ""), ("ask", "0")
    )  # fmt: skip


def test_the_one_that_would_begin_first_is_asked() -> None:
    History(2).play(("tell 0 4", ""), ("tell 1 0.5", ""), ("ask", "1"), ("ask", "1"))


def test_what_was_asked_since_is_added_at_the_pace_of_its_answers() -> None:
    """An answer takes 2 s there, one after the other: the second request would begin at 2.5."""
    history = History(2)
    history.play(("tell 1 0", ""), ("tell 0 9", ""), ("ask", "1"), ("end 1 2", ""))
    history.play(("tell 0 1", ""), ("tell 1 0.5", ""))
    history.play(("ask", "1"), ("ask", "0"), ("ask", "0"))


def test_figures_are_of_use_only_where_all_have_them_and_they_are_fresh() -> None:
    history = History(2)
    history.play(("tell 0 9", ""), ("ask", "0"), ("end 0", ""))
    history.play(("tell 0 9", ""), ("tell 1 0", ""), ("ask", "1"), ("end 1", ""))
    history.play((f"wait {FRESH_S + 1}", ""), ("ask", "0"))


def test_a_figure_holds_in_idle_time_until_the_server_is_asked_again_how_it_is() -> None:
    """Else a request after a while would go to the box that has the model to load."""
    history = History(2)
    history.play(("ask", "0"), ("end 0", ""), ("tell 0 0", ""), ("tell 1 8", ""))
    history.play((f"wait {FRESH_S + 7}", ""), ("ask", "0"), ("end 0", ""))
    history.play(("tell 0 0", ""), (f"wait {STILL_S + 1}", ""), ("ask", "1"))


def test_one_that_is_away_is_asked_only_if_all_are_and_comes_back_when_it_tells() -> None:
    history = History(2)
    history.play(("leave 0", ""), ("ask", "1"), ("ask", "1"), ("leave 1", ""), ("ask", "0"))
    assert history.boxes.away == [0, 1]
    history.play(("tell 1", ""), ("ask", "1"))
    assert history.boxes.away == [0]


def test_one_whose_worker_keeps_failing_is_asked_last() -> None:
    History(2).play(("tell 0 inf", ""), ("tell 1 60", ""), ("ask", "1"), ("ask 1", "0"))


def test_nobody_is_asked_twice_for_the_same() -> None:
    History(2).play(("ask", "0"), ("ask 0", "1"), ("ask 0 1", "none"))


# --- whether another one follows ---


@pytest.mark.parametrize(
    "error", [Unavailable("away"), ModelLoading("not yet"), QueueFull("full")], ids=str
)
def test_what_one_refuses_for_now_is_sent_to_each_of_the_others(error: ServeError) -> None:
    attempts = Attempts()
    assert all(attempts.may_follow(at, error, begun=False) for at in range(4))
    assert attempts.tried == [0, 1, 2, 3]


def test_what_may_have_broken_a_server_is_sent_to_one_more() -> None:
    attempts = Attempts()
    assert attempts.may_follow(0, WorkerCrashed("broken off"), begun=False)
    assert not attempts.may_follow(1, WorkerCrashed("broken off"), begun=False)


def test_what_has_begun_or_is_the_clients_to_mend_is_not_sent_again() -> None:
    assert not Attempts().may_follow(0, WorkerCrashed("broken off"), begun=True)
    assert not Attempts().may_follow(0, InvalidRequest("wrong"), begun=False)


# --- what a server says ---


@pytest.mark.parametrize(
    ("health", "eta_s"),
    [
        ({"models": [{"name": "m", "state": "ready", "queue": {"eta_s": 1.5}}]}, 1.5),
        ({"models": [{"name": "m", "state": "ready", "queue": {"eta_s": None}}]}, None),
        ({"models": [{"name": "m", "state": "unloaded", "queue": {"eta_s": 8.0}}]}, 8.0),
        (
            {"models": [{"name": "m", "state": "unloaded", "queue": {"eta_s": None}}]},
            UNMEASURED_LOAD_S,
        ),
        (
            {"models": [{"name": "m", "state": "starting", "queue": {"eta_s": None}}]},
            UNMEASURED_LOAD_S,
        ),
        ({"models": [{"name": "m", "state": "failed", "queue": {"eta_s": 0}}]}, math.inf),
        ({"models": [{"name": "other", "queue": {"eta_s": 1.5}}]}, None),
        ({"models": "all"}, None),
        ({"status": "ok"}, None),
    ],
)
def test_when_it_would_begin_is_read_from_its_health(
    health: dict[str, object], eta_s: float | None
) -> None:
    assert eta_of(health, "m") == eta_s
